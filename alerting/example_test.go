package alerting_test

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Two days are fine. Then 30 % of the requests fail, where 0.1 % may.
func Example() {
	objective, _ := slo.ParseObjective("99.9")
	s := &slo.SLO{Service: "checkout", Name: "availability", Objective: objective, Window: slo.Rolling(30 * drill.Day)}
	t := timeline.NewTimeline(drill.Begin)
	for _, slot := range drill.Slots(2*1440, drill.Healthy, 10, drill.Failing) {
		t.Append(slot)
	}
	policies := alerting.BuiltIn()
	for _, tier := range policies.Tiers(s)[:2] {
		fmt.Println(tier.Severity, tier.Name, "above", tier.Factor, "over", tier.Long, "and", tier.Short)
	}
	judge := policies.NewJudge()
	for _, alert := range judge(s, t, t.End()) {
		fmt.Println(alert.Severity, "by", alert.Tier, "after", alert.Since.Sub(drill.At(2*1440)).Truncate(time.Minute))
	}
	// Output:
	// page fast above 14.4 over 1h and 5m
	// page slow above 6 over 6h and 15m
	// page by fast after 3m0s
}
