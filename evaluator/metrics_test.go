package evaluator

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// gathererOf returns the metrics of a report in order, or an error about them.
func gathererOf(r *Report) prometheus.Gatherer {
	return prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return slices.Collect(Metrics(r)), nil })}
}

// TestAlertsOfAnSLOAreToldApart checks the metrics of alerts. Those about the burn rate
// always exist, with the name from the SLO file. The others exist while they fire.
func TestAlertsOfAnSLOAreToldApart(t *testing.T) {
	status := Status{ID: "shop/a", Spec: &slo.SLO{Alerting: slo.Alerting{Name: "ShopBurns"}}, Alerts: []FiringAlert{
		{Name: "ShopBurns", Severity: "page", Windows: []string{"1h", "5m"}}, {Name: "SLONoData", Severity: "page"},
	}}
	reg := gathererOf(&Report{SLOs: []Status{status}})
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[[2]string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() != "slo_alert_firing" {
				continue
			}
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			got[[2]string{labels["alertname"], labels["severity"]}] = m.Gauge.GetValue()
		}
	}
	require.Equal(t, map[[2]string]float64{{"ShopBurns", "page"}: 1, {"ShopBurns", "ticket"}: 0, {"SLONoData", "page"}: 1}, got)
}

// TestDoubtsInMetrics checks that each doubt has a series, and that there is none without
// a doubt.
func TestDoubtsInMetrics(t *testing.T) {
	reg := gathererOf(&Report{SLOs: []Status{
		{ID: "s/a", Service: "s", SLO: "a", State: StateOK, Doubts: []Doubt{{Code: DoubtAmbiguous}, {Code: DoubtAudit}}},
		{ID: "s/b", Service: "s", SLO: "b", State: StateOK},
	}})
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP slo_data_doubt 1, for each reason why the numbers may be wrong.
		# TYPE slo_data_doubt gauge
		slo_data_doubt{code="ambiguous",slo="a",slo_id="s/a",slo_service="s"} 1
		slo_data_doubt{code="audit",slo="a",slo_id="s/a",slo_service="s"} 1
	`), "slo_data_doubt"))
}
