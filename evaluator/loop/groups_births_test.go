package loop_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
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
			r, err := loop.New(o).EvaluateAt(t.Context(), slos, at(60))
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

// TestGroupsThatComeWhileUp: a process that is up while a group is born, and one that
// starts later, say the same; groups sum to the whole.
func TestGroupsThatComeWhileUp(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		t.Run(method, func(t *testing.T) {
			db := servers.Embedded(t)
			write := func(tenant, code string, from, to time.Duration, value func(int) float64) {
				var samples []memprom.Sample
				for after := from; after < to; after += 30 * time.Second {
					samples = append(samples, memprom.Sample{Time: begin.Add(after), Value: value(len(samples))})
				}
				l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", "a", "tenant", tenant, "code", code)
				require.NoError(t, db.Add(t.Context(), l, samples...))
			}
			growing := func(first, each float64) func(int) float64 {
				return func(n int) float64 { return first + each*float64(n) }
			}
			write("acme", "200", -30*time.Hour, 2*time.Hour, growing(500, 5))
			write("acme", "500", -20*time.Minute, 2*time.Hour, growing(3, 0))
			synctest.Test(t, func(t *testing.T) {
				started := func() (*loop.Loop, func()) {
					o := live(slog.New(slog.DiscardHandler), db.Handler())
					o.NewJudge, o.Backends[0].Method = nil, method
					e := loop.New(o)
					e.SetSLOs(slosOf(t, `{name: tenants, group_by: [tenant], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`), nil)
					return e, run(t, e)
				}
				e, stop := started()
				defer stop()
				until(begin.Add(10*time.Minute - time.Second))
				write("globex", "500", 10*time.Minute, 2*time.Hour, growing(50, 1))
				until(begin.Add(20*time.Minute + 40*time.Second))
				counts := func(e *loop.Loop) (out [][2]float64) {
					for _, s := range e.Report().SLOs {
						w := s.Windows[len(s.Windows)-1]
						out = append(out, [2]float64{w.Bad, w.Total})
					}
					return out
				}
				// The hour until minute 20: 10 each minute, 3 that were born, and of globex 50 and
				// one each scrape of the 20 that came after it.
				require.Equal(t, [][2]float64{{73, 673}, {3, 603}, {70, 70}}, counts(e))
				later, stopLater := started()
				defer stopLater()
				until(begin.Add(25*time.Minute + 40*time.Second))
				require.Equal(t, e.Report().SLOs, later.Report().SLOs)
			})
		})
	}
}
