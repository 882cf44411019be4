package gauges

import (
	"cmp"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Probe counts the slots of 0/1 gauges. Each series has one event in each slot with
// samples. The event is bad if any of them is 0.
type Probe struct {
	absent bool // a series that is gone continues with bad events
	late   bool // samples may be late, so no series is gone
	seriesMap[struct{}]
}

// NewProbe returns an empty Probe. With absent, series that vanish are bad.
func NewProbe(absent bool) *Probe {
	return &Probe{absent: absent, seriesMap: seriesMap[struct{}]{}}
}

// Clone implements counting.Method.
func (p *Probe) Clone() counting.Method {
	return &Probe{absent: p.absent, late: true, seriesMap: p.clone()}
}

// Forget implements counting.Method.
func (p *Probe) Forget(now, _ int64) {
	remember := counting.Memory
	if p.absent {
		remember = slo.Remembrance.Milliseconds()
	}
	p.forget(now - remember)
}

// Feed implements counting.Method.
func (p *Probe) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(counting.RoleTotal, from, to)
	p.Forget(from.Millis(), 0)
	bySeries := map[uint64][]counting.RawSeries{}
	for _, s := range batch {
		if s.Samples = backend.Between(s.Samples, from.Millis(), to.Millis()); len(s.Samples) > 0 {
			bySeries[s.Key] = append(bySeries[s.Key], s)
		}
	}
	for key, replicas := range bySeries {
		p.get(key)
		slices.SortFunc(replicas, func(a, b counting.RawSeries) int { return cmp.Compare(a.Replica, b.Replica) })
	}
	for key, g := range p.seriesMap {
		for m := from + 1; m <= to; m++ {
			p.slot(g, bySeries[key], m, out)
		}
	}
	return out
}

// slot counts a slot of a series, by the first of its replicas with samples.
func (p *Probe) slot(g *series[struct{}], replicas []counting.RawSeries, end timeline.Minute, out *counting.Events) {
	for _, s := range replicas {
		samples := backend.Between(s.Samples, (end - 1).Millis(), end.Millis())
		if len(samples) == 0 {
			continue
		}
		bad := 0.0
		if slices.ContainsFunc(samples, func(x backend.Sample) bool { return x.V == 0 }) {
			bad = 1
		}
		out.AddTo(end, 1, bad)
		for _, x := range samples {
			g.tick(x.T, true, out)
		}
		return
	}
	gone := end.Millis() - g.last
	if p.absent && !p.late && g.last > 0 && gone > g.gaps.Patience() && gone <= slo.Remembrance.Milliseconds() {
		out.CountEvent(end, true)
	}
}
