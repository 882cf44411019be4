package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
)

// Detail returns the dashboard of one SLO, as JSON for Grafana's provisioning or import. It
// shows its numbers now and over time.
func Detail() ([]byte, error) {
	// The id is different for each group, and may contain quotes.
	const matchers = `slo_id=${slo_id:doublequote}`
	p := &page{}
	detailNow(p, matchers)
	detailHistory(p, matchers)
	return p.finish(dashboard.NewDashboardBuilder("SLO detail").Uid(DetailUID).
		Description(Marker+" One service level objective.").Time("now-24h", "now").
		Annotation(excluded("max(slo_excluded{"+matchers+"})", "It counts neither for nor against the SLO.", true)).
		WithVariable(datasourceVariable()).
		WithVariable(labelVariable("service", "Service", "slo_info", "slo_service")).
		WithVariable(labelVariable("slo_id", "SLO", `slo_info{slo_service="$service"}`, "slo_id")).
		WithVariable(all(labelVariable("window", "Burn rate over", "slo_burn_rate{"+matchers+"}", "window"))).
		Link(dashboard.NewDashboardLinkBuilder("SLO dashboards").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).AsDropdown(false).KeepTime(true).IncludeVars(true)))
}

// detailNow adds the row of present numbers.
func detailNow(p *page, matchers string) {
	of := func(metric string) []query {
		return []query{{expr: "max(" + metric + "{" + matchers + "})", instant: true}}
	}
	// The numbers that are labels show the name of the series.
	label := func(name, expr string) []query {
		return []query{{expr: "max by (" + name + ") (" + expr + ")", legend: "{{" + name + "}}", instant: true}}
	}
	p.add(number().Unit("percentunit"), panel{"Objective", "", 3, 4, of("slo_objective_ratio")})
	p.add(number().TextMode(common.BigValueTextModeName),
		panel{"Window", "Objective, SLI and budget are over this window.", 3, 4, label("window", "slo_info{"+matchers+"}")})
	p.add(number().Unit("percentunit").Decimals(3), panel{"SLI", "The share of good events.", 3, 4, of("slo_sli_ratio")})
	p.add(number().Unit("percentunit").Decimals(1).Thresholds(thresholds(budgetScale())),
		panel{"Budget left", "Negative when overspent.", 3, 4, of("slo_error_budget_remaining_ratio")})
	p.add(number().Unit("s").Mappings(never()),
		panel{"Budget spent in", "At the present rates; - when it lasts.", 3, 4, []query{{expr: exhaustion("", matchers), instant: true}}})
	p.add(number().Mappings(alerts()),
		panel{"Alerts", "", 3, 4, []query{{expr: firing("", matchers), instant: true}}})
	p.add(number().TextMode(common.BigValueTextModeName),
		panel{"State of the data", "", 3, 4, label("state", "slo_data_state{"+matchers+"} == 1")})
	p.add(number().Unit("percentunit").Decimals(1),
		panel{"Coverage", "The share of the window about which there is data.", 3, 4, of("slo_coverage_ratio")})
}

// detailHistory adds what happened over time.
func detailHistory(p *page, matchers string) {
	of := func(metric, legend string) query {
		return query{expr: "max(" + metric + "{" + matchers + "})", legend: legend}
	}
	p.add(lines("suffix:x").Min(0).Thresholds(thresholds(burnScale())).ThresholdsStyle(dashed()),
		panel{"Burn rate", "At 1 the budget lasts exactly as long as its window.", 24, 10,
			[]query{{expr: "max by (window) (slo_burn_rate{" + matchers + `,window=~"$window"})`, legend: "{{window}}"}}})
	p.add(lines("percentunit").Thresholds(thresholds(budgetScale())).ThresholdsStyle(dashed()),
		panel{"Budget left", "", 12, 8, []query{of("slo_error_budget_remaining_ratio", "left")}})
	p.add(lines("percentunit"),
		panel{"SLI and objective", "", 12, 8, []query{of("slo_sli_ratio", "SLI"), of("slo_objective_ratio", "objective")}})
	p.add(lines("short"), panel{"Bad events in the window", "And how many it allows.", 12, 8, []query{
		{expr: "max(slo_window_events{" + matchers + `,result="bad"})`, legend: "bad"},
		of("slo_error_budget_events", "allowed"),
	}})
	p.add(lines("short"), panel{"Good events in the window", "", 12, 8, []query{
		{expr: "max(slo_window_events{" + matchers + `,result="good"})`, legend: "good"},
	}})
	p.add(lines("percentunit").Min(0).Max(1), panel{"Coverage", "", 9, 6, []query{of("slo_coverage_ratio", "known")}})
	p.add(number().Unit("s").Mappings(never()), panel{"New budget in", "Of calendar windows; - of rolling ones.", 3, 6, []query{{
		expr:    "max(slo_period_end_timestamp_seconds{" + matchers + "}) - time() or -1 * max(slo_info{" + matchers + "})",
		instant: true,
	}}})
	lanes := func(colour string) *statetimeline.PanelBuilder {
		return statetimeline.NewPanelBuilder().Thresholds(thresholds(scale(plain, step{1, colour}))).
			Mappings(texts(map[string][2]string{"0": {"-", plain}, "1": {"yes", colour}}))
	}
	p.add(lanes(red), panel{"Alerts", "By severity.", 6, 6, []query{
		{expr: "max by (severity) (slo_alert_firing{" + matchers + "})", legend: "{{severity}}"},
	}})
	p.add(lanes("blue"), panel{"State of the data", "", 6, 6, []query{
		{expr: "max by (state) (slo_data_state{" + matchers + "})", legend: "{{state}}"},
	}})
}
