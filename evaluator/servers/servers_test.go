package servers_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

func TestPrometheusScrapesItselfAndANode(t *testing.T) {
	versions := map[string]string{"oldest": "", "newest": servers.Newest(t)}
	node := servers.NodeExporter(t)
	for name, bin := range versions {
		t.Run(name, func(t *testing.T) {
			prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: bin, ConfigYAML: `
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
- {job_name: self, static_configs: [{targets: [$ADDR]}]}
- {job_name: node, static_configs: [{targets: [` + node.Addr + `]}]}
`, Rules: map[string][]byte{"up.yml": []byte(`
groups: [{name: up, rules: [{record: targets_up, expr: sum(up)}]}]
`)}})
			require.Eventually(t, func() bool {
				return query(t, prom, `targets_up == 2 and on() node_cpu_seconds_total`) == "2"
			}, time.Minute, 100*time.Millisecond, "two targets are up, says a recording rule")
		})
	}
}

func TestPrometheusReloads(t *testing.T) {
	prom := servers.Prometheus(t, servers.PrometheusOptions{})
	require.NoError(t, os.WriteFile(filepath.Join(prom.Dir, "prometheus.yml"),
		[]byte("global: {external_labels: {replica: reloaded}}"), 0o600))
	prom.Reload()
	require.Contains(t, get(t, prom.URL+"/api/v1/status/config"), "replica: reloaded")
}

func TestVictoriaMetricsTakesSamples(t *testing.T) {
	for name, bin := range map[string]string{"oldest": "", "newest": servers.NewestVictoriaMetrics(t)} {
		t.Run(name, func(t *testing.T) {
			vm := servers.VictoriaMetrics(t, servers.VictoriaMetricsOptions{Bin: bin})
			resp, err := http.Post(vm.URL+"/api/v1/import/prometheus", "text/plain", strings.NewReader("events_total 37 1700000000000\n"))
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusNoContent, resp.StatusCode)
			get(t, vm.URL+"/internal/force_flush")
			require.Equal(t, "37", query(t, vm, "events_total @ 1700000000"))
		})
	}
}

func TestStopEndsTheServer(t *testing.T) {
	node := servers.NodeExporter(t)
	node.Stop()
	node.Stop()
	l, err := net.Listen("tcp", node.Addr)
	require.NoError(t, err, "the port is free again")
	require.NoError(t, l.Close())
	node.Start()
	require.NotEmpty(t, get(t, node.URL+"/metrics"))
}

func TestAlertmanagerListsWhatItIsSent(t *testing.T) {
	am := servers.Alertmanager(t, "")
	resp, err := http.Post(am.URL+"/api/v2/alerts", "application/json",
		strings.NewReader(`[{"labels": {"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability"}}]`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, get(t, am.URL+"/api/v2/alerts"), `"slo_id":"checkout/availability"`)
}

func TestPromtoolOfBothVersionsChecksRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, []byte("groups: [{name: a, rules: [{record: b, expr: c}]}]"), 0o600))
	out := servers.Promtool(t, "check", "rules", file)
	require.Equal(t, 2, strings.Count(out, "SUCCESS: 1 rules found"), out)
}

// query is the value of the first sample of an instant query's answer, or ""
// when there is none.
func query(t *testing.T, s *servers.Server, q string) string {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, s.URL+"/api/v1/query?query="+url.QueryEscape(q))), &answer))
	if len(answer.Data.Result) == 0 {
		return ""
	}
	return answer.Data.Result[0].Value[1].(string)
}

func get(t *testing.T, url string) string {
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", url, body)
	return string(body)
}
