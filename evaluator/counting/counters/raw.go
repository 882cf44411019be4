// Package counters counts the events of counters: of single counters (Raw), and of the
// sum of a target's counters (Targets). It separates restarts, births, lost parts and
// gaps by the scrapes of a process. docs/explanation/counting.md has the rules. It reads
// nothing.
package counters

import (
	"maps"
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
	counting.Basis
	targets map[string]*target
}

// target is the set of series with the same target labels. Usually that is one process.
// It is several if those labels are missing, or if two replicas of a Prometheus scrape
// the same process.
type target struct {
	series  map[uint64]*seriesState
	last    int64 // time of the last sample
	replica counting.Replica
}

// seriesState is the state of a counter.
type seriesState struct {
	process *process
	last    backend.Sample // its time is 0 before the first
}

// NewRaw returns an empty Raw. Samples with the roles of clock make slots known.
func NewRaw(clock counting.Role) *Raw {
	return &Raw{Basis: counting.Basis{Clock: clock}, targets: map[string]*target{}}
}

// Clone implements counting.Method.
func (r *Raw) Clone() counting.Method {
	out := &Raw{Basis: r.Basis.Clone(), targets: make(map[string]*target, len(r.targets))}
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
	out := r.Begin(from, to)
	eachTarget(batch, from, to, func(key string, cursors []seriesCursor) {
		t := r.targets[key]
		if t == nil {
			t = &target{}
			r.targets[key] = t
		}
		slices.SortFunc(cursors, func(a, b seriesCursor) int { return labels.Compare(a.raw.Labels, b.raw.Labels) })
		eachInstant(cursors, func(now int64, together []*seriesCursor) {
			if t.series == nil || now-t.last > counting.Memory { // forgotten, so it counts as new
				t.series, t.last = map[uint64]*seriesState{}, 0
			}
			replica := firstReplica(together)
			if t.replica.Follows(replica, now, t.last, t.usual) {
				t.scrape(slices.DeleteFunc(slices.Clone(together), func(c *seriesCursor) bool { return c.raw.Replica != replica }), now, out)
			}
		})
	})
	return out
}

type seriesCursor = cursor[seriesState]

// scrape counts one scrape of a target.
func (t *target) scrape(together []*seriesCursor, now int64, out *counting.Events) {
	t.last = now
	t.admit(together, now)
	for rest := together; len(rest) > 0; {
		p := rest[0].state.process
		n := gather(rest, p)
		if now > p.last { // otherwise it is a second sample of the same time
			p.scrape(rest[:n], now, out)
		}
		rest = rest[n:]
	}
}

// firstReplica returns the first in order of the replicas that scraped.
func firstReplica(together []*seriesCursor) string {
	first := together[0].raw.Replica
	for _, c := range together {
		first = min(first, c.raw.Replica)
	}
	return first
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
func (t *target) admit(together []*seriesCursor, now int64) {
	var home *process
	for _, c := range together {
		c.state = t.series[c.raw.Key]
		if c.state != nil && now-c.state.last.T > counting.Memory { // forgotten, so it counts as new
			c.state.process.forget(c.raw.Key)
			delete(t.series, c.raw.Key)
			c.state = nil
		}
		if c.state != nil && home == nil {
			home = c.state.process
		}
	}
	if home == nil {
		home = &process{heir: len(t.series) > 0}
	}
	for _, c := range together {
		if c.state == nil {
			c.state = &seriesState{process: home}
			t.series[c.raw.Key] = c.state
		}
	}
}

// gather moves the series of a process to the front, and returns their number.
func gather(cursors []*seriesCursor, p *process) int {
	n := 0
	for i, c := range cursors {
		if c.state.process == p {
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
			s.process.forget(key)
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
	return counting.LeastInterval(func(yield func(*counting.Gaps) bool) {
		for _, t := range r.targets {
			for _, s := range t.series {
				yield(&s.process.gaps)
			}
		}
	})
}

// Hold returns the instant up to which slots can be settled. It is not after the last
// sample of targets whose samples come late.
func (r *Raw) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	newest := map[string]int64{}
	for key, t := range r.targets {
		newest[key] = t.last
	}
	for i := range batch {
		s := &batch[i]
		if n := len(s.Samples); n > 0 && s.Roles&r.Clock != 0 {
			newest[s.Target] = max(newest[s.Target], s.Samples[n-1].T)
		}
	}
	return counting.Hold(newest, r.between, end, settled)
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
