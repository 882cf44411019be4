package rules

import (
	"slices"
	"strconv"

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

// eventsOf returns the name of the series of slots: all events, and with a label the bad ones.
func eventsOf(what string) string { return "slo:" + what + ":events" }

// Matchers of the two series.
const (
	totalOnly = `,result=""`
	badOnly   = `,result="bad"`
)

// count writes the rules of slots, with labels beside the SLO's own.
func (w *ruleWriter) count(p phase, what, sel string, c counting, labels ...string) {
	if c.memory.keep > 0 {
		w.at(memoryPhase)
		w.record(remembered, w.identified(c.memory.expr(remembered, sel, w.split)), labels...)
	}
	w.at(p)
	if c.growth.text != "" {
		w.record(grown, c.growth, labels...)
	}
	w.record(eventsOf(what), w.identified(w.alike(c.total)), labels...)
	events := recent(eventsOf(what), sel+totalOnly)
	switch {
	case w.phases == nil:
	case p == eventPhase:
		w.at(badPhase)
	default:
		events = c.total // which reads a few recorded samples only
	}
	w.record(eventsOf(what), w.identified(w.alike(c.bad(events, w.split.on()))), append(labels, "result", "bad")...)
}

// alike gives what is counted the same labels at all instants. So vmalert can
// evaluate many of them by one query.
func (w *ruleWriter) alike(e expr) expr {
	if w.phases == nil {
		return e
	}
	return w.split.aggregate("sum", e)
}

// derive writes the rules of slots that follow from those that are measured:
// slots without data that are bad, and slices of time.
func (w *ruleWriter) derive() {
	measured, failed, on := recent(eventsOf("minute"), w.sel+totalOnly), recent(eventsOf("minute"), w.sel+badOnly), w.split.on()
	events, absent := measured, expr{}
	if w.s.NoDataBad {
		now := call("vector", slotEnd()).andOn("on ()", measured)
		if len(w.split.labels) > 0 {
			now = measured.zero().plus(slotEnd())
		}
		known := memory{now, slo.Remembrance, true}
		w.at(slotPhase)
		w.record(lastKnown, w.identified(known.expr(lastKnown, w.sel, w.split)))
		absent = known.before(lastKnown, w.sel, w.split).zero().plus(raw("1")).unlessOn(on, measured)
		events = measured.orOn(on, absent)
	}
	if w.s.Slice == nil {
		w.count(slotPhase, "slot", w.sel, counting{total: events, other: failed.orOn(on, absent)})
		return
	}
	// At the ends of slices this is 1, and 0 elsewhere.
	length := w.s.Slice.Length
	ends := slotEnd().remainder(seconds(length.Duration())).is("== bool", raw("0"))
	n := w.direct("minute", length)
	over := n.total.andOn("on ()", call("vector", ends).is("==", raw("1")))
	failing := n.share().is("> bool", raw(w.s.Slice.Target.BudgetText()))
	c := counting{total: events.orOn(on, over).zero().plus(ends), other: failing.times(ends)}
	if w.s.NoDataBad {
		c.other = c.other.orOn(on, absent.times(ends))
	}
	w.count(slotPhase, "slot", w.sel, c)
}

// worstOf writes the rules of slots of which each is one event, a bad one when
// it is in any of the parts.
func (w *ruleWriter) worstOf(what string, o Options) error {
	parts := w.s.Leaves()
	var fails []expr
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
		n := sums{total: recent(eventsOf("part"), sel+totalOnly), bad: recent(eventsOf("part"), sel+badOnly)}
		fails = append(fails, n.share().above(target.BudgetText()))
	}
	failing := oneEvent(call("count", or(fails...)))
	known := call("count", recent(eventsOf("part"), w.sel+totalOnly)).is("==", raw(strconv.Itoa(len(parts))))
	w.count(minutePhase, what, w.sel, counting{total: or(known.zero().plus(raw("1")), failing), other: failing})
	return nil
}

// sparse reports whether an SLO may be without events for long.
func sparse(s *slo.SLO) bool {
	return slices.ContainsFunc(s.Leaves(), func(leaf *slo.SLO) bool { return leaf.Indicator.Unit() == slo.UnitRuns })
}
