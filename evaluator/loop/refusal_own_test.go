package loop_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestARefusalNamesTheSLOsOwnQuery, though another's, which holds its series, was
// asked for both.
func TestARefusalNamesTheSLOsOwnQuery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.FormValue("query"), "errors_total") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"execution","error":"no"}`))
			return
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[]}}`))
	}))
	defer server.Close()
	slos := load(t, "1h", `{events: {bad: errors_total, total: requests_total}}`, `{events: {bad: 'errors_total{code="500"}', total: requests_total}}`)
	r := evaluate(t, server.URL, slos, at(60))
	for i, query := range []string{"errors_total", `errors_total{code="500"}`} {
		require.Equal(t, evaluator.StateQueryFailed, r.SLOs[i].State)
		require.Equal(t, "querying "+query+": the backend answers 422 execution: no", r.SLOs[i].StateReason)
	}
}

// TestAnOutageNamesTheSLOsOwnQuery: where all who are read together get no answer, each
// says what it asked for, and no SLO names the query of another.
func TestAnOutageNamesTheSLOsOwnQuery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("query"), "errors_total") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[]}}`))
	}))
	defer server.Close()
	slos := load(t, "1h", `{events: {bad: errors_total, total: requests_total}}`, `{events: {bad: timeouts_total, total: requests_total}}`)
	r := evaluate(t, server.URL, slos, at(60))
	for i, query := range []string{"errors_total", "timeouts_total"} {
		require.Equal(t, evaluator.StateQueryFailed, r.SLOs[i].State)
		require.Equal(t, "querying "+query+": the backend answers 502: Bad Gateway", r.SLOs[i].StateReason)
	}
}

// TestExplainOfNativeHistograms shows the labels that they have.
func TestExplainOfNativeHistograms(t *testing.T) {
	db := embedded(t, time.Minute, `
		latency_seconds{job="shop",instance="a"} {{schema:0 count:8 sum:10 buckets:[3 5]}}+{{schema:0 count:8 sum:10 buckets:[3 5]}}x30 {{schema:0 count:8 sum:10 buckets:[3 5]}}+{{schema:0 count:8 sum:10 buckets:[3 5]}}x28`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", `{latency: {histogram: latency_seconds, threshold: 1500ms}}`)
	p, err := newEvaluator(server.URL, func() time.Time { return at(61) }).Explain(t.Context(), slos[0], at(60))
	require.NoError(t, err)
	require.NotEmpty(t, p.Findings.List)
	for _, f := range p.Findings.List {
		require.NotContains(t, f.Series, "__within__")
	}
}
