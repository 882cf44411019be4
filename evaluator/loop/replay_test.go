package loop_test

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/backtest"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// alert is an episode as people see it.
type alert struct{ id, severity, start, end string }

// replayed are the alerts of a backtest.
func replayed(t *testing.T, o loop.Options, from, to int, slis ...string) []alert {
	t.Helper()
	b := &backtest.Replay{Policies: alerting.BuiltIn(), From: timeline.MinuteOf(at(from)), To: timeline.MinuteOf(at(to))}
	o.Lookback, o.Registerer = b.Lookback, prometheus.NewRegistry()
	r, err := b.Run(t.Context(), loop.New(o), load(t, "6h", slis...))
	require.NoError(t, err)
	var out []alert
	for _, of := range r.Results {
		for _, e := range of.Episodes {
			a := alert{of.ID, e.Severity, e.Start.Format(time.RFC3339), ""}
			if e.End != nil {
				a.end = e.End.Format(time.RFC3339)
			}
			out = append(out, a)
		}
	}
	return out
}

// TestABacktestSaysWhatAServiceSaid that was there all along: it was started at the
// beginning and evaluated each minute, two minutes of which are not settled. An SLO,
// one of time slices and one that is split by tenants; bursts of errors and gaps in
// scraping come at random.
func TestABacktestSaysWhatAServiceSaid(t *testing.T) {
	const from, to = 400, 1300
	slis := []string{
		events,
		`{events: {bad: 'requests_total{code="500"}', total: requests_total}}, budgeting: timeslices, slice: {length: 1m, target: 95}`,
		`{events: {bad: 'requests_total{code="500"}', total: requests_total}}, group_by: [tenant]`,
	}
	series := ""
	for i, tenant := range []string{"acme", "globex"} {
		r := rand.New(rand.NewPCG(5, uint64(i)))
		good, bad, down := 0.0, 0.0, false
		var goods, bads []float64
		for minute, until, failing := 0, 0, false; minute <= to+10; minute++ {
			if minute == until {
				failing, down, until = r.IntN(4) == 0, r.IntN(6) == 0, minute+1+r.IntN(60)
			}
			good += 100
			if failing {
				bad += 30
			}
			goods, bads = append(goods, good), append(bads, bad)
			if down {
				goods[minute], bads[minute] = -1, -1
			}
		}
		series += `requests_total{code="200",instance="a",tenant="` + tenant + `"}` + values(len(goods), func(i int) float64 { return goods[i] }) + "\n"
		series += `requests_total{code="500",instance="a",tenant="` + tenant + `"}` + values(len(bads), func(i int) float64 { return bads[i] }) + "\n"
	}
	server := httptest.NewServer(embedded(t, time.Minute, series).Handler())
	defer server.Close()
	now := at(from).Add(30 * time.Second)
	o := options(server.URL, func() time.Time { return now })
	o.Windows, o.NewJudge, o.Lookback = alerting.BuiltIn().Windows, alerting.BuiltIn().NewJudge, alerting.BuiltIn().Lookback

	e := loop.New(o)
	e.SetSLOs(load(t, "6h", slis...), nil)
	var said []alert
	for ; !now.After(at(to + 2).Add(30 * time.Second)); now = now.Add(time.Minute) {
		e.Tick(t.Context())
		r := e.Report()
		open := map[alert]bool{}
		for _, s := range r.SLOs {
			for _, a := range s.Alerts {
				if a.Burns() {
					open[alert{s.ID, a.Severity, a.Since.Format(time.RFC3339), ""}] = true
				}
			}
		}
		for i := range said {
			switch {
			case said[i].end != "":
			case open[said[i]]:
				delete(open, said[i])
			default: // it ended with a slot that is settled
				said[i].end = r.EvaluatedAt.Add(-2 * time.Minute).Format(time.RFC3339)
			}
		}
		for a := range open {
			if a.start <= at(to).Format(time.RFC3339) {
				said = append(said, a)
			}
		}
	}
	said = slices.DeleteFunc(said, func(a alert) bool { return a.end != "" && a.end <= at(from).Format(time.RFC3339) })
	got := replayed(t, o, from, to, slis...)
	order := func(a, b alert) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.start, b.start), cmp.Compare(a.severity, b.severity))
	}
	slices.SortFunc(said, order)
	slices.SortFunc(got, order)
	require.Greater(t, len(said), 20)
	require.Equal(t, said, got)
}

// TestSeldomValuesAreTheSameInEveryReplica: a service that was there from the beginning
// counts what one counts that starts at the end, of a gauge that comes each 15 minutes,
// is away for two hours, and then comes each minute for 4 of 12.
func TestSeldomValuesAreTheSameInEveryReplica(t *testing.T) {
	const from, to = 60, 900
	series := "queue" + values(to+10, func(minute int) float64 {
		switch {
		case minute >= 300 && minute < 420, minute < 600 && minute%15 != 0, minute >= 600 && minute%12 >= 4:
			return -1
		}
		return float64(minute / 60 % 2 * 50)
	})
	server := httptest.NewServer(embedded(t, time.Minute, series).Handler())
	defer server.Close()
	slis := []string{`{threshold: {query: max(queue), op: "<", value: 10}}`, `{threshold: {query: queue, op: "<", value: 10}}, on_no_data: bad`}
	now := at(from).Add(30 * time.Second)
	e := newEvaluator(server.URL, func() time.Time { return now })
	e.SetSLOs(load(t, "12h", slis...), nil)
	for ; !now.After(at(to).Add(30 * time.Second)); now = now.Add(time.Minute) {
		e.Tick(t.Context())
	}
	live, fresh := e.Report().SLOs, evaluate(t, server.URL, load(t, "12h", slis...), at(to)).SLOs
	for i := range fresh {
		require.Equal(t, fresh[i].Windows, live[i].Windows, fresh[i].ID)
		require.NotZero(t, fresh[i].Windows[1].Bad)
	}
	// The last value before it is away lasts for 31 minutes: 103 of 120. Where it comes
	// each minute, 4 of 12 are unknown from the third hour on: before, it came seldom.
	require.Equal(t, (720-103-15*4)/720.0, fresh[0].Windows[1].Coverage)
}

// TestManyValuesThatGo: where the answer that would say how often they came is larger than
// answers may be, their minutes are counted all the same.
func TestManyValuesThatGo(t *testing.T) {
	db := embedded(t, time.Minute, "queue"+values(380, func(int) float64 { return 5 })).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.FormValue("query"), "queue[") {
			endless(w, r)
			return
		}
		db.ServeHTTP(w, r)
	}))
	defer server.Close()
	got := evaluate(t, server.URL, load(t, "6h", `{threshold: {query: queue, op: "<", value: 10}}`), at(430)).SLOs[0]
	require.Equal(t, evaluator.StateNoData, got.State, got.StateReason)
	last := got.Windows[len(got.Windows)-1]
	require.Equal(t, [2]float64{0, (383 - 70) / 360.0}, [2]float64{last.Bad, last.Coverage}, "the value of minute 379 is there for less than 5 minutes")
}

// BenchmarkBacktest90Days is one of an SLO over 30 d whose four series are scraped
// each 30 s, at three objectives by two policies: 127 days are read for it.
func BenchmarkBacktest90Days(b *testing.B) {
	const days = 128
	db := servers.Embedded(b)
	for i, code := range []string{"200", "200", "500", "500"} {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", string(rune('a'+i%2)), "code", code)
		sum := 0.0
		for day := range days {
			var samples []memprom.Sample
			for s := 0; s < 24*3600; s += 30 {
				switch {
				case code == "200":
					sum += 300 + float64(r.IntN(100))
				case s >= 3600 && s < 4200 && day%5 == 0:
					sum += 40
				case r.IntN(50) == 0:
					sum++
				}
				samples = append(samples, memprom.Sample{Time: start.AddDate(0, 0, day).Add(time.Duration(s) * time.Second), Value: sum})
			}
			require.NoError(b, db.Add(b.Context(), l, samples...))
		}
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	to := start.AddDate(0, 0, days)
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: shop\nslos:\n  - {name: requests, objective: 99.9, sli: " + events + "}\n")}})
	var objectives []slo.Objective
	for _, text := range []string{"99", "99.5", "99.9"} {
		o, err := slo.ParseObjective(text)
		require.NoError(b, err)
		objectives = append(objectives, o)
	}
	b.ReportAllocs()
	for b.Loop() {
		test := &backtest.Replay{
			Policies: alerting.BuiltIn(), Names: []string{"default", "classic"}, Objectives: objectives,
			From: timeline.MinuteOf(to.AddDate(0, 0, -90)), To: timeline.MinuteOf(to),
		}
		o := options(server.URL, func() time.Time { return to.Add(time.Hour) })
		o.Lookback, o.NewJudge = test.Lookback, alerting.BuiltIn().NewJudge
		r, err := test.Run(b.Context(), loop.New(o), set.SLOs)
		require.NoError(b, err)
		require.Len(b, r.Results, 6)
		require.Len(b, r.Results[4].Incidents, 18) // each fifth of 90 days
		require.Equal(b, 0, r.Results[4].Missed)
	}
}
