package evaluator

import "github.com/slowburn-slo/slowburn/slo"

// estimated finds expressions whose events are estimated.
func (x *inspector) estimated() {
	rates, _ := x.slo.Indicator.Measure().(slo.Rates)
	for i, r := range []slo.Rate{rates.Good, rates.Bad, rates.Total} {
		if r.Obstacle != "" {
			x.concern(false, fieldOf(x.slo.Indicator, allRoles[i]), "events are counted exactly in sums of rate() and increase() of selectors over $window",
				"the number of events is estimated: %s is no sum of counters", r.Obstacle)
			return
		}
	}
}
