package alerting

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestCheckTellsThatNothingPages: at 99 %, two bad slices of two come by chance once
// in 10,000 times, for a page it should be once in 100,000. The six hours of 30 d are
// two of 10 d, which is then the longest window that pages.
func TestCheckTellsThatNothingPages(t *testing.T) {
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(`apiVersion: slowburn/v1
service: shop
defaults:
  objective: 99
  window: 10d
  budgeting: timeslices
  slice: {length: 1h, target: 95}
  sli: {events: {bad: a_total, total: b_total}}
slos:
  - {name: hours}
  - {name: classic, alerting: {policy: classic}}
  - {name: tickets, alerting: {page: {disabled: true}}}
  - {name: minutes, slice: {length: 1m, target: 95}}
  - {name: longer, window: 20d}
  - {name: short, window: 2h, slice: {length: 1h, target: 95}, objective: 40, alerting: {policy: classic}}
`)}})
	set.Add(BuiltIn().Check(set.SLOs)...)
	var got []string
	for _, f := range set.Findings {
		got = append(got, f.String()+" | "+f.Hint)
	}
	hint := " | take shorter slices or a longer window, or write page: {disabled: true} when tickets are enough"
	require.Equal(t, []string{
		"a.yaml:7:10: warning: policy default never pages: tier slow can't begin: 2h holds 2 events, and that all are bad is no evidence of a significance of 0.00001" + hint,
		"a.yaml:15:38: warning: policy classic never pages: its windows are more than a quarter of 2h" + hint,
	}, got)
}

// TestCheckTellsThatAJobNeverPages: windows that page hold one night, and a job of
// 98 % is missed by chance once in fifty.
func TestCheckTellsThatAJobNeverPages(t *testing.T) {
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(`apiVersion: slowburn/v1
service: shop
defaults: {objective: 98, window: 60d}
slos:
  - {name: nightly, alerting: {policy: default}, sli: {runs: {last_success: a, every: 1d}}}
  - {name: jobs, sli: {runs: {last_success: a, every: 1d}}}
  - {name: sure, alerting: {policy: classic}, sli: {runs: {last_success: a, every: 1d}}}
  - {name: hourly, alerting: {policy: default}, window: 30d, sli: {runs: {last_success: a, every: 1h}}}
  - {name: often, alerting: {policy: default}, window: 90d, objective: 99, sli: {runs: {last_success: a, every: 9h}}} # three of a day are at 0, 9 and 18
`)}})
	require.Empty(t, set.Findings)
	set.Add(BuiltIn().Check(set.SLOs)...)
	require.Len(t, set.Findings, 1)
	require.Equal(t, "a.yaml:5:5: warning: policy default never pages: tier fast can't begin: 1d holds one event, and that all are bad is no evidence of a significance of 0.00001", set.Findings[0].String())
}

// TestCheckTellsWhatTiersCannotDo: 5 m are a 8,640th of 30 d, so that 5 m in which
// everything fails take 100 / 8,640 / (1-o) of the budget: 0.12 % at 90 %, where four
// of four fail by chance once in 10,000 times.
func TestCheckTellsWhatTiersCannotDo(t *testing.T) {
	text := `apiVersion: slowburn/v1
service: shop
defaults: {objective: 99.9, alerting: {policy: mine}}
slos:
  - {name: fine, sli: {events: {bad: a_total, total: b_total}}}
  - {name: low, objective: 90, sli: {events: {bad: a_total, total: b_total}}}
  - {name: short, window: 12h, sli: {events: {bad: a_total, total: b_total}}}
  - {name: half, window: 12h, alerting: {policy: slow}, sli: {events: {bad: a_total, total: b_total}}}
  - {name: gauge, alerting: {policy: counts}, sli: {threshold: {query: a, op: "<", value: 1}}}
  - {name: slices, alerting: {policy: counts}, budgeting: timeslices, slice: {length: 5m, target: 99}, sli: {events: {bad: a_total, total: b_total}}}
  - {name: typo, alerting: {policy: clssic}, sli: {events: {bad: a_total, total: b_total}}}
  - {name: built-in, objective: 50, alerting: {policy: classic}, sli: {events: {bad: a_total, total: b_total}}}
  - {name: rare, objective: 90, alerting: {policy: sure}, budgeting: timeslices, slice: {length: 15m, target: 99}, sli: {events: {bad: a_total, total: b_total}}}
`
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(text)}})
	require.Empty(t, set.Findings)
	policies := BuiltIn()
	policies["mine"] = Policy{"mine", []Tier{
		{Name: "fast", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute},
		{Name: "dead", Severity: slo.Page, BadShare: 0.95, Long: 5 * minute, Short: 5 * minute, MinBudget: 0.002},
		{Name: "trend", Severity: slo.Ticket, Factor: 1, Long: 7 * day, Short: day},
	}}
	policies["slow"] = Policy{"slow", []Tier{{Name: "trend", Severity: slo.Ticket, Factor: 1, Long: 7 * day, Short: day}}}
	policies["counts"] = Policy{"counts", []Tier{{Name: "fast", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute, MinBad: 61}}}
	policies["sure"] = Policy{"sure", []Tier{{Name: "fast", Severity: slo.Page, Factor: 6, Long: hour, Short: 5 * minute, Significance: 1e-5}}}
	set.Add(policies.Check(set.SLOs)...)
	var got []string
	for _, f := range set.Findings {
		got = append(got, f.String()+" | "+f.Hint)
	}
	longer := " | the budget itself tells what a longer window would; shorten the tier's, or the SLO's is too short for it"
	require.Equal(t, strings.Join([]string{
		"a.yaml:3:48: warning: policy mine: tier dead can't begin: when all events of even traffic fail for 5m they take 0.12 % of the budget, less than its min_budget of 0.2 % | lower min_budget, or make the window longer",
		"a.yaml:3:48: warning: policy mine: tier fast can't be reached: when all events fail the budget burns 10 times too fast, not 14.4 | the burn rate when 95 % of the events fail, 9.5, stands in for it",
		"a.yaml:3:48: warning: policy mine: tier trend is left out, for its window of 6h is more than a quarter of 12h" + longer,
		"a.yaml:8:50: warning: policy slow has no tier for a window of 12h, so that nothing ever alerts | add a tier with shorter windows",
		"a.yaml:8:50: warning: policy slow: tier trend is left out, for its window of 6h is more than a quarter of 12h" + longer,
		"a.yaml:9:38: warning: policy counts: tier fast can't begin: 1h holds 60 events, less than its min_bad of 61 | lower min_bad, or make the window longer",
		"a.yaml:10:39: warning: policy counts: tier fast can't begin: 1h holds 12 events, less than its min_bad of 61 | lower min_bad, or make the window longer",
		"a.yaml:11:37: there is no alert policy clssic | did you mean classic? there are: classic, counts, default, jobs, mine, slow, sure",
		"a.yaml:13:52: warning: policy sure: tier fast can't begin: 1h holds 4 events, and that all are bad is no evidence of a significance of 0.00001 | raise significance, or make the window longer",
	}, "\n"), strings.Join(got, "\n"))
}
