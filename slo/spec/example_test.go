package spec_test

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/slo/spec"
)

// An SLO file becomes SLOs and findings. A finding has the place of the fault and a hint.
func ExampleLoad() {
	const sli = `sli: {events: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}`
	set := spec.Load([]spec.File{
		{Name: "checkout.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: checkout\nslos:\n  - {name: availability, objective: 99.9, " + sli + "}\n")},
		{Name: "search.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: search\nslos:\n  - name: availability\n    objective: 100\n    " + sli + "\n")},
	})
	for _, s := range set.SLOs {
		fmt.Println(s.ID(), s.Objective.Percent(), "over", s.Window)
	}
	for _, f := range set.Findings {
		fmt.Println(f.Text())
	}
	// Output:
	// checkout/availability 99.9 over 30d
	// search.yaml:5:16: objective 100 leaves no error budget
	//     5 |     objective: 100
	//       |                ^^^
	//   hint: an SLO needs room for failure; 99.99 allows 4 min 19 s of full outage in 30d
}
