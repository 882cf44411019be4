package backtest_test

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/backtest"
	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// In the last of 50 days 30 % of the requests fail for 20 minutes. Which alerts would
// the two policies have raised?
func ExampleReplay_Test() {
	objective, _ := slo.ParseObjective("99.9")
	s := &slo.SLO{Service: "checkout", Name: "availability", Objective: objective, Window: slo.Rolling(30 * drill.Day)}
	t := timeline.NewTimeline(drill.Begin)
	for _, slot := range drill.Slots(49*1440, drill.Healthy, 20, drill.Failing, 1420, drill.Healthy) {
		t.Append(slot)
	}
	r := &backtest.Replay{Policies: alerting.BuiltIn(), Names: []string{"classic", "default"}, From: t.End() - 1440, To: t.End()}
	_, results := r.Test(loop.Past{SLO: s, Timeline: t})
	for _, of := range results {
		fmt.Printf("%s: %d page, %d ticket, %d false, %d of %d incidents missed\n", of.Policy, of.Pages, of.Tickets, of.False, of.Missed, len(of.Incidents))
	}
	// Output:
	// classic: 1 page, 1 ticket, 0 false, 0 of 1 incidents missed
	// default: 1 page, 1 ticket, 0 false, 0 of 1 incidents missed
}
