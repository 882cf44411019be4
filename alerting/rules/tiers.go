package rules

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// What a tier says is recorded, because it goes on by less than it begins by: the
// next evaluation reads it.
const (
	// tierBurn is the burn rate over the long window of a tier while it fires, but
	// for the time that it is kept firing. Of a tier that counts runs it is their number.
	tierBurn = "slo:alert_tier:burn"
	// tierPending is the same while a tier holds that must for a time.
	tierPending = "slo:alert_tier_pending:burn"
	// budgetTaken and evidence are the share of the budget that the bad events of a
	// window take, and how unlikely they are by chance.
	budgetTaken = "slo:window:budget"
	evidence    = "slo:window:evidence"
)

// firingTier is a tier of an alert, as it is for the whole SLO or for the groups
// of each objective that have it.
type firingTier struct {
	alerting.Tier
	of []holding
}

// holding is a tier of the whole SLO, or of the groups that have one objective.
type holding struct {
	rules *ruleWriter
	tier  alerting.Tier
}

// firingTiers are the tiers of a severity. They are told apart by objectives where
// these matter.
func (w *ruleWriter) firingTiers(severity string) []firingTier {
	parts := []*ruleWriter{w}
	if slices.ContainsFunc(w.parts, func(p *ruleWriter) bool {
		return !slices.Equal(p.tiers, w.tiers) || slices.ContainsFunc(p.tiers, func(t alerting.Tier) bool { return t.Significance > 0 })
	}) {
		parts = w.parts
	}
	var out []firingTier
	for _, p := range parts {
		for _, t := range p.tiers {
			if t.Severity != severity {
				continue
			}
			i := slices.IndexFunc(out, func(f firingTier) bool { return f.Name == t.Name })
			if i < 0 {
				i, out = len(out), append(out, firingTier{Tier: t})
			}
			out[i].of = append(out[i].of, holding{p, t})
		}
	}
	return out
}

// same matches the series of the SLO, or those of each group, whatever their other labels are.
func (w *ruleWriter) same() string {
	if len(w.split.labels) == 0 {
		return "on ()"
	}
	return "on (slo_id)"
}

// recordTier writes the rules of a tier.
func (w *ruleWriter) recordTier(f firingTier) {
	labels := []string{"severity", f.Severity, "tier", f.Name}
	if f.For == 0 {
		w.record(tierBurn, f.ofAny(func(h holding) expr { return h.holds(w.fired(f)) }), labels...)
		return
	}
	begins := f.ofAny(func(h holding) expr { return h.begins() })
	goesOn := f.ofAny(func(h holding) expr { return h.goesOn(w.fired(f)) })
	w.record(tierPending, begins, labels...)
	w.record(tierBurn, w.pending(f, begins).orOn(w.same(), goesOn), labels...)
}

// holds is the condition for a tier that needn't hold for a time to begin or to go on.
func (h holding) holds(fired expr) expr {
	burns := h.burn(h.factor())
	switch {
	case h.tier.Runs > 0:
		return h.begins().orOn(h.rules.same(), h.goesOn(fired))
	case h.tier.Reset < h.factor():
		return h.burn(h.tier.Reset).andOn(h.rules.same(), h.begins().orOn(h.rules.same(), fired))
	case h.guarded():
		return burns.andOn(h.rules.same(), h.allHold(h.guards()...).orOn(h.rules.same(), fired))
	}
	return burns
}

// goesOn is the condition for a tier that fired to go on.
func (h holding) goesOn(fired expr) expr {
	if h.tier.Runs > 0 {
		return h.rules.now(badRuns, "").above("0").andOn(h.rules.same(), fired)
	}
	return h.burn(h.tier.Reset).andOn(h.rules.same(), fired)
}

// pending is a tier that has begun once its condition held for long enough. To vmalert
// that is without what it has just recorded.
func (w *ruleWriter) pending(f firingTier, begins expr) expr {
	selector, minutes := tierPending+"{"+w.sel+f.matchers()+"}", int64(f.For/time.Minute)
	if w.phases == nil {
		held := overTime("count", selector, spanOf(f.For+30*time.Second))
		return overTime("last", selector, "30s").and(held.is(">=", raw(strconv.FormatInt(minutes+1, 10))))
	}
	held := call("count_over_time", raw(selector+"["+spanOf(f.For)+"] offset 30s"))
	return begins.andOn(w.same(), held.is(">=", raw(strconv.FormatInt(minutes, 10))))
}

// ofAny is the expression for all that have a tier.
func (f firingTier) ofAny(of func(h holding) expr) expr {
	out := of(f.of[0])
	for _, h := range f.of[1:] {
		out = out.orOn(h.rules.same(), of(h))
	}
	return out
}

// matchers select the series of a tier among those of an SLO: names are unique in a policy.
func (f firingTier) matchers() string { return ",tier=" + strconv.Quote(f.Name) }

// fired is the burn rate of a tier that fired at the evaluation before this. What
// does no longer ends with a stale marker; where rules stood still there is none,
// and in Prometheus it is as it was for 5 minutes.
func (w *ruleWriter) fired(f firingTier) expr {
	if f.KeepFiringFor == 0 && w.phases == nil {
		return raw(tierBurn + "{" + w.sel + f.matchers() + "}")
	}
	return lastBurn(w.sel+f.matchers(), f.KeepFiringFor+time.Minute)
}

// fires is the burn rate of a tier while it fires, the time included that it is
// kept firing.
func (f firingTier) fires(sel string) expr { return lastBurn(sel+f.matchers(), f.KeepFiringFor) }

// lastBurn returns the burn rates of tiers that were recorded since a time ago.
func lastBurn(sel string, ago time.Duration) expr {
	return overTime("last", tierBurn+"{"+sel+"}", spanOf(ago+30*time.Second))
}

func spanOf(d time.Duration) string { return model.Duration(d).String() }

// begins is the condition for a tier to begin. Its value is the burn rate over the
// long window, or the number of bad runs in a row.
func (h holding) begins() expr {
	switch {
	case h.tier.Runs > 0:
		return h.rules.now(badRuns, "").is(">=", raw(strconv.Itoa(h.tier.Runs)))
	case h.guarded():
		return h.allHold(append([]expr{h.burn(h.factor())}, h.guards()...)...)
	}
	return h.burn(h.factor())
}

// factor is by how much a tier must burn to begin.
func (h holding) factor() float64 {
	if h.tier.Significance > 0 {
		return max(h.tier.Factor, 1) // no more than what is allowed is never beyond chance
	}
	return h.tier.Factor
}

// burn compares the burn rates over both windows with a factor.
func (h holding) burn(factor float64) expr {
	long := h.rate(h.tier.Long).above(floatText(factor))
	if h.tier.Long == h.tier.Short {
		return long
	}
	return long.andOn(h.rules.same(), h.rate(h.tier.Short).above(floatText(factor)))
}

func (h holding) rate(win slo.Window) expr {
	return h.rules.now("slo_burn_rate", ",window="+strconv.Quote(win.String()))
}

// guarded reports whether a tier asks for more than burn rates to begin.
func (h holding) guarded() bool {
	return h.tier.MinBad > 0 || h.tier.MinBudget > 0 || h.tier.Significance > 0
}

// guards returns the other conditions for a tier to begin, all over its long window.
func (h holding) guards() []expr {
	window := ",window=" + strconv.Quote(h.tier.Long.String())
	n := sums{bad: h.rules.now(windowEvents, badOnly+window)}
	var all []expr
	if h.tier.MinBad > 0 {
		all = append(all, n.bad.is(">=", raw(floatText(h.tier.MinBad))))
	}
	if h.tier.MinBudget > 0 {
		taken := h.rules.shared(budgetTaken, window, h.rules.budgetTaken(n.bad))
		all = append(all, taken.is(">=", raw(floatText(h.tier.MinBudget))))
	}
	if h.tier.Significance > 0 {
		rate := h.rate(h.tier.Long)
		share := raw(h.rules.s.Objective.BudgetText()).times(rate).atMost("1")
		chance := h.rules.shared(evidence, window, beyondChance(h.rules.s.Objective, n.bad, rate, share))
		all = append(all, chance.is(">=", raw(strconv.FormatFloat(-math.Log(h.tier.Significance), 'f', 4, 64))))
	}
	return all
}

// allHold is the first condition while all hold.
func (h holding) allHold(all ...expr) expr {
	out := all[0]
	for _, e := range all[1:] {
		out = out.andOn(h.rules.same(), e)
	}
	return out
}

// shared returns the guard of a window that sharedGuards recorded, or its expression where
// that can't be read yet.
func (w *ruleWriter) shared(record, window string, same expr) expr {
	if w.phases == nil {
		return w.now(record, window)
	}
	return same
}

// sharedGuards records what tiers of several windows compare.
func (w *ruleWriter) sharedGuards() {
	if w.phases != nil {
		return
	}
	some := func(guarded func(alerting.Tier) bool) bool { return slices.ContainsFunc(w.tiers, guarded) }
	if some(func(t alerting.Tier) bool { return t.MinBudget > 0 }) {
		w.record(budgetTaken, w.budgetTaken(w.recorded("").bad))
	}
	if some(func(t alerting.Tier) bool { return t.Significance > 0 }) {
		w.record(evidence, w.byObjective(func(p *ruleWriter) expr {
			n := p.recorded("")
			return beyondChance(p.s.Objective, n.bad, p.now("slo_burn_rate", ""), n.badShare())
		}))
	}
}

// budgetTaken is the share of the budget that bad events take. What is not known of
// the SLO's window is taken to be like the rest.
func (w *ruleWriter) budgetTaken(bad expr) expr {
	budget := w.now("slo_error_budget_events", "").dividedBy(w.now("slo_coverage_ratio", ""))
	return infix(bad, "/ "+w.same()+" group_left ()", budget)
}

// beyondChance is how far the bad events of a window are more than chance gives an SLO
// that only just keeps its objective: minus the logarithm of a bound of the
// probability. PromQL has no binomial distribution, but a bound of its tail (Hoeffding
// 1963, theorem 1): of n events that are each bad with probability p, the probability
// of n*q or more bad ones is at most exp(-n*(q*ln(q/p) + (1-q)*ln((1-q)/(1-p)))), for
// q > p. So a few bad events more are needed than by an exact test, and never fewer.
// The n events are the bad ones by their share q, for a total may be less.
func beyondChance(o slo.Objective, bad, rate, share expr) expr {
	good := raw("1").minus(share)
	ofGood := call("ln", infix(good.dividedBy(raw(o.RatioText())), "^", good)).dividedBy(share)
	return infix(bad, "* ignoring (result)", call("ln", rate.above("1")).plus(ofGood))
}
