package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/slo"
)

// slots writes the rules of the events of a slot. Where these follow from what
// is measured, that is recorded first, under names of its own.
func (w *ruleWriter) slots(o Options) error {
	first := "slot"
	if w.s.Slice != nil || w.s.NoDataBad {
		first = "minute"
	}
	if _, ok := w.s.Indicator.Measure().(slo.Parts); ok {
		if err := w.worstOf(first, o); err != nil {
			return err
		}
	} else {
		c, err := newCounting(w.s.Indicator, w.sel, o, w.split)
		if err != nil {
			return err
		}
		w.count(eventPhase, first, w.sel, c)
	}
	if first == "minute" {
		w.derive()
	}
	return nil
}

// Names of the series of slots.
func eventsOf(what string) string { return "slo:" + what + "_events:count" }
func badOf(what string) string    { return "slo:" + what + "_bad_events:count" }

// count writes the rules of slots, with labels beside the SLO's own.
func (w *ruleWriter) count(p phase, what, sel string, c counting, labels ...string) {
	if c.memory.now != "" {
		w.at(memoryPhase)
		w.record(remembered, w.identified(c.memory.expr(remembered, sel, w.split)), labels...)
	}
	events := recent(eventsOf(what), sel)
	w.at(p)
	w.record(eventsOf(what), w.identified(w.alike(c.total)), labels...)
	switch {
	case w.phases == nil:
	case p == eventPhase:
		w.at(badPhase)
	default:
		events = "(\n" + c.total + "\n)" // which reads a few recorded samples only
	}
	w.record(badOf(what), w.identified(w.alike(c.bad(events, w.split.on()))), labels...)
}

// alike gives what is counted the same labels at all instants. So vmalert can
// evaluate many of them by one query.
func (w *ruleWriter) alike(expr string) string {
	if w.phases == nil {
		return expr
	}
	return "sum" + w.split.by() + "(\n" + expr + "\n)"
}

// derive writes the rules of slots that follow from those that are measured:
// slots without data that are bad, and slices of time.
func (w *ruleWriter) derive() {
	events, bad := recent(eventsOf("minute"), w.sel), recent(badOf("minute"), w.sel)
	absent, on := "", w.split.on()
	if w.s.NoDataBad {
		now := "vector(" + slotEnd + ") and on () " + events
		if len(w.split.labels) > 0 {
			now = "0 * " + events + " + " + slotEnd
		}
		w.at(knownPhase)
		w.record(lastKnown, w.identified(memory{now, slo.Remembrance, true}.expr(lastKnown, w.sel, w.split)))
		absent = "(0 * " + recent(lastKnown, w.sel) + " + 1 unless " + on + " " + events + ")"
		events += "\nor " + on + " " + absent
	}
	if w.s.Slice == nil {
		w.count(slotPhase, "slot", w.sel, counting{total: events, other: bad + "\nor " + on + " " + absent})
		return
	}
	// At the ends of slices this is 1, and 0 elsewhere.
	length := w.s.Slice.Length
	ends := "(" + slotEnd + " % " + seconds(length.Duration()) + " == bool 0)"
	total, failed := w.over("sum", eventsOf("minute"), length), w.over("sum", badOf("minute"), length)
	c := counting{
		total: "0 * (\n" + events + "\nor " + on + " (" + total + " and on () vector(" + ends + ") == 1)\n) + " + ends,
		other: "(" + failed + " / " + total + " > bool " + w.s.Slice.Target.BudgetText() + ") * " + ends,
	}
	if absent != "" {
		c.other += "\nor " + on + " " + absent + " * " + ends
	}
	w.count(slotPhase, "slot", w.sel, c)
}

// worstOf writes the rules of slots of which each is one event, a bad one when
// it is in any of the parts.
func (w *ruleWriter) worstOf(what string, o Options) error {
	parts := leaves(w.s)
	var fails []string
	for _, p := range parts {
		sel := w.sel + ",slo_part=" + strconv.Quote(p.ID())
		c, err := newCounting(p.Indicator, sel, o, w.split)
		if err != nil {
			return err
		}
		w.count(eventPhase, "part", sel, c, "slo_part", p.ID())
		target := p.Objective
		if p.Slice != nil {
			target = p.Slice.Target
		}
		fails = append(fails, recent(badOf("part"), sel)+" / "+recent(eventsOf("part"), sel)+" > "+target.BudgetText())
	}
	failing := "clamp_max(count(\n" + strings.Join(fails, "\nor ") + "\n), 1)"
	known := "0 * (count(" + recent(eventsOf("part"), w.sel) + ") == " + strconv.Itoa(len(parts)) + ") + 1"
	w.count(minutePhase, what, w.sel, counting{total: known + "\nor " + failing, other: failing})
	return nil
}

// leaves are what an SLO is made of in the end, each once: itself unless it is a
// worst_of.
func leaves(s *slo.SLO) []*slo.SLO {
	parts, ok := s.Indicator.Measure().(slo.Parts)
	if !ok {
		return []*slo.SLO{s}
	}
	var out []*slo.SLO
	for _, p := range parts {
		for _, leaf := range leaves(p) {
			if !slices.ContainsFunc(out, func(o *slo.SLO) bool { return o.ID() == leaf.ID() }) {
				out = append(out, leaf)
			}
		}
	}
	return out
}

// sparse reports whether an SLO may be without events for long.
func sparse(s *slo.SLO) bool {
	return slices.ContainsFunc(leaves(s), func(leaf *slo.SLO) bool { return leaf.Indicator.Unit() == slo.UnitRuns })
}
