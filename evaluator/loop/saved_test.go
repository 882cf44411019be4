package loop_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/cache"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// everyKind returns SLOs of all kinds of indicators, over what traffic and gauges wrote.
func everyKind(t *testing.T) []*slo.SLO {
	t.Helper()
	set := spec.Load([]spec.File{{Name: "kinds.yaml", Text: []byte(`
apiVersion: slowburn/v1
service: shop
defaults: {window: 7d, objective: 99}
slos:
  - {name: events, sli: {events: {bad: 'often_total{code="500"}', total: often_total}}}
  - {name: grouped, group_by: [code], objective: 50, sli: {events: {good: 'seldom_total{code!="500"}', total: seldom_total}}}
  - {name: seldom, sli: {events: {bad: 'seldom_total{code="500"}', total: seldom_total}}}
  - {name: slices, budgeting: timeslices, slice: {length: 5m, target: 97}, sli: {events: {bad: 'often_total{code="500"}', total: often_total}}}
  - {name: deltas, sli: {events: {type: delta, bad: 'flow{code="500"}', total: flow}}}
  - {name: probe, sli: {probe: {metric: healthy}}}
  - {name: gone, on_no_data: bad, sli: {probe: {metric: healthy}}}
  - {name: threshold, sli: {threshold: {query: 'max(depth)', op: '<', value: 60}}}
  - {name: freshness, sli: {freshness: {timestamp: last_success, max_age: 45m}}}
  - {name: runs, sli: {runs: {last_success: last_success, every: 1h, grace: 10m}}}
  - {name: rate, sli: {events: {bad: 'sum(rate(often_total{code="500"}[$window]))', total: 'sum(rate(often_total[$window]))'}}}
  - {name: journey, worst_of: [shop/events, shop/probe]}
  - {name: calendar, window: {calendar: month, timezone: Europe/Berlin}, sli: {events: {bad: 'often_total{code="500"}', total: often_total}}}
  - {name: excluded, window: {calendar: week, timezone: UTC}, exclude: [{time_intervals: [{times: [{start_time: "03:07", end_time: "04:11"}]}], reason: backup}], sli: {events: {bad: 'often_total{code="500"}', total: often_total}}}
`)}})
	require.Empty(t, set.Findings)
	return set.SLOs
}

// gauges writes what the indicators of everyKind read besides counters.
func gauges(t *testing.T, db *memprom.DB, from, to time.Time) {
	t.Helper()
	minutes := int(to.Sub(from) / time.Minute)
	var healthy, depth, success, flow strings.Builder
	for i := range minutes {
		fmt.Fprintf(&healthy, " %d", min(1, i%97))
		fmt.Fprintf(&depth, " %d", i%70)
		fmt.Fprintf(&success, " %d", from.Unix()+int64(i/53*53*60))
		fmt.Fprintf(&flow, " %d", i%7)
	}
	require.NoError(t, db.Load(t.Context(), from, time.Minute, "healthy{instance=\"a\"}"+healthy.String()+"\ndepth{instance=\"a\"}"+depth.String()+
		"\nlast_success{job=\"backup\"}"+success.String()+"\nflow{code=\"200\"}"+flow.String()+"\nflow{code=\"500\"}"+strings.Repeat(" 0 0 1 0 0 0", minutes/6)))
}

// A process that continues from the cache has the numbers of one that reads all history,
// to the byte, right after its start and later.
func TestARestartFromTheCacheSaysWhatANewProcessSays(t *testing.T) {
	const day = 24 * time.Hour
	rng := rand.New(rand.NewPCG(3, 4))
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := servers.Embedded(t)
	traffic(t, db, rng, "often_total", begin.Add(-9*day), begin.Add(2*day), 20*time.Second)
	pushes(t, db, rng, "seldom_total", begin.Add(-day), begin.Add(2*day))
	gauges(t, db, begin.Add(-9*day), begin.Add(2*day))
	slos, dir := everyKind(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		used, alerts := 0.0, 0
		at := begin.Add(3 * time.Minute)
		for i := range 6 {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.Cache = cache.NewDirectory(dir, 1<<30, "test")
			l := loop.New(o)
			l.SetSLOs(slos, nil)
			stop := run(t, l)
			for range 3 {
				until(at.Add(31 * time.Second))
				alerts += requireFresh(t, db, slos, l.Report())
				l.SetSLOs(slos, nil) // as when files are read again
				at = at.Add(time.Duration(1+rng.IntN(40)) * time.Minute)
			}
			stop()
			used += cacheReads(t, o.Registerer, "used")
			if i > 0 {
				require.Zero(t, cacheReads(t, o.Registerer, "absent"), "restart %d", i)
			}
			require.Zero(t, cacheReads(t, o.Registerer, "refused"))
			at = at.Add(time.Duration(rng.IntN(150)) * time.Minute)
		}
		require.Greater(t, used, 50.0)
		require.Greater(t, alerts, 10)
	})
}

// cacheReads returns how often a cache was read with a result.
func cacheReads(t *testing.T, reg prometheus.Registerer, result string) float64 {
	t.Helper()
	families, err := reg.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "slowburn_cache_reads_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// fields returns the JSON of a status by its keys.
func fields(t *testing.T, s *evaluator.Status) (out map[string]json.RawMessage) {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// requireFresh holds a report against that of a new process that reads all history. It
// returns the number of alerts.
func requireFresh(t *testing.T, db *memprom.DB, slos []*slo.SLO, got *evaluator.Report) (alerts int) {
	t.Helper()
	want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).HistoryAt(t.Context(), slos, time.Now())
	require.NoError(t, err)
	require.Equal(t, want.EvaluatedAt, got.EvaluatedAt)
	require.Len(t, got.SLOs, len(want.SLOs))
	for i := range want.SLOs {
		alerts += len(want.SLOs[i].Alerts)
		x, y := fields(t, &want.SLOs[i]), fields(t, &got.SLOs[i])
		for name := range x {
			if a, b := string(x[name]), string(y[name]); a != b {
				at := 0
				for a[at] == b[at] {
					at++
				}
				from := max(0, at-80)
				t.Errorf("%s %s: %s\nnew   ...%.250s\ncache ...%.250s", got.EvaluatedAt, want.SLOs[i].ID, name, a[from:], b[from:])
			}
		}
	}
	return alerts
}

// A record is used for the same counters only, and by a clock that has not gone back or a day
// ahead.
func TestWhatFitsIsUsed(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := servers.Embedded(t)
	traffic(t, db, rand.New(rand.NewPCG(5, 6)), "often_total", begin.Add(-3*24*time.Hour), begin.Add(2*24*time.Hour), 20*time.Second)
	load := func(objective, bad string) []*slo.SLO {
		set := spec.Load([]spec.File{{Name: "fits.yaml", Text: fmt.Appendf(nil, `
apiVersion: slowburn/v1
service: shop
slos: [{name: events, window: 1d, objective: %s, sli: {events: {bad: 'often_total{code=~"%s"}', total: often_total}}}]
`, objective, bad)}})
		require.Empty(t, set.Findings)
		return set.SLOs
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		now := time.Duration(0) // what another clock is ahead
		start := func(slos []*slo.SLO, change func(*loop.Options)) string {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.Cache, o.Now = cache.NewDirectory(dir, 1<<30, "test"), func() time.Time { return time.Now().Add(now) }
			if change != nil {
				change(&o)
			}
			l := loop.New(o)
			l.SetSLOs(slos, nil)
			stop := run(t, l)
			until(time.Now().Add(5 * time.Minute))
			stop()
			require.Equal(t, evaluator.StateOK, l.Report().SLOs[0].State)
			for _, result := range []string{"used", "absent", "refused"} {
				if cacheReads(t, o.Registerer, result) == 1 {
					return result
				}
			}
			return ""
		}
		until(begin.Add(time.Hour))
		require.Equal(t, "absent", start(load("99", "5.."), nil))
		require.Equal(t, "used", start(load("99", "5.."), nil))
		require.Equal(t, "used", start(load("99.9", "5.."), nil), "another objective")
		require.Equal(t, "absent", start(load("99", "500"), nil), "another selector")
		require.Equal(t, "absent", start(load("99", "5.."), func(o *loop.Options) { o.Backends[0].Identity = "tenant" }), "another tenant")
		require.Equal(t, "absent", start(load("99", "5.."), func(o *loop.Options) { o.Backends[0].Settle += time.Minute }), "settles later")
		require.Equal(t, "refused", start(load("99", "5.."), func(o *loop.Options) { o.Cache = cache.NewDirectory(dir, 1<<30, "other") }), "another version")
		few := func(o *loop.Options) { o.Backends[0].MaxSeries = 1 }
		require.Equal(t, "absent", start(load("99", "5.."), few))
		require.Equal(t, "refused", start(load("99", "5.."), few), "counted by sums, which each start decides again")
		now = -40 * time.Minute
		require.Equal(t, "refused", start(load("99", "5.."), func(o *loop.Options) { o.Cache = cache.NewDirectory(dir, 1<<30, "other") }), "from the future")
		now = 25 * time.Hour
		require.Equal(t, "refused", start(load("99", "5.."), func(o *loop.Options) { o.Cache = cache.NewDirectory(dir, 1<<30, "other") }), "a day old")
	})
}
