package rules

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// namedSLO is an SLO with labels of users.
func namedSLO(t *testing.T, w slo.Window) *slo.SLO {
	s := withWindow(example(t, "", `http_requests_total{job="checkout",code=~"5.."}`, `http_requests_total{job="checkout"}`), w)
	s.Objective, s.Labels = objective(t, "99"), map[string]string{"team": "payments"}
	return s
}

// namedSLOs are SLOs of all shapes that names differ by.
func namedSLOs(t *testing.T) []*slo.SLO {
	latency := namedSLO(t, 7*day)
	latency.Name = "latency"
	latency.Indicator = slo.Latency{Histogram: selector(t, `http_request_duration_seconds{job="checkout"}`), Threshold: 0.3, Text: "300ms"}
	probe := namedSLO(t, day)
	probe.Name = "up"
	probe.Indicator = slo.Probe{States: slo.States{Gauge: selector(t, `probe_success{job="checkout"}`)}}
	return []*slo.SLO{namedSLO(t, 30*day), latency, probe}
}

func TestNamingGolden(t *testing.T) {
	for _, n := range []Naming{Sloth, Pyrra} {
		got, err := File("named.yaml", namedSLOs(t), Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: n})
		require.NoError(t, err)
		requireGolden(t, string(n), got)
	}
}

// month loads what rules recorded by the epoch. Of the quarters of an hour, the older
// ones had 15,000 events and no bad one, the newest 1,440 (15 d) 150 events each: of
// these 15 were bad from 3 d to 1 d ago, and 75 before and after. The slots had 10
// events: of these 2 were bad from 6 h to 1 h ago, then 5, then 7 in 10 slots, and 1
// in the last 5.
func (b *ruleEngine) month() {
	const labels, bad = `{slo_id="checkout/availability",slo_service="checkout",slo="availability"} `,
		`{slo_id="checkout/availability",slo_service="checkout",slo="availability",result="bad"} `
	b.load(-30*24*time.Hour+15*time.Minute, 15*time.Minute,
		"slo:quarter:events"+labels+"15000x1439 150x1438",
		"slo:quarter:events"+bad+"0x1439 75x1151 15x191 75x94",
		"slo:quarter:slots"+labels+"15x2878")
	b.load(-6*time.Hour+20*time.Second, time.Minute, // so that no rule takes the last for that of its own minute
		"slo:slot:events"+labels+"10x359",
		"slo:slot:events"+bad+"2x299 5x44 7x9 1x4")
}

// TestSlothNames asks what dashboards, gates and routes of Sloth's users do. By the
// average of ratios, which Sloth has, a quarter of the budget of 30 d would be 20
// times gone.
func TestSlothNames(t *testing.T) {
	b := newBackend(t)
	b.month()
	s := namedSLO(t, 30*day)
	s.Alerting = slo.Alerting{Policy: "classic", Name: "CheckoutBurns", Labels: map[string]string{"routing_key": "shop"},
		Page: slo.AlertSeverity{Labels: map[string]string{"pager": "night"}}}
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: Sloth}, 0, 2*time.Minute)
	const id = `sloth_id="checkout-availability",sloth_service="checkout",sloth_slo="availability"`
	now, next := time.Duration(0), time.Minute // when windows over 6 h are there
	// Bad events of 30 d: 96 and 1,152 quarters with 75, 192 with 15.
	const bad, events = 1248*75 + 192*15, 1440*15000 + 1440*150
	for _, tt := range []struct {
		query string
		at    time.Duration
		want  float64
	}{
		{`max(slo:sli_error:ratio_rate5m{` + id + `,sloth_window="5m",team="payments"})`, now, 0.1},
		{`slo:sli_error:ratio_rate30m{` + id + `}`, now, (5 + 70 + 15*5) / 300.0},
		{`slo:sli_error:ratio_rate1h{` + id + `}`, now, (5 + 70 + 45*5) / 600.0},
		{`slo:sli_error:ratio_rate2h{` + id + `}`, now, (300 + 60*2) / 1200.0},
		{`slo:sli_error:ratio_rate6h{` + id + `}`, now, (300 + 300*2) / 3600.0},
		{`slo:sli_error:ratio_rate1d{` + id + `}`, next, 0.5},
		{`slo:sli_error:ratio_rate3d{` + id + `}`, next, (96*75 + 192*15) / (288 * 150.0)},
		{`slo:sli_error:ratio_rate30d{` + id + `,sloth_window="30d"}`, next, bad / float64(events)},
		{`count(count({__name__=~"^slo:sli_error:ratio_rate.*"}) by (__name__, sloth_id))`, next, 8},
		{`slo:objective:ratio{` + id + `,sloth_window="",owner="team-payments"}`, now, 0.99},
		{`slo:error_budget:ratio{` + id + `}`, now, 0.01},
		{`max(slo:time_period:days) by (sloth_id)`, now, 30},
		{`slo:current_burn_rate:ratio{` + id + `,sloth_window="5m",owner="team-payments"}`, now, 10},
		{`slo:period_burn_rate:ratio{` + id + `,sloth_window="30d"}`, next, bad / float64(events) / 0.01},
		{`slo:period_error_budget_remaining:ratio{` + id + `,team="payments",sloth_window="30d",owner="team-payments"}`, next, 1 - bad/float64(events)/0.01},
		{`sloth_slo_info{` + id + `,sloth_objective="99"}`, now, 1},
		{`count({` + id + `,result!=""}) or vector(0)`, next, 0}, // no alias has the label of bad events
		{`count(ALERTS{alertname="CheckoutBurns",` + id + `})`, next, 2},
		{`ALERTS{` + id + `,owner="team-payments",sloth_severity="page",routing_key="shop",pager="night",slo_id="checkout/availability",severity="page"}`, now, 1},
		{`ALERTS{` + id + `,sloth_severity="ticket",routing_key="shop",pager="",slo_id="checkout/availability"}`, next, 1},
		{`slo_alert_firing{slo_id="checkout/availability",severity="page"}`, next, 1},
		// Nothing changes under slowburn's own names.
		{`count(slo_burn_rate)`, next, 7},
		{`slo_error_budget_remaining_ratio`, next, 1 - bad/float64(events)/0.01},
	} {
		require.InDelta(t, tt.want, b.value(tt.query, tt.at), 1e-12, tt.query)
	}
}

// TestPyrraNames asks what dashboards, gates and routes of Pyrra's users do, of an
// SLO over 28 d, for which its windows are made.
func TestPyrraNames(t *testing.T) {
	b := newBackend(t)
	b.month()
	b.run(namedSLO(t, 28*day), Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: Pyrra}, 0, 2*time.Minute)
	now, next := time.Duration(0), time.Minute
	const bad, events = 1248*75 + 192*15, 1248*15000 + 1440*150
	const of = `job="checkout",slo="availability",team="payments",slo_id="checkout/availability"`
	for _, tt := range []struct {
		query string
		at    time.Duration
		want  float64
	}{
		{`pyrra_objective{slo="availability",team="payments"}`, now, 0.99},
		{`pyrra_window{slo="availability"}`, now, 28 * 86400},
		{`pyrra_availability{slo="availability"}`, next, 1 - bad/float64(events)},
		{`(pyrra_availability - pyrra_objective) / (1 - pyrra_objective)`, next, 1 - bad/float64(events)/0.01},
		{`pyrra_requests:rate5m{slo="availability"}`, now, 50 / 300.0},
		{`pyrra_errors:rate5m{slo="availability"}`, now, 5 / 300.0},
		{`pyrra_errors:rate5m / pyrra_requests:rate5m`, now, 0.1}, // 5 of 50 events
		{`http_requests:burnrate5m{` + of + `}`, now, 0.1},
		{`http_requests:burnrate30m{` + of + `}`, now, 0.5},
		{`http_requests:burnrate2h{` + of + `}`, now, 0.35},
		{`http_requests:burnrate4d{` + of + `}`, next, (192*75 + 192*15) / (384 * 150.0)},
		{`count(count by (__name__) ({__name__=~"http_requests:burnrate.*"}))`, next, 7},
		{`sum(http_requests:increase4w{` + of + `})`, next, events},
		{`sum(http_requests:increase4w{slo="availability",code=~"5.."})`, next, bad},
		{`count({team="payments",result!=""}) or vector(0)`, next, 0}, // no alias has the label of bad events
		// Of the classic tiers, the page over 6 h fires, and both tickets.
		{`count(ALERTS{alertname="ErrorBudgetBurn",slo="availability",severity="critical"})`, next, 1},
		{`ALERTS{` + of + `,severity="critical",short="30m",long="6h",exhaustion="4d16h"}`, now, 1}, // 28 d / 6
		{`ALERTS{` + of + `,severity="warning",short="2h",long="1d",exhaustion="9d8h"}`, next, 1},   // 28 d / 3
		{`ALERTS{` + of + `,severity="warning",short="6h",long="3d",exhaustion="4w"}`, next, 1},
		{`slo_alert_firing{severity="page"}`, next, 1},
		{`slo_alert_firing{severity="ticket"}`, next, 1},
		{`count(slo_burn_rate)`, next, 7}, // of the windows of the policy, without 4 d
	} {
		require.InDelta(t, tt.want, b.value(tt.query, tt.at), 1e-12*max(1, tt.want), tt.query)
	}
}

// TestPyrraLatency has fast and all observations told apart by le, as Pyrra does.
func TestPyrraLatency(t *testing.T) {
	b := newBackend(t)
	s := namedSLOs(t)[1]
	s.Window = slo.Rolling(2 * hour)
	b.load(20*time.Second, time.Minute, `http_request_duration_seconds_count{job="checkout"} 0+100x90`,
		`http_request_duration_seconds_bucket{job="checkout",le="0.3"} 0+97x90`, `http_request_duration_seconds_bucket{job="checkout",le="+Inf"} 0+100x90`)
	b.run(s, Options{Policies: alerting.BuiltIn(), Naming: Pyrra}, 0, 63*time.Minute)
	at := 62 * time.Minute // the newest of 60 slots ended at 60 m, the first had no sample before
	require.Equal(t, 6000.0, b.value(`sum(http_request_duration_seconds:increase2h{slo="latency",le=""})`, at))
	require.Equal(t, 5820.0, b.value(`sum(http_request_duration_seconds:increase2h{slo="latency",le="0.3"})`, at))
	require.InDelta(t, 0.03, b.value(`http_request_duration_seconds:burnrate17m{slo="latency",job="checkout"}`, at), 1e-12) // 4 of 28 d, as of 2 h
}

// Nothing that is undefined is said under the names of others.
func TestNamesUndefined(t *testing.T) {
	for n, want := range map[Naming]map[string]float64{
		Sloth: {`slo:sli_error:ratio_rate5m`: math.NaN(), `slo:current_burn_rate:ratio`: 0, `slo:period_error_budget_remaining:ratio`: 1},
		Pyrra: {`pyrra_availability`: math.NaN(), `requests:burnrate9m`: math.NaN(), `pyrra_requests:rate5m`: 0},
	} {
		b := newBackend(t)
		b.load(20*time.Second, time.Minute, `requests_total{code="200"} 5x30 stale`)
		b.run(rampSLO(t, hour), Options{Policies: alerting.BuiltIn(), Naming: n}, 0, 40*time.Minute)
		text, err := File("test.yaml", []*slo.SLO{rampSLO(t, hour)}, Options{Policies: alerting.BuiltIn(), Naming: n})
		require.NoError(t, err)
		for query, value := range want {
			require.Contains(t, string(text), "record: "+query+"\n")
			require.Equal(t, math.IsNaN(value), math.IsNaN(b.value(query, 20*time.Minute)), query)
			if !math.IsNaN(value) {
				require.Equal(t, value, b.value(query, 20*time.Minute), query)
			}
			// Without data for 5 minutes there is no rate of now, and no share ever.
			if query != `slo:period_error_budget_remaining:ratio` {
				require.True(t, math.IsNaN(b.value(query, 38*time.Minute)), query)
			}
		}
	}
}

// TestNamingRefusals has SLOs that names can't tell apart.
func TestNamingRefusals(t *testing.T) {
	a, b, split := namedSLO(t, day), namedSLO(t, day), namedSLO(t, day)
	a.Service, a.Name, b.Service, b.Name = "shop-eu", "up", "shop", "eu-up"
	split.Service, split.Name, split.Groups = "search", "up", &slo.Groups{By: []string{"tenant"}}
	slos := []*slo.SLO{a, b, split}
	require.Equal(t, []string{"", "", ""}, Options{}.Refusals(slos))
	require.Equal(t, []string{"", "Sloth would call it shop-eu-up, as it would shop-eu/up",
		"it is split by group_by, and the names of Sloth can't tell its groups apart"}, Options{Naming: Sloth}.Refusals(slos))
	require.Equal(t, []string{"", "", "it is split by group_by, and the names of Pyrra can't tell its groups apart; " +
		"Pyrra would call it up, as it would shop-eu/up"}, Options{Naming: Pyrra}.Refusals(slos))
	_, err := File("slo.yaml", slos[:2], Options{Naming: Sloth, Policies: alerting.BuiltIn()})
	require.EqualError(t, err, "making rules of shop/eu-up: Sloth would call it shop-eu-up, as it would shop-eu/up")
}
