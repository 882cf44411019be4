package evaluator

import (
	"cmp"
	"maps"
	"slices"
)

// increments count gauges of which each sample is the number of events since the
// sample before, or their number per second.
type increments struct {
	clock     role // the roles whose samples make a slot known
	perSecond bool
	flows     map[uint64]*flow
}

// flow is what is remembered of a series.
type flow struct {
	last    int64  // time of the last sample, in milliseconds; 0 before the first
	replica string // that it is of
	better  int64  // time of the last sample of a replica before that in order, since then
	gaps    gaps
}

func newIncrements(clock role, perSecond bool) *increments {
	return &increments{clock: clock, perSecond: perSecond, flows: map[uint64]*flow{}}
}

func (n *increments) clone() accounts {
	out := newIncrements(n.clock, n.perSecond)
	for key, f := range n.flows {
		copied := *f
		out.flows[key] = &copied
	}
	return out
}

func (n *increments) forget(now, _ int64) {
	maps.DeleteFunc(n.flows, func(_ uint64, f *flow) bool { return now-f.last > memory })
}

func (n *increments) interval() int64 {
	least := int64(0)
	for _, f := range n.flows {
		if between := f.gaps.between(); between > 0 && (least == 0 || between < least) {
			least = between
		}
	}
	return least
}

func (n *increments) hold(batch []rawSeries, end, settled Minute) Minute {
	w := waiting{end: end.millis()}
	newest := map[uint64]int64{}
	for key, f := range n.flows {
		newest[key] = f.last
	}
	for i := range batch {
		if all := batch[i].samples; len(all) > 0 {
			newest[batch[i].key] = max(newest[batch[i].key], all[len(all)-1].t)
		}
	}
	for key, last := range newest {
		usual := int64(0)
		if f := n.flows[key]; f != nil {
			usual = f.gaps.between()
		}
		w.add(last, usual, settled)
	}
	return w.hold(settled)
}

// replicated is a sample and the series that it is of.
type replicated struct {
	sample
	raw *rawSeries
}

func (n *increments) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(n.clock, from, to)
	n.forget(from.millis(), 0)
	byKey := map[uint64][]replicated{}
	for i := range batch {
		raw := &batch[i]
		for _, s := range between(raw.samples, from.millis(), to.millis()) {
			byKey[raw.key] = append(byKey[raw.key], replicated{s, raw})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) { // sums of large numbers depend on their order
		samples := byKey[key]
		f := n.flows[key]
		if f == nil {
			f = &flow{}
			n.flows[key] = f
		}
		slices.SortFunc(samples, func(a, b replicated) int {
			return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.raw.replica, b.raw.replica))
		})
		for _, s := range samples {
			if f.follows(s.raw.replica, s.t) {
				n.count(f, s, out)
			}
		}
	}
	return out
}

// count counts a sample in the slot of its time.
func (n *increments) count(f *flow, s replicated, out *tally) {
	since := s.t - f.last
	events := s.v
	if n.perSecond {
		// It says nothing of a time without samples, nor of that before the first.
		events *= float64(min(since, 2*cmp.Or(f.gaps.usual, maxScrape))) / 1000
		if f.last == 0 {
			events = 0
		}
	}
	out.add(slotEnd(s.t), s.raw, rounded(events))
	if s.raw.roles&n.clock != 0 {
		if f.last != 0 && since <= f.gaps.limit() {
			out.mark(slotEnd(f.last-f.gaps.first(since)+1)-1, slotEnd(s.t))
		}
		out.known[slotEnd(s.t)-out.from-1] = true
		out.newest = max(out.newest, s.t)
	}
	if f.last != 0 {
		f.gaps.push(since)
	}
	f.last, f.replica, f.better = s.t, s.raw.replica, 0
}

// follows chooses of the replicas of a Prometheus that have a series the first in
// order of those whose samples come, as target.follows does.
func (f *flow) follows(replica string, now int64) bool {
	since := now - f.last
	usual := f.gaps.usual
	soon := usual * 11 / 10
	switch {
	case f.last == 0:
		return true
	case since <= 0: // a second sample of one time
		return false
	case replica == f.replica:
		return f.better == 0 || now-f.better > soon
	case usual == 0:
		return since > maxScrape
	case replica < f.replica && since < usual/2:
		f.better = now
		return false
	}
	return replica < f.replica || since > soon
}
