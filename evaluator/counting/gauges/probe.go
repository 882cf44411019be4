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
	gauges seriesMap[struct{}]
}

// NewProbe returns an empty Probe. With absent, series that vanish are bad.
func NewProbe(absent bool) *Probe {
	return &Probe{absent: absent, gauges: seriesMap[struct{}]{}}
}

// Clone implements counting.Method.
func (p *Probe) Clone() counting.Method {
	out := NewProbe(p.absent)
	out.late = true
	out.gauges = p.gauges.clone()
	return out
}

// Forget implements counting.Method.
func (p *Probe) Forget(now, _ int64) {
	remember := counting.Memory
	if p.absent {
		remember = slo.Remembrance.Milliseconds()
	}
	p.gauges.forget(now - remember)
}

// Interval implements counting.Method.
func (p *Probe) Interval() int64 { return p.gauges.interval() }

// Hold implements counting.Method.
func (p *Probe) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	return p.gauges.hold(batch, end, settled)
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
		p.gauges.get(key)
		slices.SortFunc(replicas, func(a, b counting.RawSeries) int { return cmp.Compare(a.Replica, b.Replica) })
	}
	for key, g := range p.gauges {
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
			tick(g, x.T, out)
		}
		return
	}
	gone := end.Millis() - g.last
	if p.absent && !p.late && g.last > 0 && gone > g.gaps.Patience() && gone <= slo.Remembrance.Milliseconds() {
		out.CountEvent(end, true)
	}
}

// tick marks the time since the last sample as known, if it is near enough.
func tick(g *series[struct{}], now int64, out *counting.Events) {
	if g.last != 0 && now > g.last {
		if now-g.last <= g.gaps.Limit() {
			out.MarkKnown(timeline.SlotEnd(g.last-g.gaps.FirstGap(now-g.last)+1)-1, timeline.SlotEnd(now))
		}
		g.gaps.Push(now - g.last)
	}
	out.MarkKnown(timeline.SlotEnd(now)-1, timeline.SlotEnd(now))
	g.last = max(g.last, now)
	out.SeeClock(now)
}
