package loop

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/cache"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// A cache keeps the records of jobs over a restart. A record from it continues as after a
// pause: only what came since is read.

const (
	// saveEvery is the time between two writes of a record, in minutes. Each job has its
	// own minute.
	saveEvery timeline.Minute = 60
	// mostSaved is the number of bytes after which no more records are written after a cycle.
	mostSaved = 32 << 20
	// lastSaves is how long records are written when the process ends. Those that are left
	// were written within the hour.
	lastSaves = 4 * time.Second
)

// saved contains the parts of a job that a cache keeps.
type saved struct {
	Record *history.Record
	Cuts   timeline.Cuts
	SLOs   map[string]savedSLO // by their ids
}

// savedSLO contains the parts of an SLO that a cache keeps.
type savedSLO struct {
	Alerts   []evaluator.FiringAlert // for their beginnings, because old slots are folded
	Excludes string                  // which periods these are, and what is excluded from them
	Periods  *evaluator.EndedPeriods // nil for a rolling window
}

// excludesOf returns a text of the window and the exclusions of an SLO.
func excludesOf(s *slo.SLO) string {
	return fmt.Sprintf("%+v %s", s.Window, slo.ExclusionsText(s.Exclusions))
}

var savedCodec = sync.OnceValue(func() *cache.Codec { return history.NewCodec(&saved{}) })

// cacheKey returns the key of a job's record: what is counted, from where, and how.
func cacheKey(j *job) string {
	b := j.lane.Config
	return cache.KeyOf(j.Key, b.Name, b.Identity, b.Kind, b.Method, fmt.Sprint(b.MaxSeries, b.Offset, b.Settle, b.TargetLabels, b.ReplicaLabels, j.WholeChoices),
		string(savedCodec().Types()))
}

// restore returns what the cache keeps of a job, or nil if there is nothing that can
// continue up to end. Counting forgets what is older than a day, and so does the cache.
func (l *Loop) restore(j *job, end timeline.Minute) *saved {
	if l.Cache == nil || j.Recorder != nil {
		return nil
	}
	_, data, err := l.Cache.Read(cacheKey(j))
	out := &saved{}
	if err == nil {
		err = savedCodec().Decode(data, out)
	}
	if err == nil {
		err = out.Record.Restore(j.Plan)
	}
	method, result := "", "used"
	if err == nil {
		method, _ = out.Record.Method()
	}
	switch {
	case errors.Is(err, cache.ErrNone):
		result = "absent"
	case err != nil || out.Record.Timeline.End() > end || out.Record.Settled < end-counting.LeadIn:
		result = "refused"
	case method == evaluator.MethodAggregated && j.lane.Method != method: // each start chooses by the number of series
		result = "refused"
	}
	l.metrics.cached.WithLabelValues(result).Inc()
	if result != "used" {
		return nil
	}
	return out
}

// takeRestored gives the SLOs of a job the beginnings of the alerts that fired, and the past
// periods.
func (st *state) takeRestored(j *job) {
	if j.restored == nil {
		return
	}
	j.cuts = j.restored.Cuts
	for _, t := range st.byJob[j] {
		s, has := j.restored.SLOs[t.slo.ID()]
		t.status.Alerts, t.rejudged = s.Alerts, true
		if has && s.Periods != nil && s.Excludes == excludesOf(t.slo) {
			s.Periods.Spec = t.slo
			*j.periodsOf(t.slo) = *s.Periods
		}
	}
	j.restored = nil
}

// entry is a job's record as bytes, to be written.
type entry struct {
	cache.Header
	data []byte
}

// encode returns a job's record to be written. It reports false if there is none that a
// new process can continue.
func (st *state) encode(j *job) (entry, bool) {
	if j.record == nil || j.newestOnly || !j.record.Whole() {
		return entry{}, false
	}
	s := saved{Record: j.record, Cuts: j.cuts, SLOs: map[string]savedSLO{}}
	for _, t := range st.byJob[j] {
		kept := savedSLO{Alerts: t.status.Alerts, Excludes: excludesOf(t.slo)}
		if !t.slo.Window.IsRolling() {
			kept.Periods = j.periodsOf(t.slo)
		}
		s.SLOs[t.slo.ID()] = kept
	}
	data, err := savedCodec().Encode(&s)
	if err != nil {
		j.saveAt += saveEvery
		st.metrics.cacheFailures.Inc()
		st.Log.Debug("A history can't be kept", "slo_id", st.byJob[j][0].slo.ID(), "err", err)
		return entry{}, false
	}
	return entry{cache.Header{Key: cacheKey(j), Name: st.byJob[j][0].slo.ID(), Until: j.record.Settled.Time()}, data}, true
}

// saveDue writes the records of a backend that are due, the longest due first.
func (st *state) saveDue(ctx context.Context, b *lane, end timeline.Minute) {
	if st.Cache == nil || b.saving {
		return
	}
	var due []entry
	bytes := 0
	for _, j := range bySaveAt(st.jobsOf(b)) {
		if j.saveAt > end || bytes > mostSaved {
			break
		}
		if e, ok := st.encode(j); ok {
			due, bytes = append(due, e), bytes+len(e.data)
			j.saveAt = end + saveEvery/2 + spread(j.Key, saveEvery/2)
		}
	}
	if b.saving = len(due) > 0; b.saving {
		st.background(ctx, func(deliver func(func())) {
			st.write(slices.Values(due))
			deliver(func() { b.saving = false })
		})
	}
}

// saveAll writes records when the process ends, those first that were written longest ago.
func (st *state) saveAll() {
	if st.Cache == nil {
		return
	}
	begun := time.Now()
	st.write(func(yield func(entry) bool) {
		for _, j := range bySaveAt(slices.Collect(maps.Values(st.jobs))) {
			if e, ok := st.encode(j); time.Since(begun) > lastSaves || ok && !yield(e) {
				return
			}
		}
	})
}

// bySaveAt returns jobs in the order in which they are due.
func bySaveAt(jobs []*job) []*job {
	slices.SortStableFunc(jobs, func(x, y *job) int { return int(x.saveAt - y.saveAt) })
	return jobs
}

// write writes entries until one fails. Then the next start reads more.
func (l *Loop) write(entries iter.Seq[entry]) {
	var failed error
	for e := range entries {
		if failed = l.Cache.Write(e.Header, e.data); failed != nil {
			break
		}
	}
	size, err := l.Cache.Trim(l.Now())
	l.metrics.cacheSize.Set(float64(size))
	if err = errors.Join(failed, err); err != nil {
		l.metrics.cacheFailures.Inc()
		l.Log.Warn("The cache can't be written, so the next start reads more history", "err", err)
	}
}
