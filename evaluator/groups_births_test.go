package evaluator_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// births are tenants of one process. acme is there all along. globex comes at minute 20
// with 50 requests, all of which failed. Before minute 31 the process restarts; hooli's
// errors come back in the next one at minute 40, as many as before and 10 more. At
// minute 50 initech comes with 7 requests.
//
//	acme    9 * 30 until minute 30, 5 + 9 * 29 from 31 to 60
//	globex  50 at minute 20, 1 at minute 31
//	hooli   20 at minute 40
//	initech 7 at minute 50, and 10 more
const births = `
	requests_total{job="shop",instance="a",tenant="acme",code="200"} 1000+9x30 5+9x29
	requests_total{job="shop",instance="a",tenant="globex",code="500"} _x20 50+0x10 1+0x29
	requests_total{job="shop",instance="a",tenant="hooli",code="500"} 10+0x30 _x9 20+0x20
	requests_total{job="shop",instance="a",tenant="initech",code="200"} _x50 7+1x10`

// TestGroupsAreBornWithTheirEvents: what a group is born with counts in it, as the
// evidence is that of the target.
func TestGroupsAreBornWithTheirEvents(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, births).Handler())
	defer server.Close()
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		t.Run(method, func(t *testing.T) {
			o := options(server.URL, anHourAfter(at(60)))
			o.Backends[0].Method = method
			slos := slosOf(t, `{name: tenants, group_by: [tenant], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`)
			r, err := evaluator.New(o).EvaluateAt(t.Context(), slos, at(60))
			require.NoError(t, err)
			require.Len(t, r.SLOs, 5)
			require.Equal(t, method, r.SLOs[0].Method)
			counts := func(s evaluator.Status) [2]float64 {
				w := s.Windows[len(s.Windows)-1]
				return [2]float64{w.Bad, w.Total}
			}
			require.Equal(t, [2]float64{0, 9*30 + 5 + 9*29}, counts(r.SLOs[1]), "acme")
			require.Equal(t, [2]float64{51, 51}, counts(r.SLOs[2]), "globex")
			require.Equal(t, [2]float64{20, 20}, counts(r.SLOs[3]), "hooli")
			require.Equal(t, [2]float64{0, 17}, counts(r.SLOs[4]), "initech")
			require.Equal(t, [2]float64{71, 9*30 + 5 + 9*29 + 51 + 20 + 17}, counts(r.SLOs[0]), "the whole")
		})
	}
}
