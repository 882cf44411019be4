package rules_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// parsed are the SLOs of service s, a YAML mapping each, by their names.
func parsed(t *testing.T, slos ...string) map[string]*slo.SLO {
	t.Helper()
	text := "apiVersion: slowburn/v1\nservice: s\ndefaults: {objective: 99, window: 1h}\nslos:\n"
	for _, s := range slos {
		text += "  - " + s + "\n"
	}
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(text)}})
	for _, f := range set.Findings {
		require.NotEqual(t, yamlfile.Error, f.Severity, f.Text())
	}
	out := map[string]*slo.SLO{}
	for _, s := range set.SLOs {
		out[s.Name] = s
	}
	return out
}

// TestRefusal has SLOs that rules can carry, and others with all reasons why
// not. The page about rules lists each reason.
func TestRefusal(t *testing.T) {
	const events = `sli: {events: {bad: 'errors_total', total: 'all_total'}}`
	const metricsQL = `keep_last_value(queue)`
	slos := parsed(t,
		`{name: plain, `+events+`}`,
		`{name: history, objective_history: [{until: "2026-01-01T00:00:00Z", objective: 90}], `+events+`}`,
		`{name: slices, budgeting: timeslices, slice: {length: 5m, target: 90}, on_no_data: bad, `+events+`}`,
		`{name: quarter, window: {calendar: quarter, timezone: Europe/Berlin}, `+events+`}`,
		`{name: excluded, exclude: [{from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", reason: move}], `+events+`}`,
		`{name: tenants, group_by: [tenant], `+events+`}`,
		`{name: many, window: {calendar: month}, group_by: [tenant], on_no_data: bad, budgeting: timeslices, slice: {length: 5m, target: 90}, `+events+`}`,
		`{name: queues, group_by: [tenant], budgeting: timeslices, slice: {length: 5m, target: 90}, sli: {threshold: {query: queue, op: "<", value: 5}}}`,
		`{name: probes, group_by: [tenant], on_no_data: bad, sli: {probe: {metric: up}}}`,
		`{name: ages, group_by: [tenant], sli: {freshness: {timestamp: queue, max_age: 1h}}}`,
		`{name: jobs, group_by: [tenant], sli: {runs: {last_success: queue, every: 1h}}}`,
		`{name: names, sli: {probe: {metric: '{__name__=~"up|probe_success"}'}}}`,
		`{name: level, sli: {threshold: {query: '`+metricsQL+`', op: "<", value: 5}}}`,
		`{name: age, sli: {freshness: {timestamp: '`+metricsQL+`', max_age: 1h}}}`,
		`{name: job, sli: {runs: {last_success: '`+metricsQL+`', every: 1h}}}`,
		`{name: rates, sli: {events: {bad: 'sum(increase_pure(errors_total[$window]))', total: 'all_total'}}}`,
		`{name: words, group_by: [tenant], alerting: {annotations: {a: '{{ if eq .Severity "page" }}{{ .Text }}{{ end }}{{ urlquery .ID .Group.tenant }}{{ index .Group "tenant" }}'}}, `+events+`}`,
		`{name: asks, group_by: [tenant], alerting: {annotations: {a: '{{ if eq .Tier "fast" }}{{ .Text }}{{ end }}', b: '{{ .Group.tenant | eq "a" }}{{ urlquery .Summary }}'}}, `+events+`}`,
		`{name: journey, worst_of: [s/plain, s/level]}`)
	page, err := os.ReadFile("../../docs/reference/rules.md")
	require.NoError(t, err)
	listed := map[string]string{ // by the reason, what the page says
		"calendar: quarter": "`window: {calendar: ...}`", "calendar: month": "`window: {calendar: ...}`",
		"excludes time": "it excludes time", "no single metric name": "with no single metric name",
		"its annotations use .Group, .Summary, .Tier in a function": "in `eq`, `ne` or `len`",
		"only VictoriaMetrics reads its query":                      "only VictoriaMetrics reads it", "its part s/level: ": "of the SLO or a part of it",
	}
	for name, reasons := range map[string][]string{
		"plain": nil, "history": nil, "slices": nil, "tenants": nil, "queues": nil, "probes": nil, "ages": nil, "jobs": nil, "words": nil,
		"asks":     {"its annotations use .Group, .Summary, .Tier in a function"},
		"quarter":  {"calendar: quarter"},
		"excluded": {"excludes time"},
		"many":     {"calendar: month"},
		"names":    {"no single metric name"},
		"level":    {"only VictoriaMetrics reads its query"},
		"age":      {"only VictoriaMetrics reads its query"},
		"job":      {"only VictoriaMetrics reads its query"},
		"rates":    {"only VictoriaMetrics reads its query"},
		"journey":  {"its part s/level: ", "only VictoriaMetrics reads its query"},
	} {
		require.Contains(t, slos, name)
		why := rules.Refusal(slos[name])
		require.Equal(t, len(reasons) > 0, why != "", "%s: %s", name, why)
		for _, reason := range reasons {
			require.Contains(t, why, reason)
			require.Contains(t, string(page), listed[reason], "the page lists it")
		}
	}
}
