package rules_test

import (
	"fmt"
	"strings"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// The rules of an SLO file, and what they record over its window.
func Example() {
	set := spec.Load([]spec.File{{Name: "checkout.yaml", Text: []byte(`apiVersion: slowburn/v1
service: checkout
slos:
  - name: availability
    objective: 99.9
    window: 30d
    sli: {events: {bad: 'errors_total{job="checkout"}', total: 'requests_total{job="checkout"}'}}
`)}})
	text, err := rules.File("checkout.yaml", set.SLOs, rules.Options{Alerts: true, Policies: alerting.BuiltIn()})
	if err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "- name:") || strings.Contains(line, "slo_objective_ratio") || strings.Contains(line, "- alert:") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// - name: "slowburn/checkout/availability/slots"
	// - record: slo_objective_ratio
	// - alert: ErrorBudgetBurn
	// - alert: ErrorBudgetBurn
	// - name: "slowburn/checkout/availability/windows"
}
