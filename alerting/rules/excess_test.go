package rules

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestBadWithoutTotal has 60 bad requests a minute for two hours, and a total that
// does not count them: nothing but bad events, which burn 100 times what 99 % allows,
// and page. The evaluator's numbers are held by its own tests.
func TestBadWithoutTotal(t *testing.T) {
	b := newBackend(t)
	b.load(0, 30*time.Second, `bad_total{job="a",instance="i"} 0+30x240`, `succeeded_total{job="a",instance="i"} 500+0x240`)
	s := withWindow(example(t, "", "bad_total", "succeeded_total"), 6*hour)
	s.Objective, s.Alerting.Policy = objective(t, "99"), slo.DefaultPolicy
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: Sloth}, 30*time.Second, 2*time.Hour)
	at := 2*time.Hour - 30*time.Second
	bad := b.value(`slo_window_events{result="bad"}`, at)
	require.InDelta(t, 118*60, bad, 60)
	for query, want := range map[string]float64{
		`slo_burn_rate{window="5m"}`:        100,
		`slo_sli_ratio`:                     0,
		`slo_error_budget_events`:           bad / 100,
		`slo_error_budget_remaining_ratio`:  1 - 100,
		`slo_window_events{result="good"}`:  0,
		`slo_data_state{state="ok"}`:        1,
		`count(slo_data_state)`:             1,
		`slo:sli_error:ratio_rate5m`:        1,
		`slo:current_burn_rate:ratio`:       100,
		`slo_alert_firing{severity="page"}`: 1,
	} {
		require.InDelta(t, want, b.value(query, at), 1e-9, query)
	}
}
