package terminal_test

import (
	"os"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/terminal"
	"github.com/slowburn-slo/slowburn/evaluator"
)

func ExampleTable() {
	report := &evaluator.Report{
		EvaluatedAt: time.Date(2026, 11, 22, 15, 2, 0, 0, time.UTC),
		SLOs: []evaluator.Status{{
			ID: "shop/requests", Service: "shop", SLO: "requests", Objective: 0.99, Window: "30d", State: evaluator.StateOK, Exact: true,
			Windows: []evaluator.WindowStatus{{Name: "1h", Seconds: 3600, BurnRate: new(0.4)}, {Name: "30d", Seconds: 30 * 86400, SLI: new(0.9974), Coverage: 1}},
			Budget:  evaluator.Budget{Remaining: new(0.74)},
		}},
	}
	_ = terminal.Table(os.Stdout, report, terminal.Screen{Width: 70})
	// Output:
	// SERVICE  SLO       30d SLI  LEFT  BURN 1h  ENDS IN  ALERTS
	//   shop     requests  99.74 %  74 %      0.4  -        -
	//
	// at 2026-11-22 15:02 UTC
}
