package loop_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// product is a server that says of itself what products say.
type product struct {
	status    int
	buildInfo string // the answer's data
	now       string // the answer to now(); "" for a refusal

	mu      sync.Mutex
	asked   int
	queries []url.Values // of counters
}

func (p *product) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/buildinfo"):
		p.asked++
		w.WriteHeader(p.status)
		_, _ = fmt.Fprintf(w, `{"status":"success","data":%s}`, p.buildInfo)
	case strings.HasSuffix(r.URL.Path, "/stores"):
		w.WriteHeader(http.StatusNotFound)
	case r.FormValue("query") != "now()":
		p.queries = append(p.queries, r.Form)
		_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	case p.now == "":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"unknown function with name \"now\""}`)
	default:
		_, _ = fmt.Fprint(w, p.now)
	}
}

// TestWhatABackendIs is told by what the products answer, and decides which
// parameters its queries have. It is asked once, however many want to know.
func TestWhatABackendIs(t *testing.T) {
	const now = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795545798,"1795545798.88"]}]}}`
	const own = `"revision":"1","branch":"HEAD","buildUser":"root","buildDate":"20261101","goVersion":"go1.26.8"`
	for name, tt := range map[string]struct {
		*product
		configured    string
		kind, version string
		more          string // parameters, beside the usual ones
	}{
		"Prometheus":                 {product: &product{status: 200, buildInfo: `{"version":"3.15.0",` + own + `}`}, kind: "prometheus", version: "3.15.0"},
		"a Prometheus built by hand": {product: &product{status: 200, buildInfo: `{"version":"",` + own + `}`}, kind: "prometheus"},
		"Thanos": {product: &product{status: 200, buildInfo: `{"version":"0.40.1",` + own + `}`}, kind: "thanos", version: "0.40.1",
			more: "dedup=true&engine=prometheus&max_source_resolution=0s&partial_response=false"},
		"Mimir": {product: &product{status: 200, buildInfo: `{"application":"Grafana Mimir","version":"3.0.2",` + own + `,"features":{}}`},
			kind: "mimir", version: "3.0.2"},
		"the newest VictoriaMetrics": {product: &product{status: 200, buildInfo: `{"version":"2.24.0"}`, now: now}, kind: "victoriametrics", more: "nocache=1"},
		"an old VictoriaMetrics":     {product: &product{status: 200, buildInfo: `{}`, now: now}, kind: "victoriametrics", more: "nocache=1"},
		"one that does not tell":     {product: &product{status: 404, buildInfo: `{}`}, kind: "prometheus"},
		"one that answers anything":  {product: &product{status: 200, buildInfo: `{}`, now: strings.Replace(now, `{"metric":{},"value":[1795545798,"1795545798.88"]}`, "", 1)}, kind: "prometheus"},
		"what the user says":         {product: &product{status: 200, buildInfo: `{"version":"3.15.0",` + own + `}`}, configured: "victoriametrics", kind: "victoriametrics", more: "nocache=1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.product)
			defer server.Close()
			o := options(server.URL, func() time.Time { return at(120) })
			o.Backends[0].Kind = tt.configured
			var slis []string
			for i := range 8 {
				slis = append(slis, strings.ReplaceAll(events, "requests", fmt.Sprintf("requests%d", i)))
			}
			r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", slis...), at(60))
			require.NoError(t, err)
			require.Equal(t, evaluator.StateNoData, r.SLOs[0].State, r.SLOs[0].StateReason)
			require.Equal(t, []evaluator.BackendInfo{{Name: "default", Kind: tt.kind, Version: tt.version}}, r.Backends)
			require.NotEmpty(t, tt.queries)
			for _, q := range tt.queries {
				for _, usual := range []string{"query", "time", "timeout"} {
					q.Del(usual)
				}
				require.Equal(t, tt.more, q.Encode())
			}
			wanted := 1
			if tt.configured != "" {
				wanted = 0
			}
			require.Equal(t, wanted, tt.asked)
			require.NoError(t, testutil.GatherAndCompare(o.Registerer.(prometheus.Gatherer), strings.NewReader(fmt.Sprintf(`
				# HELP slowburn_backend_info 1, with what a backend is; absent before it answered.
				# TYPE slowburn_backend_info gauge
				slowburn_backend_info{backend="default",kind=%q,version=%q} 1
			`, tt.kind, tt.version)), "slowburn_backend_info"))
		})
	}
}
