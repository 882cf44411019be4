package ruletest_test

import (
	"fmt"
	"strings"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/alerting/rules/ruletest"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// The tests of an SLO of two counters, by their names, and the series that they make up.
func Example() {
	set := spec.Load([]spec.File{{Name: "checkout.yaml", Text: []byte(`apiVersion: slowburn/v1
service: checkout
slos:
  - name: availability
    objective: 99
    window: 1d
    sli: {events: {bad: 'requests_total{job="checkout",code=~"5.."}', total: 'requests_total{job="checkout"}'}}
`)}})
	text, without := ruletest.File("checkout.rules.yaml", set.SLOs[0], rules.Options{Alerts: true, Policies: alerting.BuiltIn()})
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "- series:") || strings.Contains(line, "- name:") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	fmt.Println("not tested:", len(without))
	// Output:
	// - name: "checkout/availability: all events are bad for 5m"
	// - series: "requests_total{code=\"500\", job=\"checkout\"}"
	// - series: "requests_total{code=\"200\", job=\"checkout\"}"
	// - name: "checkout/availability: there is no traffic"
	// - series: "requests_total{code=\"500\", job=\"checkout\"}"
	// - series: "requests_total{code=\"200\", job=\"checkout\"}"
	// not tested: 0
}
