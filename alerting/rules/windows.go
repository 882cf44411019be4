package rules

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// The recorded sums, of all events and by a label of the bad ones. Those of windows over
// 6 h are added up in a group of their own, and each minute recorded with the others.
const (
	quarterEvents = "slo:quarter:events"
	quarterSlots  = "slo:quarter:slots"
	longEvents    = "slo:long:events"
	longSlots     = "slo:long:slots"
	windowRatio   = "slo:window:bad_ratio"
	windowEvents  = "slo:window:events"
)

// windows are all windows of the policy and the SLO's own, ascending.
func (w *ruleWriter) windows() []slo.Window { return alerting.Windows(w.tiers, w.s.Window.Length) }

// windowSums writes the sums of slots over the windows. Those of bad events are never
// negative, though single slots may be.
func (w *ruleWriter) windowSums() {
	if w.s.Window.Length > LongestDirect {
		// One second short of a quarter of an hour: 15 samples a minute
		// apart, whether a range is open or closed on the left.
		w.record(quarterEvents, w.over("sum", eventsOf("slot"), "", tile))
		w.record(quarterSlots, w.knownSlots(tile))
	}
	short := func(win slo.Window) bool { return win <= LongestDirect }
	events := w.eachWindow(short, func(win slo.Window) expr { return w.over("sum", eventsOf("slot"), "", win) })
	if w.s.Window.Length > LongestDirect {
		events = append(events, w.lastLong(longEvents))
	}
	w.record(windowEvents, or(events...).notNegative())
}

// eachWindow is an expression for some windows, with the label window.
func (w *ruleWriter) eachWindow(which func(slo.Window) bool, of func(slo.Window) expr) []expr {
	var all []expr
	for _, win := range w.windows() {
		if which(win) {
			all = append(all, relabelled(of(win), "window", win.String(), "", ""))
		}
	}
	return all
}

// longRules are the rules that add up the windows over 6 h, more seldom than each
// minute: 30 d are 2,880 quarters of an hour. The steps of a subquery are quarters
// of the clock, so they neither overlap nor leave gaps.
func (w *ruleWriter) longRules() {
	long := func(win slo.Window) bool { return win > LongestDirect }
	w.record(longEvents, or(w.eachWindow(long, func(win slo.Window) expr { return w.tiles(quarterEvents, "", win) })...))
	w.record(longSlots, w.tiles(quarterSlots, "", w.s.Window.Length))
}

// longInterval is how often the long windows are summed. It is three times as
// long for windows over 90 d, which have up to 35,040 quarters of an hour, and
// where it is known when a quarter of an hour is complete.
func (w *ruleWriter) longInterval() time.Duration {
	if w.phases != nil || w.s.Window.Length > slo.Window(90*24*time.Hour) {
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// lastLong returns the last record of the group of long windows. One missed evaluation
// leaves no gap.
func (w *ruleWriter) lastLong(record string) expr {
	return overTime("last", record+"{"+w.sel+"}", model.Duration(2*w.longInterval()+time.Minute).String())
}

// tiles is the sum of a recorded series of quarters over a window. The range is a
// millisecond less than the window: as long as can be without two ends on the grid in
// Prometheus 2, whose ranges are closed.
func (w *ruleWriter) tiles(record, matchers string, win slo.Window) expr {
	span := "[" + rangeText(slo.Window(quarters(win))*tile) + "999ms:" + tile.String() + "]"
	return call("sum_over_time", raw(w.atQuarter(record+"{"+w.sel+matchers+"}")+span))
}

// quarters is how many quarters of an hour cover a window.
func quarters(w slo.Window) int64 { return int64((w + tile - 1) / tile) }

// sums are the sums of slots over a window, or over several by the label window.
type sums struct {
	total, bad, both expr
	recordedRatio    expr // of bad events; the zero value where it can't be read yet
}

func newSums(of func(result string) expr) sums {
	return sums{total: of(totalOnly), bad: of(badOnly), both: of("")}
}

// sums are the recorded sums of a window; those of a short one that isn't recorded are
// added up. They may have the label window.
func (w *ruleWriter) sums(win slo.Window) sums {
	if !slices.Contains(w.windows(), win) {
		return w.direct("slot", win)
	}
	return w.recorded(",window=" + strconv.Quote(win.String()))
}

func (w *ruleWriter) recorded(matchers string) sums {
	n := newSums(func(result string) expr { return w.now(windowEvents, result+matchers) })
	if w.phases == nil {
		n.recordedRatio = w.now(windowRatio, matchers)
	}
	return n
}

// direct adds up slots, or the minutes that these are made of.
func (w *ruleWriter) direct(what string, win slo.Window) sums {
	return newSums(func(result string) expr { return w.over("sum", eventsOf(what), result, win) })
}

// share is bad events / all events, as they are.
func (n sums) share() expr { return infix(n.bad, "/ ignoring (result)", n.total) }

// good are the events that are not bad.
func (n sums) good() expr { return infix(n.total, "- ignoring (result, window)", n.bad) }

// badShare is the ratio of events that are bad, absent where there are none. There
// are at least as many events as bad ones: bad / 0 is infinite, and 1 then.
func (n sums) badShare() expr {
	if n.recordedRatio.text != "" {
		return n.recordedRatio
	}
	return call("clamp", n.share(), raw("0"), raw("1")).is(">=", raw("0"))
}

// burn is the burn rate: 0 without events. Neither has a name, or MetricsQL would
// take them for two series.
func (n sums) burn(budget string) expr {
	return or(n.badShare().dividedBy(raw(budget)), n.total.is("==", raw("0")).zero())
}

// events are all events: at least as many as the bad ones.
func (n sums) events() expr { return bare(n.both) }

// bare removes the labels result and window.
func bare(e expr) expr { return call("max without (result, window) ", e) }

// unlabelled removes the label window.
func unlabelled(e expr) expr { return call("max without (window) ", e) }

// facts writes what the SLO file says.
func (w *ruleWriter) facts() {
	info := []string{"source", "rules", "owner", w.s.Owner, "window", w.s.Window.String()}
	w.record("slo_info", w.constant("1"), append(info, sortedPairs(w.s.Labels)...)...)
	w.record("slo_objective_ratio", w.byObjective(func(p *ruleWriter) expr { return p.constant(p.s.Objective.RatioText()) }))
}

// burnRates writes the burn rates over the windows of the policy. Over the SLO's own
// window it is the budget consumed, which has a metric of its own.
func (w *ruleWriter) burnRates() {
	if w.phases == nil {
		w.record(windowRatio, newSums(func(result string) expr { return w.now(windowEvents, result) }).badShare())
	}
	if len(w.windows()) == 1 {
		return
	}
	w.record("slo_burn_rate", w.byObjective(func(p *ruleWriter) expr {
		return p.recorded(",window!=" + strconv.Quote(p.s.Window.Length.String())).burn(p.s.Objective.BudgetText())
	}))
}

// budget writes what the SLO's own window holds.
func (w *ruleWriter) budget() {
	n := w.sums(w.s.Window.Length)
	w.record("slo_window_events", n.good().notNegative(), "result", "good")
	w.record("slo_window_events", unlabelled(n.bad), "result", "bad")
	w.record("slo_sli_ratio", raw("1").minus(unlabelled(n.badShare())))
	w.coverage()
	w.record("slo_error_budget_events", w.byObjective(func(p *ruleWriter) expr {
		return p.sums(p.s.Window.Length).events().times(raw(p.s.Objective.BudgetText()))
	}))
	w.record("slo_error_budget_remaining_ratio", w.remaining())
}

// remaining is the share of the budget that is left: all of it without events.
func (w *ruleWriter) remaining() expr {
	if w.phases == nil {
		return w.byObjective(func(p *ruleWriter) expr {
			taken := raw("1").minus(p.now("slo_sli_ratio", "")).dividedBy(raw(p.s.Objective.BudgetText()))
			return or(raw("1").minus(taken), raw("1").plus(p.now("slo_error_budget_events", "").is("==", raw("0"))))
		})
	}
	return w.byObjective(func(p *ruleWriter) expr {
		return raw("1").minus(unlabelled(p.sums(p.s.Window.Length).burn(p.s.Objective.BudgetText())))
	})
}

// coverage writes the share of the slots that are known.
func (w *ruleWriter) coverage() {
	own := w.s.Window.Length
	known, most := w.knownSlots(own), int64(own.Duration()/time.Minute)
	if own > LongestDirect {
		known, most = w.lastLong(longSlots), quarters(own)*int64(tile.Duration()/time.Minute)
	}
	share := known.dividedBy(raw(strconv.FormatInt(most, 10)))
	if own > LongestDirect {
		share = share.atMost("1")
	}
	switch {
	case len(w.split.labels) > 0:
	case w.phases == nil:
		share = share.orOn("on ()", raw("vector(0)"))
	default:
		share = call("max", or(share, raw("vector(0)"))) // under the same labels at all instants
	}
	w.record("slo_coverage_ratio", share)
}

// state writes the state of the data.
func (w *ruleWriter) state() {
	n := w.sums(alerting.PageWindow(w.tiers))
	lately := w.knownSlots(slo.Window(5 * time.Minute))
	w.record("slo_data_state", w.constant("1").unlessOn(w.same(), lately), "state", "no_data")
	ok := lately.zero().plus(raw("1"))
	if sparse(w.s) {
		w.record("slo_data_state", ok, "state", "ok")
		return
	}
	// Bad events without a total are traffic.
	idle := n.events().is("==", raw("0"))
	noTraffic := ok.andOn(w.same(), idle)
	ok = ok.unlessOn(w.same(), idle)
	if w.phases == nil {
		noTraffic = idle.plus(raw("1")).unlessOn(w.same(), w.now("slo_data_state", `,state="no_data"`))
		ok = w.constant("1").unlessOn(w.same(), w.now("slo_data_state", `,state!="ok"`))
	}
	w.record("slo_data_state", noTraffic, "state", "no_traffic")
	w.record("slo_data_state", ok, "state", "ok")
}

// over is a function over the time of a window of a recorded series of this SLO.
func (w *ruleWriter) over(fn, record, matchers string, win slo.Window) expr {
	return call(fn+"_over_time", w.selector(record, matchers, "["+rangeText(win)+"]"))
}

// knownSlots is the number of known slots of a window.
func (w *ruleWriter) knownSlots(win slo.Window) expr {
	return w.over("count", eventsOf("slot"), totalOnly, win)
}

// rangeText is one second less than the window, and so holds exactly the
// samples of a window that come at whole parts of it: a range is closed on the
// left in Prometheus 2 and open in 3.
func rangeText(w slo.Window) string {
	seconds := int64(w.Duration()/time.Second) - 1
	var b []byte
	for _, unit := range []struct {
		seconds int64
		name    byte
	}{{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}} {
		if n := seconds / unit.seconds; n > 0 {
			b = append(strconv.AppendInt(b, n, 10), unit.name)
			seconds %= unit.seconds
		}
	}
	return string(b)
}
