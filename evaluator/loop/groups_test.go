package loop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

const tenants = `{name: tenants, group_by: [tenant], groups: {limit: 3, objectives: {globex: 90}}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`

// TestGroups has tenants of which acme fails, globex may fail more often, and
// initech is beyond the limit; what has no tenant counts for the whole alone.
func TestGroups(t *testing.T) {
	series := `
		requests_total{tenant="acme",code="200"} 0+9x60
		requests_total{tenant="acme",code="500"} 0+1x60
		requests_total{tenant="globex",code="200"} 0+9x60
		requests_total{tenant="globex",code="500"} 0+1x60
		requests_total{tenant="hooli",code="200"} 0+10x60
		requests_total{tenant="initech",code="200"} 0+10x60
		requests_total{code="200"} 0+10x60`
	server := httptest.NewServer(embedded(t, time.Minute, series).Handler())
	defer server.Close()
	r := evaluate(t, server.URL, slosOf(t, tenants), at(60))
	var ids []string
	for _, s := range r.SLOs {
		ids = append(ids, s.ID)
	}
	require.Equal(t, []string{
		"shop/tenants", `shop/tenants{tenant="acme"}`, `shop/tenants{tenant="globex"}`, `shop/tenants{tenant="hooli"}`,
	}, ids)
	requireCounts(t, r.SLOs[0], 120, 3000, 1)
	require.Equal(t, &evaluator.GroupsStatus{By: []string{"tenant"}, Count: 3, LeftOut: 1}, r.SLOs[0].Groups)
	requireCounts(t, r.SLOs[1], 60, 600, 1)
	require.Equal(t, map[string]string{"tenant": "acme"}, r.SLOs[1].Group)
	require.InDelta(t, -9.0, *r.SLOs[1].Budget.Remaining, 1e-12)
	requireCounts(t, r.SLOs[2], 60, 600, 1)
	require.InDelta(t, 0.0, *r.SLOs[2].Budget.Remaining, 1e-12, "it has an objective of its own")
	requireCounts(t, r.SLOs[3], 0, 600, 1)
	require.NoError(t, testutil.GatherAndCompare(gathererOf(r), strings.NewReader(`
		# HELP slowburn_groups Groups of an SLO that are followed, and those left out beyond its limit.
		# TYPE slowburn_groups gauge
		slowburn_groups{slo="tenants",slo_id="shop/tenants",slo_service="shop",state="followed"} 3
		slowburn_groups{slo="tenants",slo_id="shop/tenants",slo_service="shop",state="left_out"} 1
		# HELP slo_window_events Events in the SLO's window.
		# TYPE slo_window_events gauge
		slo_window_events{result="bad",slo="tenants",slo_id="shop/tenants",slo_service="shop"} 120
		slo_window_events{result="good",slo="tenants",slo_id="shop/tenants",slo_service="shop"} 2880
		slo_window_events{result="bad",slo="tenants",slo_id="shop/tenants{tenant=\"acme\"}",slo_service="shop",tenant="acme"} 60
		slo_window_events{result="good",slo="tenants",slo_id="shop/tenants{tenant=\"acme\"}",slo_service="shop",tenant="acme"} 540
		slo_window_events{result="bad",slo="tenants",slo_id="shop/tenants{tenant=\"globex\"}",slo_service="shop",tenant="globex"} 60
		slo_window_events{result="good",slo="tenants",slo_id="shop/tenants{tenant=\"globex\"}",slo_service="shop",tenant="globex"} 540
		slo_window_events{result="bad",slo="tenants",slo_id="shop/tenants{tenant=\"hooli\"}",slo_service="shop",tenant="hooli"} 0
		slo_window_events{result="good",slo="tenants",slo_id="shop/tenants{tenant=\"hooli\"}",slo_service="shop",tenant="hooli"} 600
	`), "slowburn_groups", "slo_window_events"))
	require.Len(t, r.Problems, 1)
	require.Contains(t, r.Problems[0].Message, "1 groups more than its limit of 3")
}

// TestGroupsOfLevels splits the values of an expression.
func TestGroupsOfLevels(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `
		queue{tenant="acme",shard="a"} 5x60
		queue{tenant="acme",shard="b"} 5x29 50x30
		queue{tenant="globex",shard="a"} 50x60`).Handler())
	defer server.Close()
	r := evaluate(t, server.URL, slosOf(t, `{name: queue, group_by: [tenant], sli: {threshold: {query: 'max by (tenant) (queue)', op: "<", value: 50}}}`), at(60))
	require.Len(t, r.SLOs, 3)
	requireCounts(t, r.SLOs[0], 60, 60, 1)
	requireCounts(t, r.SLOs[1], 31, 60, 1)
	requireCounts(t, r.SLOs[2], 60, 60, 1)
}

// tenant writes ten requests a minute of a tenant, one of which fails.
func tenant(t *testing.T, db *memprom.DB, name string, from, to time.Time) {
	t.Helper()
	for code, each := range map[string]float64{"200": 9, "500": 1} {
		var samples []memprom.Sample
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			samples = append(samples, memprom.Sample{Time: at, Value: each * float64(len(samples))})
		}
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", name, "tenant", name, "code", code)
		require.NoError(t, db.Add(t.Context(), l, samples...))
	}
}

// TestGroupsComeAndGo has a tenant that comes while the service is up, whose
// history is read at once, and one that is gone, which is followed for a day
// more. A process that starts later says the same.
func TestGroupsComeAndGo(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	tenant(t, db, "acme", begin.Add(-30*time.Hour), begin.Add(30*time.Hour))
	tenant(t, db, "globex", begin.Add(-30*time.Hour), begin)
	synctest.Test(t, func(t *testing.T) {
		started := func() (*loop.Loop, func()) {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.NewJudge = nil
			e := loop.New(o)
			e.SetSLOs(slosOf(t, strings.Replace(tenants, "limit: 3", "limit: 9", 1)), nil)
			return e, run(t, e)
		}
		e, stop := started()
		defer stop()
		groups := func(e *loop.Loop) (out []string) {
			for _, s := range e.Report().SLOs[1:] {
				own := s.Windows[len(s.Windows)-1]
				out = append(out, fmt.Sprintf("%s %v of %v %s", s.Group["tenant"], own.Bad, own.Total, s.State))
			}
			return out
		}
		until(begin.Add(time.Minute + 40*time.Second))
		require.Equal(t, []string{"acme 60 of 600 ok", "globex 58 of 580 ok"}, groups(e))

		// An hour's data of a new one comes at once; it is seen a minute later.
		tenant(t, db, "hooli", begin.Add(-58*time.Minute), begin.Add(30*time.Hour))
		until(begin.Add(3*time.Minute + 40*time.Second))
		require.Equal(t, []string{"acme 60 of 600 ok", "globex 56 of 560 ok", "hooli 60 of 600 ok"}, groups(e))

		until(begin.Add(23*time.Hour + 40*time.Second))
		require.Equal(t, []string{"acme 60 of 600 ok", "globex 0 of 0 no_data", "hooli 60 of 600 ok"}, groups(e))
		require.Empty(t, e.Report().Retired)
		until(begin.Add(24*time.Hour + time.Minute + 40*time.Second))
		require.Equal(t, []string{"acme 60 of 600 ok", "hooli 60 of 600 ok"}, groups(e))
		require.Equal(t, []string{`shop/tenants{tenant="globex"}`}, e.Report().Retired)

		later, stop := started()
		defer stop()
		until(begin.Add(24*time.Hour + 3*time.Minute + 40*time.Second))
		require.Equal(t, e.Report().SLOs, later.Report().SLOs)
	})
}

// TestTheAlertOfARetiredGroupIsResolved: hosts that are gone are bad for seven days,
// and then removed. Who saw the alert says so; who starts then says nothing, nor is
// anything said of hosts beyond the limit or taken out of the files.
func TestTheAlertOfARetiredGroupIsResolved(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	gone := begin.Add(15*time.Minute - 7*24*time.Hour) // its last sample is a minute before
	up := func(host string, from, to time.Time, value float64) {
		var samples []memprom.Sample
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			samples = append(samples, memprom.Sample{Time: at, Value: value})
		}
		require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, "up", "job", "shop", "instance", host, "host", host), samples...))
	}
	up("a", begin.Add(-8*24*time.Hour), begin.Add(2*time.Hour), 1)
	up("b", begin.Add(-8*24*time.Hour), gone, 1)
	up("c", begin.Add(-time.Hour), begin.Add(2*time.Hour), 0)
	synctest.Test(t, func(t *testing.T) {
		const spec = `{name: hosts, on_no_data: bad, group_by: [host], groups: {limit: 3}, sli: {probe: {metric: up}}}`
		hosts := slosOf(t, spec)
		started := func() (e *loop.Loop, latest func() map[string]time.Duration) {
			var mu sync.Mutex
			posted := map[string]time.Duration{}
			am := transport{http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var alerts []notify.Alert
				_ = json.NewDecoder(r.Body).Decode(&alerts)
				mu.Lock()
				defer mu.Unlock()
				for _, a := range alerts {
					posted[strings.TrimPrefix(a.Labels["slo_id"], "shop/hosts")+" "+a.Labels["severity"]] = time.Until(a.EndsAt).Truncate(time.Minute)
				}
			})}
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			var s *notify.Sender
			o.Publish = func(*evaluator.Report) { s.Wake() }
			e = loop.New(o)
			s = notify.NewSender(notify.SenderOptions{
				Alertmanagers: []notify.Alertmanager{{URL: "http://am", HTTP: &http.Client{Transport: am}}},
				Report:        e.Report, Log: o.Log, Registerer: prometheus.NewRegistry(), Now: time.Now,
			})
			e.SetSLOs(hosts, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = s.Run(ctx) })
			stop := run(t, e)
			t.Cleanup(func() { stop(); cancel(); wg.Wait() })
			return e, func() map[string]time.Duration {
				mu.Lock()
				defer mu.Unlock()
				out := posted
				posted = map[string]time.Duration{}
				return out
			}
		}
		first, seen := started()
		until(begin.Add(12 * time.Minute))
		got := seen()
		require.Positive(t, got[`{host="b"} page`])
		require.Positive(t, got[`{host="c"} page`])

		until(begin.Add(17 * time.Minute))
		require.Equal(t, []string{`shop/hosts{host="b"}`}, first.Report().Retired)
		got = seen()
		require.Contains(t, got, `{host="b"} page`)
		require.LessOrEqual(t, got[`{host="b"} page`], time.Duration(0), "resolved")
		require.Positive(t, got[`{host="c"} page`])
		_, late := started()
		until(begin.Add(20 * time.Minute))
		got = late()
		require.Positive(t, got[`{host="c"} page`])
		require.NotContains(t, got, `{host="b"} page`)

		// Both are there still, one beyond the limit and one in no file.
		for _, more := range []string{"limit: 1", "limit: 3"} {
			hosts = slosOf(t, strings.Replace(spec, "limit: 3", more, 1))
			if more == "limit: 3" {
				hosts[0].Name = "other"
			}
			first.SetSLOs(hosts, nil)
			until(time.Now().Add(time.Minute))
			seen()
			until(time.Now().Add(2 * time.Minute))
			got = seen()
			require.NotContains(t, got, `{host="c"} page`, more)
			hosts = slosOf(t, spec)
			first.SetSLOs(hosts, nil)
			until(time.Now().Add(2 * time.Minute))
			require.Positive(t, seen()[`{host="c"} page`], "as long as it is there")
		}
	})
}
