package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"
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

// recordTier writes the rules of what a tier says.
func (w *ruleWriter) recordTier(f firingTier) {
	labels := []string{"severity", f.Severity, "tier", f.Name}
	begins := f.join(func(h holding) string { return h.begins() })
	if f.For > 0 {
		w.record(tierPending, begins, labels...)
		pending := tierPending + "{" + w.sel + f.matchers() + "}"
		minutes := int64(f.For / time.Minute)
		if w.phases == nil {
			begins = "last_over_time(" + pending + "[30s]) and count_over_time(" + pending + "[" + spanOf(f.For+30*time.Second) + "]) >= " + strconv.FormatInt(minutes+1, 10)
		} else {
			begins = "(" + begins + ") and on (slo_id) count_over_time(" + pending + "[" + spanOf(f.For) + "] offset 30s) >= " + strconv.FormatInt(minutes, 10)
		}
	}
	goesOn := f.join(func(h holding) string {
		if h.tier.Runs > 0 {
			return h.rules.now(badRuns, "") + " > 0\nand on (slo_id) " + w.fired(f)
		}
		if f.For == 0 && h.tier.Reset >= h.tier.Factor && !h.guarded() {
			return ""
		}
		return h.burn(h.tier.Reset) + "\nand on (slo_id) " + w.fired(f)
	})
	if goesOn != "" {
		begins += either + goesOn
	}
	w.record(tierBurn, begins, labels...)
}

// join is the expression for all that have a tier.
func (f firingTier) join(expr func(h holding) string) string {
	var all []string
	for _, h := range f.of {
		if text := expr(h); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, either)
}

// either has the first of two series of an SLO or a group, whatever their other
// labels are.
const either = "\nor on (slo_id)\n"

// matchers select the series of a tier among those of an SLO.
func (f firingTier) matchers() string {
	return ",severity=" + strconv.Quote(f.Severity) + ",tier=" + strconv.Quote(f.Name)
}

// fired is the burn rate of a tier that fired at the evaluation before this. What
// does no longer ends with a stale marker; where rules stood still there is none,
// and in Prometheus it is as it was for 5 minutes.
func (w *ruleWriter) fired(f firingTier) string {
	if f.KeepFiringFor == 0 && w.phases == nil {
		return tierBurn + "{" + w.sel + f.matchers() + "}"
	}
	return f.last(w.sel, f.KeepFiringFor+time.Minute)
}

// fires is the burn rate of a tier while it fires, the time included that it is
// kept firing.
func (f firingTier) fires(sel string) string { return f.last(sel, f.KeepFiringFor) }

// last is what was recorded of a tier since a time ago.
func (f firingTier) last(sel string, ago time.Duration) string {
	return "last_over_time(" + tierBurn + "{" + sel + f.matchers() + "}[" + spanOf(ago+30*time.Second) + "])"
}

func spanOf(d time.Duration) string { return model.Duration(d).String() }

// begins is the condition for a tier to begin. Its value is the burn rate over the
// long window, or the number of bad runs in a row.
func (h holding) begins() string {
	if h.tier.Runs > 0 {
		return h.rules.now(badRuns, "") + " >= " + strconv.Itoa(h.tier.Runs)
	}
	factor := h.tier.Factor
	if h.tier.Significance > 0 {
		factor = max(factor, 1) // no more than what is allowed is never beyond chance
	}
	all := []string{h.burn(factor)}
	for _, guard := range h.guards() {
		all = append(all, "("+guard+")")
	}
	return strings.Join(all, "\nand on (slo_id) ")
}

// burn asks for burn rates over both windows.
func (h holding) burn(factor float64) string {
	over := " > " + floatText(factor)
	if h.tier.Long == h.tier.Short {
		return h.rate(h.tier.Long) + over
	}
	return h.rate(h.tier.Long) + over + " and on (slo_id) " + h.rate(h.tier.Short) + over
}

func (h holding) rate(win slo.Window) string {
	return h.rules.now("slo_burn_rate", ",window="+strconv.Quote(win.String()))
}

// guarded reports whether a tier asks for more than burn rates to begin.
func (h holding) guarded() bool {
	return h.tier.MinBad > 0 || h.tier.MinBudget > 0 || h.tier.Significance > 0
}

// guards are what else must hold for a tier to begin.
func (h holding) guards() []string {
	n := h.rules.sums(h.tier.Long)
	var out []string
	if h.tier.MinBad > 0 {
		out = append(out, n.bad+" >= "+floatText(h.tier.MinBad))
	}
	if h.tier.MinBudget > 0 {
		// What is not known of the SLO's window is taken to be like the rest.
		out = append(out, n.bad+" >= on (slo_id) "+floatText(h.tier.MinBudget)+
			" * "+h.rules.now("slo_error_budget_events", "")+" / "+h.rules.now("slo_coverage_ratio", ""))
	}
	if h.tier.Significance > 0 {
		out = append(out, h.beyondChance(n.bad))
	}
	return out
}

// beyondChance asks whether the bad events of the long window are more than chance
// gives an SLO that only just keeps its objective. PromQL has no binomial
// distribution, but a bound of its tail (Hoeffding 1963, theorem 1): of n events
// that are each bad with probability p, the probability of n*q or more bad ones is
// at most exp(-n*(q*ln(q/p) + (1-q)*ln((1-q)/(1-p)))), for q > p. So a few bad
// events more are asked for than by an exact test, and never fewer.
// The n events are the bad ones by their share, for a total may be less.
func (h holding) beyondChance(bad string) string {
	o, rate := h.rules.s.Objective, h.rate(h.tier.Long)
	good := "clamp_min(1 - " + o.BudgetText() + " * " + rate + ", 1e-12)"
	return bad + " * on (slo_id) (ln(" + rate + ") + " +
		good + " * ln(" + good + " / " + o.RatioText() + ") / (" + o.BudgetText() + " * " + rate + ")) >= " + floatText(-math.Log(h.tier.Significance))
}
