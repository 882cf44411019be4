package evaluator

import (
	"context"
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

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

// manyChanges is how often a gauge changes in an hour without falling, before it is
// taken for a counter.
const manyChanges = 10

// grows finds a counter where gauges of increments should be: each sample would count
// all events since its process began.
func (x *inspector) grows(ctx context.Context, s subject, selector slo.Selector) error {
	hour := selector.Range(time.Hour)
	changes, found, err := x.number(ctx, fmt.Sprintf("max(changes(%s) unless (resets(%s) > 0))", hour, hour), x.end)
	if err == nil && found && changes >= manyChanges {
		x.concern(false, s.field, "leave type away for counters", "%s rises as counters do, and never fell in the last hour", selector)
	}
	return err
}
