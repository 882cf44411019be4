package summary_test

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// An SLO has the place of its worst group.
func ExampleOrder_Blocks() {
	status := func(slo, tenant string, left float64) *evaluator.Status {
		st := &evaluator.Status{ID: "shop/" + slo, Service: "shop", SLO: slo, State: evaluator.StateOK, Budget: evaluator.Budget{Remaining: &left}}
		if tenant != "" {
			st.ID, st.Group = st.ID+"{...}", map[string]string{"tenant": tenant}
		}
		return st
	}
	slos := []*evaluator.Status{
		status("latency", "", 0.1), status("requests", "acme", 0.9), status("requests", "globex", -0.2), status("requests", "", 0.7),
	}
	for _, b := range (summary.Order{}).Blocks(slos) {
		fmt.Println(b.SLO.SLO, *b.SLO.Budget.Remaining)
		for _, group := range b.Groups {
			fmt.Println(" ", summary.GroupName(group), *group.Budget.Remaining)
		}
	}
	// Output:
	// requests 0.7
	//   tenant="globex" -0.2
	//   tenant="acme" 0.9
	// latency 0.1
}
