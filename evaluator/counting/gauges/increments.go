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
	seriesMap[counting.Replica]
}

// NewIncrements returns an empty Increments. Samples with the roles of clock make slots
// known.
func NewIncrements(clock counting.Role, perSecond bool) *Increments {
	return &Increments{clock: clock, perSecond: perSecond, seriesMap: seriesMap[counting.Replica]{}}
}

// Clone implements counting.Method.
func (n *Increments) Clone() counting.Method {
	return &Increments{clock: n.clock, perSecond: n.perSecond, seriesMap: n.clone()}
}

// Forget implements counting.Method.
func (n *Increments) Forget(now, _ int64) {
	n.forget(now - counting.Memory)
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
		f := n.get(key)
		slices.SortFunc(samples, func(a, b replicated) int {
			return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.raw.Replica, b.raw.Replica))
		})
		for _, s := range samples {
			if s.T > f.last && f.own.Follows(s.raw.Replica, s.T, f.last, func() int64 { return f.gaps.Usual }) {
				n.count(f, s, out)
			}
		}
	}
	return out
}

// count counts a sample in the slot of its time.
func (n *Increments) count(f *series[counting.Replica], s replicated, out *counting.Events) {
	events := s.V
	if n.perSecond {
		// A rate does not count in a gap, nor before the first sample.
		events *= float64(min(s.T-f.last, 2*cmp.Or(f.gaps.Usual, counting.MaxScrape))) / 1000
		if f.last == 0 {
			events = 0
		}
	}
	out.Add(timeline.SlotEnd(s.T), s.raw, timeline.Rounded(events))
	f.tick(s.T, s.raw.Roles&n.clock != 0, out)
}
