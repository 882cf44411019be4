package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Overview returns the dashboard of all SLOs, as JSON for Grafana's provisioning or import.
// It shows how many fire, are overspent or unknown, a table of them that links to the detail,
// and those with the least budget and the highest burn rate over time.
func Overview() ([]byte, error) {
	const matchers = `slo_service=~"$service"`
	p := &page{}
	count := func(title, about, expr, some string) {
		p.add(number().Thresholds(thresholds(scale(plain, step{1, some}))),
			panel{title, about, 4, 4, []query{{expr: expr, instant: true}}})
	}
	counted := func(series string) string { return "count(max by (slo_id) (" + series + ")) or vector(0)" }
	count("SLOs", "", counted("slo_info{"+matchers+"}"), plain)
	count("Paging", "SLOs for which a page fires.", counted(`slo_alert_firing{`+matchers+`,severity="page"} == 1`), red)
	count("With a ticket", "SLOs for which a ticket is open.", counted(`slo_alert_firing{`+matchers+`,severity="ticket"} == 1`), orange)
	count("Overspent", "SLOs that have spent more than their error budget.", counted(`slo_error_budget_remaining_ratio{`+matchers+`} < 0`), red)
	count("Unknown", "SLOs about which the present data says nothing.", counted(`slo_data_state{`+matchers+`,state!~"ok|no_traffic"} == 1`), orange)
	count("Without traffic", "SLOs that are known, but nothing happened.", counted(`slo_data_state{`+matchers+`,state="no_traffic"} == 1`), plain)
	overviewTable(p, matchers)
	ten := func(title, about, expr string, b *timeseries.PanelBuilder, colours dashboard.ThresholdsConfig) {
		p.add(b.Thresholds(thresholds(colours)).ThresholdsStyle(dashed()),
			panel{title, about, 12, 9, []query{{expr: expr, legend: "{{slo_id}}"}}})
	}
	ten("Least budget left", "The ten SLOs with the least at each moment.",
		"bottomk(10, max by (slo_id) (slo_error_budget_remaining_ratio{"+matchers+"}))", lines("percentunit"), budgetScale())
	ten("Highest burn rate over $window", "The ten SLOs with the highest at each moment. At 1 the budget lasts exactly as long as its window.",
		"topk(10, max by (slo_id) (slo_burn_rate{"+matchers+`,window="$window"}))`, lines("suffix:x"), burnScale())

	return p.finish(dashboard.NewDashboardBuilder("SLO overview").Uid(OverviewUID).
		Description(Marker+" All service level objectives.").Time("now-24h", "now").
		Annotation(excluded("max by (slo_id) (slo_excluded{"+matchers+"})", "{{slo_id}}", false)).
		WithVariable(datasourceVariable()).
		WithVariable(all(labelVariable("service", "Service", "slo_info", "slo_service"))).
		WithVariable(labelVariable("window", "Burn rate over", `slo_burn_rate{`+matchers+`}`, "window").Current(dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{String: new("1h")},
			Value: dashboard.StringOrArrayOfString{String: new("1h")},
		})).
		Link(dashboard.NewDashboardLinkBuilder("SLO dashboards").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).AsDropdown(false).KeepTime(true).IncludeVars(false)))
}

// column is a column of the overview's table: a label, or the value of a query.
type column struct {
	name   string // its head
	field  string // the label; for a query "Value #A" and so on
	expr   string
	format []dashboard.DynamicConfigValue
}

// overviewColumns contains the table's columns from left to right.
func overviewColumns(matchers string) []column {
	of := func(metric string) string { return "max " + key + "(" + metric + "{" + matchers + "})" }
	percent := func(decimals int) []dashboard.DynamicConfigValue {
		return []dashboard.DynamicConfigValue{{Id: "unit", Value: "percentunit"}, {Id: "decimals", Value: decimals}}
	}
	coloured := func(format []dashboard.DynamicConfigValue, colours dashboard.ThresholdsConfig) []dashboard.DynamicConfigValue {
		return append(format, dashboard.DynamicConfigValue{Id: "thresholds", Value: colours}, colourText())
	}
	burn := []dashboard.DynamicConfigValue{{Id: "unit", Value: "suffix:x"}, {Id: "decimals", Value: 1}}
	mapped := func(m []dashboard.ValueMapping) []dashboard.DynamicConfigValue {
		return []dashboard.DynamicConfigValue{{Id: "mappings", Value: m}, colourText()}
	}
	return []column{
		{name: "Service", field: "slo_service"},
		{name: "SLO", field: "slo_id", format: []dashboard.DynamicConfigValue{{Id: "links", Value: []map[string]any{{
			"title": "Detail of ${__value.text}",
			"url":   "/d/" + DetailUID + `?var-service=${__data.fields["Service"]}&var-slo_id=${__value.raw:percentencode}&${datasource:queryparam}&${__url_time_range}`,
		}}}}},
		{name: "Owner", field: "owner"},
		{name: "State", field: "state", format: mapped(states())},
		{name: "Alerts", expr: firing(key, matchers), format: mapped(alerts())},
		{name: "Objective", expr: of("slo_objective_ratio"), format: []dashboard.DynamicConfigValue{{Id: "unit", Value: "percentunit"}}},
		{name: "Window", field: "window"},
		{name: "SLI", expr: of("slo_sli_ratio"), format: percent(3)},
		{name: "Budget left", expr: of("slo_error_budget_remaining_ratio"), format: coloured(percent(1), budgetScale())},
		{name: "Burn rate", expr: "max " + key + "(slo_burn_rate{" + matchers + `,window="$window"})`, format: coloured(burn, burnScale())},
		{name: "Budget spent in", expr: exhaustion(key, matchers), format: append(mapped(never()), dashboard.DynamicConfigValue{Id: "unit", Value: "s"})},
		{name: "Coverage", expr: of("slo_coverage_ratio"), format: percent(1)},
		{expr: "max by (slo_id, slo_service, slo, owner, window) (slo_info{" + matchers + "})"},
		{expr: "max by (slo_id, slo_service, slo, state) (slo_data_state{" + matchers + "} == 1)"},
	}
}

func overviewTable(p *page, matchers string) {
	b := table.NewPanelBuilder().CellHeight(common.TableCellHeightSm).Filterable(true).NoValue("-").
		SortBy([]cog.Builder[common.TableSortByFieldState]{common.NewTableSortByFieldStateBuilder().DisplayName("Budget left").Desc(false)})
	hidden := map[string]bool{"Time": true, "slo": true}
	index, names := map[string]int{}, map[string]string{}
	var queries []query
	for i, c := range overviewColumns(matchers) {
		if c.expr != "" {
			c.field = "Value #" + string(rune('A'+len(queries)))
			queries = append(queries, query{expr: c.expr, table: true})
		}
		if c.name == "" {
			hidden[c.field] = true
			continue
		}
		index[c.field], names[c.field] = i, c.name
		if len(c.format) > 0 {
			b = b.OverrideByName(c.name, c.format)
		}
	}
	b = b.WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": hidden, "indexByName": index, "renameByName": names,
		}})
	p.add(b, panel{"Service level objectives", "Objective, SLI and budget are over each SLO's own window, the burn rate is over $window.", 24, 14, queries})
}

// colourText colours the text of a cell by its thresholds or mappings.
func colourText() dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}}
}
