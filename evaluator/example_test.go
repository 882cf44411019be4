package evaluator_test

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// A Status follows from a timeline. Here 1 of 1000 requests fails, which is as much as an
// objective of 99.9 % allows.
func ExampleStatus_Compute() {
	objective, err := slo.ParseObjective("99.9")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &slo.SLO{Service: "checkout", Name: "availability", Objective: objective, Window: slo.Rolling(slo.Window(time.Hour))}
	start := timeline.MinuteOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	t := timeline.NewTimeline(start)
	for range 60 {
		t.Append(timeline.Slot{Total: 1000, Bad: 1, Known: true})
	}
	status := evaluator.NewStatus(s, "default")
	status.Compute(t, t.End(), []slo.Window{slo.Window(time.Hour)})
	fmt.Printf("burn rate %.2f, %.0f of %.0f events allowed\n", *status.Windows[0].BurnRate, status.Windows[0].Bad, *status.Budget.Allowed)
	// Output: burn rate 1.00, 60 of 60 events allowed
}
