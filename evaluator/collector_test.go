package evaluator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// TestMetricsOfGroupsWithDots: Prometheus 3 gets the label of a group as it is, and a
// scraper that asks for no such names gets _ for each dot.
func TestMetricsOfGroupsWithDots(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(NewCollector(func() *Report {
		return &Report{SLOs: []Status{{ID: `s/a{"http.route"="/a"}`, Service: "s", SLO: "a", Group: map[string]string{"http.route": "/a"}, State: StateOK}}}
	}))
	const id = `slo_id="s/a{\"http.route\"=\"/a\"}"`
	for accept, want := range map[string]string{
		"text/plain;version=1.0.0;escaping=allow-utf-8": `slo_data_state{"http.route"="/a",slo="a",` + id + `,slo_service="s",state="ok"} 1`,
		"text/plain;version=0.0.4":                      `slo_data_state{http_route="/a",slo="a",` + id + `,slo_service="s",state="ok"} 1`,
	} {
		r, w := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		require.Equal(t, 200, w.Code, w.Body)
		require.Contains(t, w.Body.String(), want)
	}
}

// TestAlertsOfAnSLOAreToldApart in metrics: those about the burn rate are there always,
// under the name that the SLO file gives them, the others while they fire.
func TestAlertsOfAnSLOAreToldApart(t *testing.T) {
	status := Status{ID: "shop/a", Spec: &slo.SLO{Alerting: slo.Alerting{Name: "ShopBurns"}}, Alerts: []FiringAlert{
		{Name: "ShopBurns", Severity: "page", Windows: []string{"1h", "5m"}}, {Name: "SLONoData", Severity: "page"},
	}}
	reg := prometheus.NewRegistry()
	reg.MustRegister(NewCollector(func() *Report { return &Report{SLOs: []Status{status}} }))
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

// TestDoubtsInMetrics: there is a series for each doubt, and none where there is none.
func TestDoubtsInMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(NewCollector(func() *Report {
		return &Report{SLOs: []Status{
			{ID: "s/a", Service: "s", SLO: "a", State: StateOK, Doubts: []Doubt{{Code: DoubtAmbiguous}, {Code: DoubtAudit}}},
			{ID: "s/b", Service: "s", SLO: "b", State: StateOK},
		}}
	}))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP slo_data_doubt 1, for each reason why the numbers may be wrong.
		# TYPE slo_data_doubt gauge
		slo_data_doubt{code="ambiguous",slo="a",slo_id="s/a",slo_service="s"} 1
		slo_data_doubt{code="audit",slo="a",slo_id="s/a",slo_service="s"} 1
	`), "slo_data_doubt"))
}
