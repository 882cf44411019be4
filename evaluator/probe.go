package evaluator

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/slowburn-slo/slowburn/slo"
)

// probe counts the slots of 0/1 gauges: each series has one event in each slot
// in which it has samples, a bad one when any of them is 0.
type probe struct {
	absent bool // a series that is gone goes on with bad events
	late   bool // what is fed may not have come yet, and is not gone
	gauges map[uint64]*gauge
}

// gauge is what is remembered of a series.
type gauge struct {
	last int64 // time of the last sample
	gaps gaps
}

func newProbe(absent bool) *probe {
	return &probe{absent: absent, gauges: map[uint64]*gauge{}}
}

func (p *probe) clone() accounts {
	out := newProbe(p.absent)
	out.late = true
	for key, g := range p.gauges {
		copied := *g
		out.gauges[key] = &copied
	}
	return out
}

func (p *probe) forget(now, _ int64) {
	remember := memory
	if p.absent {
		remember = slo.Remembrance.Milliseconds()
	}
	maps.DeleteFunc(p.gauges, func(_ uint64, g *gauge) bool { return now-g.last > remember })
}

func (p *probe) interval() int64 {
	least := int64(0)
	for _, g := range p.gauges {
		if between := g.gaps.between(); between > 0 && (least == 0 || between < least) {
			least = between
		}
	}
	return least
}

func (p *probe) hold(batch []rawSeries, end, settled Minute) Minute {
	w := waiting{end: end.millis()}
	newest := map[uint64]int64{}
	for key, g := range p.gauges {
		newest[key] = g.last
	}
	for i := range batch {
		if n := len(batch[i].samples); n > 0 {
			newest[batch[i].key] = max(newest[batch[i].key], batch[i].samples[n-1].t)
		}
	}
	for key, last := range newest {
		usual := int64(0)
		if g := p.gauges[key]; g != nil {
			usual = g.gaps.between()
		}
		w.add(last, usual, settled)
	}
	return w.hold(settled)
}

func (p *probe) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(roleTotal, from, to)
	p.forget(from.millis(), 0)
	bySeries := map[uint64][]rawSeries{}
	for _, s := range batch {
		if s.samples = between(s.samples, from.millis(), to.millis()); len(s.samples) > 0 {
			bySeries[s.key] = append(bySeries[s.key], s)
		}
	}
	for key, replicas := range bySeries {
		if p.gauges[key] == nil {
			p.gauges[key] = &gauge{}
		}
		slices.SortFunc(replicas, func(a, b rawSeries) int { return cmp.Compare(a.replica, b.replica) })
	}
	for key, g := range p.gauges {
		for m := from + 1; m <= to; m++ {
			p.slot(g, bySeries[key], m, out)
		}
	}
	return out
}

// slot counts a slot of a series: by the first of its replicas that has samples
// in it.
func (p *probe) slot(g *gauge, replicas []rawSeries, end Minute, out *tally) {
	i := int(end-out.from) - 1
	for _, s := range replicas {
		samples := between(s.samples, (end - 1).millis(), end.millis())
		if len(samples) == 0 {
			continue
		}
		out.total[i]++
		if slices.ContainsFunc(samples, func(x sample) bool { return x.v == 0 }) {
			out.bad[i]++
		}
		for _, x := range samples {
			g.tick(x.t, out)
		}
		return
	}
	gone := end.millis() - g.last
	if p.absent && !p.late && g.last > 0 && gone > g.gaps.patience() && gone <= slo.Remembrance.Milliseconds() {
		out.total[i]++
		out.bad[i]++
		out.known[i] = true
		out.alive = max(out.alive, end.millis())
	}
}

// tick makes the time since the last sample known, as far as that is near.
func (g *gauge) tick(now int64, out *tally) {
	if g.last != 0 && now > g.last {
		if now-g.last <= g.gaps.limit() {
			out.mark(slotEnd(g.last-g.gaps.first(now-g.last)+1)-1, slotEnd(now))
		}
		g.gaps.push(now - g.last)
	}
	out.known[slotEnd(now)-out.from-1] = true
	g.last = max(g.last, now)
	out.newest = max(out.newest, now)
}

// waiting finds until when slots can be settled, when samples come late.
type waiting struct {
	end      int64
	all      int
	late     int
	earliest Minute
}

// add adds a series or a target with the time of its last sample and the usual
// time between two, 0 when that isn't known.
func (w *waiting) add(last, usual int64, settled Minute) {
	// What is late by so much is gone, and not waited for.
	if gone := max(lag.millis(), twice(usual)); last <= w.end-gone {
		return
	}
	w.all++
	if usual == 0 {
		return
	}
	if w.late == 0 {
		w.earliest = math.MaxInt64
	}
	// The next sample is due then, at the earliest.
	if due := Minute((last + usual*9/10) / 60_000); due < settled {
		w.late++
		w.earliest = min(w.earliest, due)
	}
}

// hold is the instant up to which slots can be settled. A single one among many
// that is late is not waited for: it is gone.
func (w *waiting) hold(settled Minute) Minute {
	if w.late == 0 || w.late*10 < w.all {
		return settled
	}
	return w.earliest
}
