package gauges

import (
	"cmp"
	"maps"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Increments counts gauges whose samples are the number of events since the sample
// before, or their number per second.
type Increments struct {
	clock     counting.Role // the roles whose samples make a slot known
	perSecond bool
	flows     map[uint64]*flow
}

// flow is the state of a series.
type flow struct {
	last    int64  // time of the last sample, in milliseconds; 0 before the first
	replica string // replica of the last sample
	better  int64  // time of the last sample of a replica earlier in order, since then
	gaps    counting.Gaps
}

// NewIncrements returns an empty Increments. Samples with the roles of clock make slots
// known.
func NewIncrements(clock counting.Role, perSecond bool) *Increments {
	return &Increments{clock: clock, perSecond: perSecond, flows: map[uint64]*flow{}}
}

// Clone implements counting.Method.
func (n *Increments) Clone() counting.Method {
	out := NewIncrements(n.clock, n.perSecond)
	for key, f := range n.flows {
		copied := *f
		out.flows[key] = &copied
	}
	return out
}

// Forget implements counting.Method.
func (n *Increments) Forget(now, _ int64) {
	maps.DeleteFunc(n.flows, func(_ uint64, f *flow) bool { return now-f.last > counting.Memory })
}

// Interval implements counting.Method.
func (n *Increments) Interval() int64 {
	least := int64(0)
	for _, f := range n.flows {
		if between := f.gaps.Interval(); between > 0 && (least == 0 || between < least) {
			least = between
		}
	}
	return least
}

// Hold implements counting.Method.
func (n *Increments) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	w := counting.Waiting{End: end.Millis()}
	newest := map[uint64]int64{}
	for key, f := range n.flows {
		newest[key] = f.last
	}
	for i := range batch {
		if all := batch[i].Samples; len(all) > 0 {
			newest[batch[i].Key] = max(newest[batch[i].Key], all[len(all)-1].T)
		}
	}
	for key, last := range newest {
		usual := int64(0)
		if f := n.flows[key]; f != nil {
			usual = f.gaps.Interval()
		}
		w.Add(last, usual, settled)
	}
	return w.Hold(settled)
}

// replicated is a sample and its series.
type replicated struct {
	backend.Sample
	raw *counting.RawSeries
}

// Feed implements counting.Method.
func (n *Increments) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(n.clock, from, to)
	n.Forget(from.Millis(), 0)
	byKey := map[uint64][]replicated{}
	for i := range batch {
		raw := &batch[i]
		for _, s := range backend.Between(raw.Samples, from.Millis(), to.Millis()) {
			byKey[raw.Key] = append(byKey[raw.Key], replicated{s, raw})
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
			return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.raw.Replica, b.raw.Replica))
		})
		for _, s := range samples {
			if f.follows(s.raw.Replica, s.T) {
				n.count(f, s, out)
			}
		}
	}
	return out
}

// count counts a sample in the slot of its time.
func (n *Increments) count(f *flow, s replicated, out *counting.Events) {
	since := s.T - f.last
	events := s.V
	if n.perSecond {
		// A rate does not count in a gap, nor before the first sample.
		events *= float64(min(since, 2*cmp.Or(f.gaps.Usual, counting.MaxScrape))) / 1000
		if f.last == 0 {
			events = 0
		}
	}
	out.Add(timeline.SlotEnd(s.T), s.raw, timeline.Rounded(events))
	if s.raw.Roles&n.clock != 0 {
		if f.last != 0 && since <= f.gaps.Limit() {
			out.MarkKnown(timeline.SlotEnd(f.last-f.gaps.FirstGap(since)+1)-1, timeline.SlotEnd(s.T))
		}
		out.MarkKnown(timeline.SlotEnd(s.T)-1, timeline.SlotEnd(s.T))
		out.SeeClock(s.T)
	}
	if f.last != 0 {
		f.gaps.Push(since)
	}
	f.last = s.T
	f.replica = s.raw.Replica
	f.better = 0
}

// follows reports whether to count a sample of a replica. It chooses replicas as counters
// do: the first in order whose samples come.
func (f *flow) follows(replica string, now int64) bool {
	since := now - f.last
	usual := f.gaps.Usual
	soon := usual * 11 / 10
	switch {
	case f.last == 0:
		return true
	case since <= 0: // a second sample of the same time
		return false
	case replica == f.replica:
		return f.better == 0 || now-f.better > soon
	case usual == 0:
		return since > counting.MaxScrape
	case replica < f.replica && since < usual/2:
		f.better = now
		return false
	}
	return replica < f.replica || since > soon
}
