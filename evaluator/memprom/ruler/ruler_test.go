package ruler_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/ruler"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open is a database with an hour or two of series, and a client of it.
func open(t *testing.T, series string) (*memprom.DB, v1.API) {
	t.Helper()
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), start, 30*time.Second, series))
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	client, err := api.NewClient(api.Config{Address: server.URL})
	require.NoError(t, err)
	return db, v1.NewAPI(client)
}

func TestEval(t *testing.T) {
	db, prom := open(t, `errors_total 0+3x120`)
	rules := `
groups:
- name: counts
  interval: 1m
  rules:
  - {record: "errors:increase5m", expr: "increase(errors_total[5m])"}
  - {record: "errors:doubled", expr: "2 * errors:increase5m"}
- name: alerts
  interval: 30s
  rules:
  - {alert: Errors, expr: "errors:doubled > 59", for: 2m}
`
	require.NoError(t, ruler.Eval(t.Context(), db, []byte(rules), start.Add(10*time.Minute), start.Add(20*time.Minute)))
	got := matrix(t, prom, `errors:doubled[1h]`)
	require.Len(t, got[0].Values, 10, "one a minute")
	for i, p := range got[0].Values {
		require.InDelta(t, 60, float64(p.Value), 1e-9)
		if i > 0 {
			require.Equal(t, time.Minute, p.Timestamp.Sub(got[0].Values[i-1].Timestamp))
		}
	}
	firing := matrix(t, prom, `ALERTS{alertstate="firing"}[1h]`)
	require.GreaterOrEqual(t, len(firing[0].Values), 14, "every half minute but for the first three minutes")
	require.LessOrEqual(t, len(firing[0].Values), 16)
}

func TestEvalNamesTheRulesThatFail(t *testing.T) {
	db, prom := open(t, "a{x=\"1\"} 1x60\na{x=\"2\"} 1x60")
	rules := `
groups:
- name: g
  rules:
  - {record: broken, expr: "a * on() group_left a"}
  - {record: fine, expr: "sum(a)"}
`
	err := ruler.Eval(t.Context(), db, []byte(rules), start, start.Add(5*time.Minute))
	require.ErrorContains(t, err, "evaluating broken of group g at 2026-03-01T12:00:")
	require.Equal(t, 1, strings.Count(err.Error(), "evaluating"), "once, not at every evaluation")
	require.Len(t, matrix(t, prom, `fine[1h]`)[0].Values, 5)

	require.ErrorContains(t, ruler.Eval(t.Context(), db, []byte("groups: [{name: g, rules: [{record: r, expr: 'a('}]}]"), start, start),
		"loading rules")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, ruler.Eval(canceled, db, []byte(rules), start, start.Add(time.Hour)), context.Canceled)
}

func matrix(t *testing.T, prom v1.API, query string) model.Matrix {
	t.Helper()
	got, _, _, err := prom.Query(t.Context(), query, start.Add(time.Hour))
	require.NoError(t, err)
	require.NotEmpty(t, got.(model.Matrix), query)
	return got.(model.Matrix)
}
