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
	flows     seriesMap[flow]
}

// flow is the replica of the last sample of a series.
type flow struct {
	replica string
	better  int64 // time of the last sample of a replica earlier in order, since then
}

// NewIncrements returns an empty Increments. Samples with the roles of clock make slots
// known.
func NewIncrements(clock counting.Role, perSecond bool) *Increments {
	return &Increments{clock: clock, perSecond: perSecond, flows: seriesMap[flow]{}}
}

// Clone implements counting.Method.
func (n *Increments) Clone() counting.Method {
	out := NewIncrements(n.clock, n.perSecond)
	out.flows = n.flows.clone()
	return out
}

// Forget implements counting.Method.
func (n *Increments) Forget(now, _ int64) {
	n.flows.forget(now - counting.Memory)
}

// Interval implements counting.Method.
func (n *Increments) Interval() int64 { return n.flows.interval() }

// Hold implements counting.Method.
func (n *Increments) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	return n.flows.hold(batch, end, settled)
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
		f := n.flows.get(key)
		slices.SortFunc(samples, func(a, b replicated) int {
			return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.raw.Replica, b.raw.Replica))
		})
		for _, s := range samples {
			if follows(f, s.raw.Replica, s.T) {
				n.count(f, s, out)
			}
		}
	}
	return out
}

// count counts a sample in the slot of its time.
func (n *Increments) count(f *series[flow], s replicated, out *counting.Events) {
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
	f.own = flow{replica: s.raw.Replica}
}

// follows reports whether to count a sample of a replica. It chooses replicas as counters
// do: the first in order whose samples come.
func follows(f *series[flow], replica string, now int64) bool {
	since := now - f.last
	usual := f.gaps.Usual
	soon := usual * 11 / 10
	switch {
	case f.last == 0:
		return true
	case since <= 0: // a second sample of the same time
		return false
	case replica == f.own.replica:
		return f.own.better == 0 || now-f.own.better > soon
	case usual == 0:
		return since > counting.MaxScrape
	case replica < f.own.replica && since < usual/2:
		f.own.better = now
		return false
	}
	return replica < f.own.replica || since > soon
}
