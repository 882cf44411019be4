package loop

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// job is a plan with what was read for it, and when it is read again.
type job struct {
	*plan.Plan
	lane   *lane
	recent time.Duration // length of the newest part, which is read first
	left   atomic.Int64  // minutes of history that are not read

	// While a cycle is under way, these belong to it.
	recordMu sync.Mutex      // locked by hold and tryRecord
	record   *history.Record // nil before anything is read
	err      error           // of the last advance
	failures int             // of this job alone, in a row
	retry    timeline.Minute
	absence  absence
	spelling spelling

	newestOnly   bool            // the record has the newest part only
	fresh        *history.Record // replaces record when no cycle is under way
	freshStage   stage
	readingCuts  bool   // the record is read for slots that exclusions cut
	rereading    bool   // a record to replace this one is being read
	stop         func() // ends the reading of history
	endedPeriods []*evaluator.EndedPeriods
	periodsRetry timeline.Minute // when periods that ended are tried again
	cuts         timeline.Cuts
	auditLog     audit.Log
	search       search
	restored     *saved          // from the cache, until its record is shown
	saveAt       timeline.Minute // when the record is written next
}

func newJob(p *plan.Plan, b *lane, recent time.Duration) *job {
	j := &job{Plan: p, lane: b, recent: recent, stop: func() {}}
	j.left.Store(int64(timeline.Minute(0).Add(p.History) + p.LeadIn))
	return j
}

// complete reports whether the record has all of the history.
func (j *job) complete() bool { return j.record != nil && !j.newestOnly }

// backOff delays the next try after each failure while the backend answers others. A
// backend that is down gets one query a cycle anyway.
func (j *job) backOff(now timeline.Minute) {
	j.failures++
	j.retry = now + min(timeline.Minute(1)<<min(j.failures-1, 4), maxRetry)
}

// maxRetry is the longest time in minutes between two tries of a query that fails alone.
const maxRetry = 4

// setResult notes how an advance ended.
func (j *job) setResult(err error) {
	j.err, j.retry = err, 0
	if err == nil {
		j.failures = 0
	}
}

// hold keeps tryRecord from calling until the function that it returns is called.
func (j *job) hold() (release func()) {
	j.recordMu.Lock()
	return j.recordMu.Unlock
}

// tryRecord calls f unless a cycle holds the record. It reports whether it did.
func (j *job) tryRecord(f func()) bool {
	if !j.recordMu.TryLock() {
		return false
	}
	defer j.recordMu.Unlock()
	f()
	return true
}

// lane is a backend with the state of its reads. Only its Reader and slots are used by
// other goroutines.
type lane struct {
	*history.Reader

	// Semaphores for reads of history, by their stage. They take more memory than the timeline.
	slots [3]chan struct{}

	busy       bool       // a cycle is under way
	down       error      // why the last cycle got no answer at all
	stale      *time.Time // the newest sample of anything, when too old
	loggedDown bool       // that was logged
	loggedKept bool       // it was logged that slots are kept of which it lost the samples

	readingPeriods bool // past periods are being read
	auditing       bool // audits are under way
	searching      bool // it is being queried for samples of unknown slots
	saving         bool // records are being written to the cache
}

func newLane(r *history.Reader) *lane {
	return &lane{Reader: r, slots: [3]chan struct{}{
		stageNewest: make(chan struct{}, r.MaxConcurrency),
		stageWhole:  make(chan struct{}, max(1, r.MaxConcurrency/2)),
		stageReread: make(chan struct{}, 1),
	}}
}

// admit waits for a free slot. It reports false if ctx ends before.
func admit(ctx context.Context, places chan struct{}) bool {
	return send(ctx, places, struct{}{})
}

// send sends v, unless ctx ends before. It reports whether it did.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// backendInfos returns the kinds and versions of the backends, as far as they are known.
func (st *state) backendInfos() []evaluator.BackendInfo {
	var out []evaluator.BackendInfo
	for _, b := range st.lanes {
		if id, ok := b.Identity(); ok {
			out = append(out, evaluator.BackendInfo{Name: b.Name, Kind: id.Kind, Version: id.Version})
		}
	}
	return out
}
