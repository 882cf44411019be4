package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// ramp loads counters of which slot m counts 2m+2 events, m+1 of them bad, for
// n slots from the second on.
func (b *ruleEngine) ramp(n int) {
	b.t.Helper()
	good, bad := `requests_total{code="200"}`, `requests_total{code="500"}`
	for m := range n {
		good += fmt.Sprint(" ", m*(m+1)/2)
		bad += fmt.Sprint(" ", m*(m+1)/2)
	}
	b.load(20*time.Second, time.Minute, good, bad)
}

func rampSLO(t *testing.T, w slo.Window) *slo.SLO {
	return withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), w)
}

// Each window holds the slots of its length that end with the newest, and its
// numbers are their sums.
func TestShortWindows(t *testing.T) {
	for _, phase := range []time.Duration{0, 29 * time.Second, 31 * time.Second, 59999 * time.Millisecond} {
		t.Run(phase.String(), func(t *testing.T) {
			b := newBackend(t)
			b.ramp(100)
			b.run(rampSLO(t, hour), Options{Policies: alerting.BuiltIn()}, phase, 93*time.Minute)
			// The last evaluation, at 92 m, counts slot 90, or 91 when it is
			// half a minute late or more. Slot m has 2m events, half of them bad.
			last := 90.0
			if phase >= 30*time.Second {
				last = 91
			}
			at := 92*time.Minute + phase
			total := 60*last*2 - 59*60
			require.Equal(t, total/2, b.value(`slo_window_events{result="bad"}`, at))
			require.Equal(t, total/2, b.value(`slo_window_events{result="good"}`, at))
			require.Equal(t, 500.0, b.value(`slo_burn_rate{window="5m"}`, at))
			require.Equal(t, 0.5, b.value(`slo_sli_ratio`, at))
			require.Equal(t, 1.0, b.value(`slo_coverage_ratio`, at))
			require.InDelta(t, total/1000, b.value(`slo_error_budget_events`, at), 1e-9)
			require.Equal(t, -499.0, b.value(`slo_error_budget_remaining_ratio`, at))
			require.Equal(t, 0.999, b.value(`slo_objective_ratio{slo_id="checkout/availability",slo_service="checkout",slo="availability"}`, at))
			require.Equal(t, 1.0, b.value(`slo_info{source="rules",owner="team-payments",window="1h",tier="1"}`, at))
			require.Equal(t, 1.0, b.value(`slo_data_state{state="ok"}`, at))
			require.Equal(t, 1.0, b.value(`count(slo_data_state)`, at))
		})
	}
}

// A window over 6 h is made of quarters of the clock, each whole and once.
func TestLongWindows(t *testing.T) {
	phases := []time.Duration{4*time.Minute + 59998*time.Millisecond, 29 * time.Second}
	if testing.Short() {
		phases = phases[:1]
	}
	for _, phase := range phases {
		t.Run(phase.String(), func(t *testing.T) {
			b := newBackend(t)
			b.ramp(9 * 60)
			b.run(rampSLO(t, 8*hour), Options{Policies: alerting.BuiltIn()}, phase, 9*time.Hour)
			// The newest quarter is the one recorded last by 8:45:00, at
			// 8:44:29 or at 8:44:59.998, for a slot that ended half a minute
			// before that.
			last := 523.0 // the slot that ended at 8:44
			if phase == 29*time.Second {
				last = 522
			}
			at := 8*time.Hour + 45*time.Minute + phase
			total := 480*last*2 - 479*480
			require.Equal(t, total, b.value(`sum(slo_window_events)`, at+time.Minute))
			require.Equal(t, 1.0, b.value(`slo_coverage_ratio`, at+time.Minute))
			require.Equal(t, 500.0, b.value(`slo_burn_rate{window="5m"}`, at+time.Minute))
			// Evaluated once more 5 and 10 minutes later, up to two
			// milliseconds before the next quarter, it holds the same quarters.
			require.Equal(t, total, b.value(`sum(slo_window_events)`, at+14*time.Minute))
			require.Equal(t, 1.0, b.value(`slo_coverage_ratio`, at+14*time.Minute))
		})
	}
}

// Nothing that is undefined is said, and nothing known is left out.
func TestUndefined(t *testing.T) {
	b := newBackend(t)
	b.load(20*time.Second, time.Minute, `requests_total{code="200"} 5x30 stale`)
	b.run(rampSLO(t, hour), Options{Policies: alerting.BuiltIn()}, 0, 100*time.Minute)
	quiet, gone := 20*time.Minute, 37*time.Minute+time.Minute
	for query, want := range map[string]float64{
		`slo_burn_rate{window="5m"}`: 0, `count(slo_sli_ratio) or vector(-1)`: -1,
		`slo_error_budget_remaining_ratio`: 1, `slo_error_budget_events`: 0, `sum(slo_window_events)`: 0,
		`slo_data_state{state="no_traffic"}`: 1, `count(slo_data_state)`: 1,
	} {
		require.Equal(t, want, b.value(query, quiet), query)
	}
	require.InDelta(t, 18.0/60, b.value(`slo_coverage_ratio`, quiet), 1e-9)
	for query, want := range map[string]float64{
		`count(slo_burn_rate{window="5m"}) or vector(-1)`: -1, `slo_error_budget_remaining_ratio`: 1,
		`slo_data_state{state="no_data"}`: 1, `count(slo_data_state)`: 1,
	} {
		require.Equal(t, want, b.value(query, gone), query)
	}
	require.Equal(t, 2.0, b.value(`count({__name__=~"slo_(burn_rate|sli_ratio|window_events|error_budget.*|coverage_ratio|data_state)"})`, 99*time.Minute),
		"coverage and the state are left")
	require.Equal(t, 0.0, b.value(`slo_coverage_ratio`, 99*time.Minute))
}

// One problem is one alert, whichever tiers hold, and no problem is none.
func TestAlertsPromtool(t *testing.T) {
	s := rampSLO(t, 30*day)
	s.Owner, s.Links["dashboard"] = `{{ template "x" }} "pay" %d`, `https://grafana.example.org/{{ $value }}"%s` // text, whatever it looks like
	// Half an hour without an error, then 2 % for 20 minutes, then none.
	test := `
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'requests_total{code="200"}', values: '0+1000x30 30980+980x19 50600+1000x100'}
      - {series: 'requests_total{code="500"}', values: '0x30 20+20x19 400x100'}
    alert_rule_test:
      - {alertname: ErrorBudgetBurn, eval_time: 31m, exp_alerts: []}
      - alertname: ErrorBudgetBurn
        eval_time: 51m
        exp_alerts:
          - exp_labels: {slo_id: checkout/availability, slo_service: checkout, slo: availability, slo_owner: '{{ template "x" }} "pay" %d', severity: page, tier: "1", region: 'eu {{ "x" }}'}
            exp_annotations:
              summary: checkout availability burns its error budget 8x too fast
              description: "The share of bad events is 8 times what 99.9 % over 30d allows. Nothing (-536.4%) of the error budget is left."
              tier: slow
              runbook_url: https://runbooks.example.org/checkout
              dashboard_url: 'https://grafana.example.org/{{ $value }}"%s'
          # Of the quarters until 0:45, 44 slots are known: 280 of 44,000 events.
          - exp_labels: {slo_id: checkout/availability, slo_service: checkout, slo: availability, slo_owner: '{{ template "x" }} "pay" %d', severity: ticket, tier: "1", region: 'eu {{ "x" }}'}
            exp_annotations:
              summary: checkout availability burns its error budget 6.36x too fast
              description: "The share of bad events is 6.36 times what 99.9 % over 30d allows. Nothing (-536.4%) of the error budget is left."
              tier: daily
              runbook_url: https://runbooks.example.org/checkout
              dashboard_url: 'https://grafana.example.org/{{ $value }}"%s'
    promql_expr_test:
      - {expr: 'slo_alert_firing{severity="page"}', eval_time: 51m, exp_samples: [{labels: 'slo_alert_firing{slo_id="checkout/availability",slo_service="checkout",slo="availability",alertname="ErrorBudgetBurn",severity="page"}', value: 1}]}
      - {expr: 'slo_alert_firing{severity="page"}', eval_time: 85m, exp_samples: [{labels: 'slo_alert_firing{slo_id="checkout/availability",slo_service="checkout",slo="availability",alertname="ErrorBudgetBurn",severity="page"}', value: 0}]}
`
	proveRules(t, s, alerting.BuiltIn(), test)
}

// TestAnAlertThatItsResetHoldsPromtool: 20 of 10,000 requests fail for 70 minutes, then 8,
// of which 10 are allowed. In 144 minutes 1,992 fail of 1,440 that may.
func TestAnAlertThatItsResetHoldsPromtool(t *testing.T) {
	s := withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 6*hour)
	s.Alerting.Policy, s.Links = "demanding", nil
	test := `
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'requests_total{code="200"}', values: '0+9980x70 708592+9992x80'}
      - {series: 'requests_total{code="500"}', values: '0+20x70 1408+8x80'}
    promql_expr_test:
      - {expr: 'slo_burn_rate{window=~"1h|30m"}', eval_time: 145m, exp_samples: [{labels: 'slo_burn_rate{slo_id="checkout/availability",slo_service="checkout",slo="availability",window="1h"}', value: 0.8}, {labels: 'slo_burn_rate{slo_id="checkout/availability",slo_service="checkout",slo="availability",window="30m"}', value: 0.8}]}
    alert_rule_test:
      - alertname: ErrorBudgetBurn
        eval_time: 145m
        exp_alerts:
          - exp_labels: {slo_id: checkout/availability, slo_service: checkout, slo: availability, slo_owner: team-payments, severity: ticket, tier: "1", region: 'eu {{ "x" }}'}
            exp_annotations:
              summary: checkout availability no longer burns its error budget too fast
              description: "The share of bad events is 0.8 times what 99.9 % over 6h allows. Nothing (-38.33%) of the error budget is left."
              tier: trickle
`
	proveRules(t, s, demanding(), test)
}
