// Package summary decides what is shown of an SLO's status, the same on pages, in tables and
// in reports: which SLOs come first, which groups are below them, which are about to fire,
// which are unknown for one cause, and words for all of it.
//
// It may import slo, evaluator and alerting. A use:
//
//	order := summary.Order{Tiers: policies.Tiers}
//	for _, block := range order.Blocks(slos) {
//		fmt.Println(block.SLO.ID, len(block.Groups))
//	}
package summary

import (
	"cmp"
	"math"
	"slices"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// Condition is the worst problem of an SLO.
type Condition int

// The conditions, the worst first.
const (
	Page     Condition = iota // a page fires
	Spent                     // nothing of the budget is left
	Ticket                    // a ticket fires
	Burning                   // an alert is about to fire
	Unknown                   // the numbers are not those of now
	Doubtful                  // the numbers may be wrong
	Fine
)

// Order orders SLOs by their conditions.
type Order struct {
	// Tiers returns the tiers of an SLO's alert policy. Without it, no SLO is about to fire.
	Tiers func(*slo.SLO) []alerting.Tier
}

// Once returns an order that finds the tiers of each SLO once, to sort by.
func (o Order) Once() Order {
	if o.Tiers == nil {
		return o
	}
	known := map[*slo.SLO][]alerting.Tier{}
	return Order{Tiers: func(s *slo.SLO) []alerting.Tier {
		tiers, ok := known[s]
		if !ok {
			tiers = o.Tiers(s)
			known[s] = tiers
		}
		return tiers
	}}
}

// Condition returns the worst problem of an SLO.
func (o Order) Condition(st *evaluator.Status) Condition {
	switch {
	case Fires(st, slo.Page):
		return Page
	case st.Budget.Remaining != nil && *st.Budget.Remaining <= 0:
		return Spent
	case len(st.Alerts) > 0:
		return Ticket
	case IsUnknown(st):
		return Unknown
	case o.Nearest(st) != nil:
		return Burning
	case len(st.Doubts) > 0:
		return Doubtful
	}
	return Fine
}

// Compare compares two SLOs. The worse one comes first, then the one with less of its
// budget left.
func (o Order) Compare(a, b *evaluator.Status) int {
	return cmp.Or(cmp.Compare(o.Condition(a), o.Condition(b)), cmp.Compare(remaining(a), remaining(b)), cmp.Compare(a.ID, b.ID))
}

// Fires reports whether an alert of a severity fires.
func Fires(st *evaluator.Status, severity string) bool {
	return slices.ContainsFunc(st.Alerts, func(a evaluator.FiringAlert) bool { return a.Severity == severity })
}

// IsOverspent reports whether more than the whole budget is gone.
func IsOverspent(st *evaluator.Status) bool {
	return st.Budget.Remaining != nil && *st.Budget.Remaining < 0
}

// IsUnknown reports whether the numbers are not those of now.
func IsUnknown(st *evaluator.Status) bool {
	return st.State != evaluator.StateOK && st.State != evaluator.StateNoTraffic || st.Budget.Remaining == nil
}

// remaining returns the budget left, for ordering: undefined comes first.
func remaining(st *evaluator.Status) float64 {
	if st.Budget.Remaining == nil {
		return math.Inf(-1)
	}
	return *st.Budget.Remaining
}

// Burn is how near an alert is to firing.
type Burn struct {
	Tier alerting.Tier
	Rate float64 // the lower one of those of its two windows
}

// nearly is the share of a tier's factor from which on it is about to fire.
const nearly = 0.5

// Nearest returns the tier that is nearest to firing, pages first, or nil if none is about
// to. Both of its windows burn at more than half of its factor, and faster than the
// objective allows.
func (o Order) Nearest(st *evaluator.Status) *Burn {
	hot := func(w evaluator.WindowStatus) bool { return w.BurnRate != nil && *w.BurnRate > 1 }
	if o.Tiers == nil || st.Spec == nil || len(st.Windows) < 2 || !slices.ContainsFunc(st.Windows[:len(st.Windows)-1], hot) {
		return nil
	}
	rate := func(w slo.Window) float64 {
		for _, s := range st.Windows {
			if s.Name == w.String() && s.BurnRate != nil {
				return *s.BurnRate
			}
		}
		return 0
	}
	var best *Burn
	for _, t := range o.Tiers(st.Spec) {
		b := Burn{t, min(rate(t.Long), rate(t.Short))}
		if b.Rate <= 1 || b.Rate <= nearly*t.Factor || st.Spec.Alerting.Severity(t.Severity).Disabled {
			continue
		}
		if best == nil || b.worse(*best) {
			best = &b
		}
	}
	return best
}

func (b Burn) worse(than Burn) bool {
	if b.Tier.Severity != than.Tier.Severity {
		return b.Tier.Severity == slo.Page
	}
	return b.Rate/b.Tier.Factor > than.Rate/than.Tier.Factor
}
