package rules_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/alerting/rules/ruletest"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestTests has the oldest supported promtool run the tests that are made for SLOs
// of each kind. Over an hour at 90 %, one event a minute never makes a page: five
// bad ones in a row have a probability of 1e-5, and less than that is asked for.
func TestTests(t *testing.T) {
	never := map[string][]string{
		"backup": {"page"}, "journey": {"page"}, "queue": {"page"}, "slices": {"page", "ticket"}, "up": {"page"},
		"ages": {"page"}, "levels": {"page"}, "probes": {"page"},
	}
	few := []string{"hour/availability", "good-total/latency", "kinds/up", "groups/levels"}
	for name, slos := range rules.FilesOf(t) {
		for _, s := range slos {
			if testing.Short() && !slices.Contains(few, name+"/"+s.Name) {
				continue
			}
			t.Run(name+"/"+s.Name, func(t *testing.T) {
				var want []string
				for _, severity := range never[s.Name] {
					want = append(want, s.ID()+" ("+severity+"): it can't fire, however long all events are bad")
				}
				if s.Name == "batch" { // by expressions
					want = []string{"shop/batch: no series by which it fails follow from its expressions"}
				}
				require.Equal(t, want, runTests(t, s))
			})
		}
	}
}

// runTests has promtool run the tests of an SLO, if there are any, and gives what is
// not tested.
func runTests(t *testing.T, s *slo.SLO) (without []string) {
	t.Helper()
	tests, without := ruletest.File("rules.yaml", s, rules.Options{Alerts: true, Policies: alerting.BuiltIn()})
	if tests == nil {
		require.NotEmpty(t, without)
		return without
	}
	rules.ProveRules(t, s, alerting.BuiltIn(), string(tests))
	return without
}

// TestTestsOfPartsOfOneSeries has parts that look at the same series: what is too
// long for one is not for the other, or it is for both.
func TestTestsOfPartsOfOneSeries(t *testing.T) {
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(`apiVersion: slowburn/v1
service: a
defaults: {objective: 99, window: 1d, alerting: {page: {disabled: true}}}
slos:
  - {name: low, sli: {threshold: {query: queue_length, op: "<", value: 10}}}
  - {name: high, sli: {threshold: {query: queue_length, op: "<", value: 50}}}
  - {name: most, sli: {threshold: {query: max(queue_length), op: "<", value: 10}}}
  - {name: differ, worst_of: [a/low, a/high]}
  - {name: same, worst_of: [a/low, a/most]}
`)}})
	for _, s := range set.SLOs {
		if testing.Short() && s.Name != "differ" && s.Name != "same" {
			continue
		}
		var want []string
		if s.Name == "differ" {
			want = []string{"a/differ: the series found for its parts contradict each other"}
		}
		require.Equal(t, want, runTests(t, s), s.Name)
	}
}

// TestUntested has SLOs whose series don't follow from their files: of several
// selectors, of another time, without data, and a whole of which one part is such.
func TestUntested(t *testing.T) {
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(`apiVersion: slowburn/v1
service: a
defaults: {objective: 99, window: 1d}
slos:
  - {name: ratio, sli: {threshold: {query: errors / requests, op: "<", value: 0.1}}}
  - {name: earlier, sli: {threshold: {query: queue_length offset 1h, op: "<", value: 10}}}
  - {name: none, sli: {threshold: {query: absent(queue_length), op: "<", value: 1}}}
  - {name: scaled, sli: {freshness: {timestamp: backup_time_ms / 1000, max_age: 1h}}}
  - {name: known, sli: {probe: {metric: up}}}
  - {name: whole, worst_of: [a/known, a/ratio]}
`)}})
	require.Len(t, set.SLOs, 6)
	for _, s := range set.SLOs {
		text, without := ruletest.File("rules.yaml", s, rules.Options{Alerts: true, Policies: alerting.BuiltIn()})
		if s.Name == "known" {
			require.NotEmpty(t, text)
			continue
		}
		require.Empty(t, text, s.Name)
		require.Equal(t, []string{s.ID() + ": no series by which it fails follow from its expressions"}, without)
	}
}

// TestRulesAboutSlowburn runs the tests of the rules that are shipped about slowburn
// itself.
func TestRulesAboutSlowburn(t *testing.T) {
	rules.Promtool(t, "check", "rules", "../../deploy/slowburn.rules.yaml")
	rules.Promtool(t, "test", "rules", "../../deploy/slowburn.rules.test.yaml")
}
