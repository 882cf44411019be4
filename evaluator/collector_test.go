package evaluator

import (
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
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
		r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		require.Equal(t, 200, w.Code, w.Body)
		require.Contains(t, w.Body.String(), want)
	}
}
