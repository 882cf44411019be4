package web_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestExclusionsArePictured excludes six hours in the middle of thirty days. They are drawn
// from 500 of 1000 on, 6 of 720 hours wide.
func TestExclusionsArePictured(t *testing.T) {
	report := sample(t)
	st := find(report, "checkout/latency")
	from, to := evaluated.Add(-15*24*time.Hour), evaluated.Add(-15*24*time.Hour+6*time.Hour)
	for i := range st.History {
		if b := &st.History[i]; b.End.After(from) && !b.End.After(to) {
			b.Total, b.Bad, b.Excluded = 0, 0, 1
		}
	}
	st.Excluded = evaluator.Excluded{
		Total: 86400, Bad: 12, Slots: 360, Spans: []slo.Span{{From: from, To: to}},
		By: []evaluator.Exclusion{
			{From: &from, To: &to, Total: 86390, Bad: 12, Slots: 350, Reason: "new <disks>", Ticket: "https://tickets.example.org/CHG-1", File: "slos/checkout.yaml", Line: 31},
			{Total: 10, Slots: 10, Reason: "nights", Ticket: "javascript:alert(1)", File: "slos/checkout.yaml", Line: 35},
		},
	}
	page := get(handler(report), "/slo/checkout/latency").Body.String()
	require.Contains(t, page, `<path class="excluded" d="M500.00 0H508.33V180H500.00Z"/>`)
	require.Contains(t, page, "<title>excluded 7 Nov 15:04 to 7 Nov 21:04</title>")
	require.Regexp(t, "6.h with 86,400 requests, 12 of them bad", page)
	require.Contains(t, page, "new &lt;disks&gt;")
	require.Contains(t, page, `<a href="https://tickets.example.org/CHG-1"`)
	require.NotContains(t, page, `href="javascript`)
	require.Contains(t, page, "<code>slos/checkout.yaml:31</code>")
	require.Regexp(t, `(?s)new &lt;disks.*>86,390</td>.*>12</td>.*recurring.*>10</td>.*>0</td>`, page)
	require.NotContains(t, get(handler(report), "/slo/search/latency").Body.String(), `class="excluded"`)
}

// TestBudgetPolicyIsShown expects the steps of the policy, and which are active.
func TestBudgetPolicyIsShown(t *testing.T) {
	report := sample(t)
	st := find(report, "checkout/latency")
	st.Gate = "warn"
	st.Policy = []evaluator.PolicyStep{
		{RemainingBelow: 0.5, Action: "Ask before a release.", Gate: "warn", Active: true},
		{RemainingBelow: 0, Action: "Release fixes only.", Gate: "block"},
	}
	page := get(handler(report), "/slo/checkout/latency").Body.String()
	require.Contains(t, page, "Release gate: <strong>warn</strong>")
	require.Regexp(t, `(?s)class="own".*less than 50.*Ask before a release\..*yes.*less than 0.*Release fixes only\..*no`, page)
	require.NotContains(t, get(handler(report), "/slo/search/latency").Body.String(), "Budget policy")
}

func find(r *evaluator.Report, id string) *evaluator.Status {
	for i := range r.SLOs {
		if r.SLOs[i].ID == id {
			return &r.SLOs[i]
		}
	}
	return nil
}
