// Package counters counts the events of counters: of single counters (Raw), and of the
// sum of a target's counters (Targets). It separates restarts, births, lost parts and
// gaps by the scrapes of a process. docs/explanation/counting.md has the rules. It reads
// nothing.
package counters

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Raw counts the samples of counters into events per slot. It remembers the last sample
// of each series, so that no increase is lost between two reads or over a gap.
// docs/explanation/counting.md has the rules for births, rebirths and resets, with the
// evidence that each needs.
type Raw struct {
	clock    counting.Role // the roles whose samples make a slot known
	targets  map[string]*target
	recorder *counting.Recorder // nil except for Explain
	rulings  *counting.Rulings  // to write, of an SLO that is split into groups; else nil
	followed *counting.Rulings  // to follow in the next feed of a group; else nil
	starts   counting.Starts    // for the next feed
}

// target is the set of series with the same target labels. Usually that is one process.
// It is several if those labels are missing, or if two replicas of a Prometheus scrape
// the same process.
type target struct {
	series  map[uint64]*seriesState
	last    int64  // time of the last sample
	replica string // replica of the last sample
	better  int64  // time of the last sample of a replica earlier in order, since then
}

// seriesState is the state of a counter.
type seriesState struct {
	process *process
	last    backend.Sample // its time is 0 before the first
}

// NewRaw returns an empty Raw. Samples with the roles of clock make slots known.
func NewRaw(clock counting.Role) *Raw {
	return &Raw{clock: clock, targets: map[string]*target{}}
}

// Clone implements counting.Method.
func (r *Raw) Clone() counting.Method {
	out := &Raw{clock: r.clock, targets: make(map[string]*target, len(r.targets)), recorder: r.recorder, rulings: r.rulings.Clone()}
	processes := map[*process]*process{}
	for key, t := range r.targets {
		copied := *t
		copied.series = make(map[uint64]*seriesState, len(t.series))
		for k, s := range t.series {
			if processes[s.process] == nil {
				p := *s.process
				p.falls, p.lost = maps.Clone(p.falls), cloneLost(p.lost)
				processes[s.process] = &p
			}
			copied.series[k] = &seriesState{process: processes[s.process], last: s.last}
		}
		out.targets[key] = &copied
	}
	return out
}

// Feed implements counting.Method.
func (r *Raw) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(r.clock, from, to)
	out.Attach(r.recorder, r.rulings, r.followed, r.starts)
	r.rulings.Extend(from.Millis(), to.Millis())
	r.followed, r.starts = nil, nil
	byTarget := map[string][]cursor{}
	for i := range batch {
		s := &batch[i]
		samples := backend.Between(s.Samples, from.Millis(), to.Millis())
		if len(samples) > 0 {
			byTarget[s.Target] = append(byTarget[s.Target], cursor{raw: s, samples: samples})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byTarget)) {
		t := r.targets[key]
		if t == nil {
			t = &target{}
			r.targets[key] = t
		}
		t.feed(byTarget[key], out)
	}
	return out
}

// cursor iterates over the samples of a series.
type cursor struct {
	raw     *counting.RawSeries
	samples []backend.Sample
	series  *seriesState
}

// feed counts the scrapes of a target.
func (t *target) feed(cursors []cursor, out *counting.Events) {
	slices.SortFunc(cursors, func(a, b cursor) int { return labels.Compare(a.raw.Labels, b.raw.Labels) })
	var together []*cursor // those with a sample at now
	for {
		now := int64(math.MaxInt64)
		together = together[:0]
		for i := range cursors {
			c := &cursors[i]
			if len(c.samples) == 0 || c.samples[0].T > now {
				continue
			}
			if c.samples[0].T < now {
				now, together = c.samples[0].T, together[:0]
			}
			together = append(together, c)
		}
		if len(together) == 0 {
			return
		}
		if replica := firstReplica(together); t.follows(replica, now) {
			t.scrape(slices.DeleteFunc(slices.Clone(together), func(c *cursor) bool { return c.raw.Replica != replica }), now, out)
		}
		for _, c := range together {
			c.samples = c.samples[1:]
		}
	}
}

// scrape counts one scrape of a target.
func (t *target) scrape(together []*cursor, now int64, out *counting.Events) {
	if t.series == nil || now-t.last > counting.Memory { // forgotten, so it counts as new
		t.series = map[uint64]*seriesState{}
	}
	t.last = now
	t.admit(together, now)
	for rest := together; len(rest) > 0; {
		p := rest[0].series.process
		n := gather(rest, p)
		if now > p.last { // otherwise it is a second sample of the same time
			p.scrape(rest[:n], now, out)
		}
		rest = rest[n:]
	}
}

// firstReplica returns the first in order of the replicas that scraped.
func firstReplica(together []*cursor) string {
	first := together[0].raw.Replica
	for _, c := range together {
		first = min(first, c.raw.Replica)
	}
	return first
}

// follows reports whether to count the scrape of a replica. Of the replicas that scrape a
// target it follows the first in order whose samples come. Following two in turns would
// show a counter fall, because one is later than the other.
func (t *target) follows(replica string, now int64) bool {
	since := now - t.last
	if t.last != 0 && since <= counting.Memory && (replica != t.replica || t.better != 0) {
		usual := t.usual()
		soon := usual * 11 / 10 // when the next sample of a replica is due
		switch {
		case replica == t.replica:
			if now-t.better <= soon {
				return false
			}
		case usual == 0:
			if since <= counting.MaxScrape {
				return false
			}
		case replica < t.replica && since < usual/2:
			t.better = now
			return false
		case replica > t.replica && since <= soon:
			return false
		}
	}
	t.replica, t.better = replica, 0
	return true
}

// usual returns the usual time between two scrapes, or 0 if it is unknown.
func (t *target) usual() int64 {
	most := int64(0)
	for _, s := range t.series {
		most = max(most, s.process.gaps.Usual)
	}
	return most
}

// admit assigns a process to each new series of a scrape: the process of the first known
// series, or a new one.
func (t *target) admit(together []*cursor, now int64) {
	var home *process
	for _, c := range together {
		c.series = t.series[c.raw.Key]
		if c.series != nil && now-c.series.last.T > counting.Memory { // forgotten, so it counts as new
			delete(c.series.process.falls, c.raw.Key)
			c.series.process.forgetLost(c.raw.Key)
			delete(t.series, c.raw.Key)
			c.series = nil
		}
		if c.series != nil && home == nil {
			home = c.series.process
		}
	}
	if home == nil {
		home = &process{heir: len(t.series) > 0}
	}
	for _, c := range together {
		if c.series == nil {
			c.series = &seriesState{process: home}
			t.series[c.raw.Key] = c.series
		}
	}
}

// gather moves the series of a process to the front, and returns their number.
func gather(cursors []*cursor, p *process) int {
	n := 0
	for i, c := range cursors {
		if c.series.process == p {
			cursors[n], cursors[i] = c, cursors[n]
			n++
		}
	}
	return n
}

// Forget implements counting.Method.
func (r *Raw) Forget(now, before int64) {
	for key, t := range r.targets {
		maps.DeleteFunc(t.series, func(key uint64, s *seriesState) bool {
			if s.last.T > before {
				return false
			}
			delete(s.process.falls, key)
			s.process.forgetLost(key)
			return true
		})
		if now-t.last > counting.Memory || len(t.series) == 0 {
			delete(r.targets, key)
		}
	}
}

// Interval returns the smallest of the processes' usual intervals, in milliseconds; 0 if
// none is known.
func (r *Raw) Interval() int64 {
	least := int64(0)
	for _, t := range r.targets {
		for _, s := range t.series {
			if between := s.process.gaps.Interval(); between > 0 && (least == 0 || between < least) {
				least = between
			}
		}
	}
	return least
}

// Hold returns the instant up to which slots can be settled. It is not after the last
// sample of targets whose samples come late.
func (r *Raw) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	w := counting.Waiting{End: end.Millis()}
	newest := map[string]int64{}
	for key, t := range r.targets {
		newest[key] = t.last
	}
	for i := range batch {
		s := &batch[i]
		if n := len(s.Samples); n > 0 && s.Roles&r.clock != 0 {
			newest[s.Target] = max(newest[s.Target], s.Samples[n-1].T)
		}
	}
	for key, last := range newest {
		w.Add(last, r.between(key), settled)
	}
	return w.Hold(settled)
}

// between returns the usual time between two samples of a target, or 0 if it is unknown.
func (r *Raw) between(key string) int64 {
	most := int64(0)
	if t := r.targets[key]; t != nil {
		for _, s := range t.series {
			most = max(most, s.process.gaps.Interval())
		}
	}
	return most
}
