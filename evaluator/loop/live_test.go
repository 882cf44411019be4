package loop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// transport carries requests to a handler without a network, whose waiting the
// clock of a bubble would not pass over.
type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.ServeHTTP(rec, r)
	}()
	select {
	case <-done:
	case <-r.Context().Done():
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// live are options of an evaluator that judges, on one backend for each handler.
func live(log *slog.Logger, handlers ...http.Handler) loop.Options {
	o := options("http://localhost", time.Now)
	o.Log, o.Registerer = log, prometheus.NewRegistry()
	o.Windows, o.NewJudge, o.Lookback = alerting.BuiltIn().Windows, alerting.BuiltIn().NewJudge, alerting.BuiltIn().Lookback
	backend := o.Backends[0]
	o.Backends = nil
	for i, h := range handlers {
		backend.Name = fmt.Sprintf("backend%d", i)
		backend.Method = "query" // the handlers have no remote read
		backend.HTTP = &http.Client{Transport: transport{h}}
		o.Backends = append(o.Backends, backend)
	}
	return o
}

// run starts an evaluator in a bubble whose clock is at now, and ends it with
// the test's function.
func run(t *testing.T, e *loop.Loop) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// until passes time until an instant.
func until(at time.Time) {
	time.Sleep(time.Until(at))
	synctest.Wait()
}

// traffic writes counters of two instances with errors in bursts, restarts and
// failed scrapes.
func traffic(t *testing.T, db *memprom.DB, rng *rand.Rand, name string, from, to time.Time, interval time.Duration) {
	t.Helper()
	for _, instance := range []string{"a", "b"} {
		var good, bad []memprom.Sample
		g, b, rate := 0.0, 0.0, 0.0
		down := from
		for at := from.Add(time.Duration(rng.IntN(int(interval)))).Truncate(time.Millisecond); at.Before(to); at = at.Add(interval) {
			switch rng.IntN(int(6 * time.Hour / interval)) {
			case 0:
				rate = []float64{0, 0, 0.002, 0.02, 0.2}[rng.IntN(5)]
			case 1:
				g, b = 0, 0
			case 2:
				down = at.Add(time.Duration(rng.IntN(20)) * time.Minute)
			}
			g += float64(rng.IntN(int(interval / time.Second)))
			b += float64(int(rate * interval.Seconds() * rng.Float64() * 2))
			if at.Before(down) {
				continue
			}
			good = append(good, memprom.Sample{Time: at, Value: g})
			if b > 0 {
				bad = append(bad, memprom.Sample{Time: at, Value: b})
			}
		}
		series := func(code string) labels.Labels {
			return labels.FromStrings(model.MetricNameLabel, name, "job", "shop", "instance", instance, "code", code)
		}
		require.NoError(t, db.Add(t.Context(), series("200"), good...))
		require.NoError(t, db.Add(t.Context(), series("500"), bad...))
	}
}

// pushes writes what a gateway shows, scraped each 15 s, of a batch that pushes its
// counters each few minutes, and when it began; often they are the same as before.
func pushes(t *testing.T, db *memprom.DB, rng *rand.Rand, name string, from, to time.Time) {
	t.Helper()
	var good, bad, began []memprom.Sample
	for run := from; run.Before(to); {
		n, failed, length := float64(100+10*rng.IntN(2)), float64(rng.IntN(2)), time.Duration(rng.IntN(100))*time.Second
		next := run.Add(time.Duration(20+rng.IntN(600)) * time.Second)
		for at := run.Truncate(15 * time.Second).Add(15 * time.Second); !at.After(next); at = at.Add(15 * time.Second) {
			good = append(good, memprom.Sample{Time: at, Value: n})
			bad = append(bad, memprom.Sample{Time: at, Value: failed})
			began = append(began, memprom.Sample{Time: at, Value: float64(run.Add(-length).Unix())})
		}
		run = next
	}
	for code, samples := range map[string][]memprom.Sample{"200": good, "500": bad} {
		require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, name, "job", "batch", "code", code), samples...))
	}
	require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, "process_start_time_seconds", "job", "batch"), began...))
}

// answer answers each query with two series that count one event a second, the
// bad ones one in a hundred.
func answer(w http.ResponseWriter, r *http.Request) {
	var values strings.Builder
	end, _ := strconv.ParseInt(r.FormValue("time"), 10, 64)
	d, _ := model.ParseDuration(strings.TrimSuffix(r.FormValue("query")[strings.Index(r.FormValue("query"), "[")+1:], "]"))
	scale := int64(1)
	if strings.Contains(r.FormValue("query"), "500") {
		scale = 100
	}
	for at := (end-int64(time.Duration(d).Seconds()))/30*30 + 30; at <= end; at += 30 {
		fmt.Fprintf(&values, `,[%d,"%d"]`, at, at/scale)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"code":"%d"},"values":[%s]}]}}`,
		scale, strings.TrimPrefix(values.String(), ","))
}

// states are how many SLOs are in each state.
func states(r *evaluator.Report) map[evaluator.State]int {
	out := map[evaluator.State]int{}
	for _, s := range r.SLOs {
		out[s.State]++
	}
	return out
}

// on lets SLOs count in a backend.
func on(slos []*slo.SLO, backend, service string) []*slo.SLO {
	for _, s := range slos {
		s.Origin.Backends, s.Service = []string{backend}, service
	}
	return slos
}

func many(n int) []string { return slices.Repeat([]string{events}, n) }

// TestABackendThatHangs keeps no other waiting, and the log short.
func TestABackendThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		hanging := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hangs.Load() {
				<-r.Context().Done()
				return
			}
			answer(w, r)
		})
		var log bytes.Buffer
		o := live(slog.New(slog.NewTextHandler(&log, nil)), http.HandlerFunc(answer), hanging)
		o.Backends[1].Timeout = 2 * time.Minute
		e := loop.New(o)
		e.SetSLOs(append(on(load(t, "1h", many(3)...), "backend0", "a"), on(load(t, "1h", many(10)...), "backend1", "b")...), nil)
		stop := run(t, e)
		begin := time.Now()
		until(begin.Add(5*time.Minute + 31*time.Second))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 13}, states(e.Report()))
		hangs.Store(true)
		for m := 6; m <= 90; m++ { // hours, so that a recovery reads a long range
			until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second))
			s := e.Report().SLOs[0]
			require.Equal(t, evaluator.StateOK, s.State)
			require.Equal(t, begin.Add(time.Duration(m)*time.Minute).UTC(), s.Windows[0].End)
		}
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 3, evaluator.StateQueryFailed: 10}, states(e.Report()))
		failed := e.Report().SLOs[5]
		require.Equal(t, begin.Add(5*time.Minute).UTC(), failed.Windows[0].End) // the last good numbers and their age
		require.Equal(t, 300.0, failed.Windows[0].Total)
		hangs.Store(false)
		until(begin.Add(95*time.Minute + 31*time.Second))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 13}, states(e.Report()))
		require.Equal(t, 3600.0, e.Report().SLOs[5].Windows[len(e.Report().SLOs[5].Windows)-1].Total)
		require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())

		hangs.Store(true) // and ends at once
		until(begin.Add(96*time.Minute + 31*time.Second))
		stopping := time.Now()
		stop()
		require.Equal(t, stopping, time.Now())
	})
}

// TestBetween looks at a time while slots are read: what was counted is there at any
// moment, and only an SLO whose own slots are being read keeps waiting.
func TestBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		o := live(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if time.Sleep(300 * time.Millisecond); hangs.Load() && strings.Contains(r.FormValue("query"), "slow_total") {
				<-r.Context().Done()
				return
			}
			answer(w, r)
		}))
		o.Backends[0].Timeout = 20 * time.Second
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", events, `{events: {bad: 'slow_total{code="500"}', total: slow_total}}`), nil)
		defer run(t, e)()
		begin := time.Now()
		between := func(id string) (*loop.Range, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return e.CountsBetween(ctx, id, begin.Add(time.Minute+7*time.Second), begin.Add(5*time.Minute-7*time.Second))
		}
		until(begin.Add(10 * time.Minute))
		for range 600 { // 2 min
			for _, id := range []string{"shop/slo0", "shop/slo1"} {
				s, err := between(id)
				require.NoError(t, err)
				require.Equal(t, begin.Add(time.Minute).UTC(), s.Sum.Start.Time())
				require.Equal(t, begin.Add(5*time.Minute).UTC(), s.Sum.End.Time())
				require.Equal(t, 240.0, s.Sum.Total)
				require.Equal(t, 4, s.Sum.Known)
				require.Len(t, s.Parts, 4)
			}
			time.Sleep(200 * time.Millisecond)
		}
		s, err := between("shop/gone")
		require.NoError(t, err)
		require.Zero(t, s.HeldTo)

		hangs.Store(true)
		until(begin.Add(12*time.Minute + 32*time.Second))
		_, err = between("shop/slo1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s, err = between("shop/slo0")
		require.NoError(t, err)
		require.Equal(t, 240.0, s.Sum.Total)
		hangs.Store(false)
		until(begin.Add(14 * time.Minute))
		s, err = between("shop/slo1")
		require.NoError(t, err)
		require.Equal(t, 240.0, s.Sum.Total)
	})
}

// TestFailingHistoriesDontKeepOthersWaiting: places among the readers of
// history are few.
func TestFailingHistoriesDontKeepOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.FormValue("query"), "refused") {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			answer(w, r)
		})
		refused := slices.Repeat([]string{`{events: {bad: 'refused_total{code="500"}', total: refused_total}}`}, 10)
		e := loop.New(live(slog.New(slog.DiscardHandler), refuses))
		e.SetSLOs(append(on(load(t, "1h", refused...), "backend0", "a"), on(load(t, "1h", many(10)...), "backend0", "b")...), nil)
		defer run(t, e)()
		until(time.Now().Add(time.Minute))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 10, evaluator.StateQueryFailed: 10}, states(e.Report()))
	})
}

// TestABackendThatIsDownAtTheStart is told once, by a metric too.
func TestABackendThatIsDownAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		var log bytes.Buffer
		o := live(slog.New(slog.NewTextHandler(&log, nil)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			answer(w, r)
		}))
		up := func() float64 {
			families, err := o.Registerer.(prometheus.Gatherer).Gather()
			require.NoError(t, err)
			for _, f := range families {
				if f.GetName() == "slowburn_backend_up" {
					return f.GetMetric()[0].GetGauge().GetValue()
				}
			}
			return -1
		}
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", many(20)...), nil)
		defer run(t, e)()
		begin := time.Now()
		until(begin.Add(10 * time.Minute))
		require.Equal(t, map[evaluator.State]int{evaluator.StateQueryFailed: 20}, states(e.Report()))
		require.Equal(t, 0.0, up())
		require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		down.Store(false)
		until(begin.Add(12 * time.Minute))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(e.Report()))
		require.Equal(t, 1.0, up())
		require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
	})
}

// TestAClockThatIsSetBack by hours does not stop the evaluation for hours.
func TestAClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		o := live(slog.New(slog.DiscardHandler), http.HandlerFunc(answer))
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", events), nil)
		defer run(t, e)()
		begin := time.Now().UTC()
		until(begin.Add(10*time.Minute + 31*time.Second))
		back.Store(int64(5 * time.Hour))
		until(begin.Add(12*time.Minute + 31*time.Second))
		s := e.Report().SLOs[0]
		require.Equal(t, begin.Add(12*time.Minute-5*time.Hour), s.Windows[0].End)
		require.Equal(t, evaluator.StateOK, s.State)
		require.Equal(t, 3600.0, s.Windows[len(s.Windows)-1].Total)
	})
}

// TestReloadsWhileHistoryIsRead end with the newest set, whatever came before.
func TestReloadsWhileHistoryIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(live(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			answer(w, r)
		})))
		defer run(t, e)()
		for i := range 50 {
			e.SetSLOs(load(t, []string{"1h", "1d", "7d"}[i%3], many(1+i%7)...), nil)
			time.Sleep(time.Duration(i) * 400 * time.Millisecond)
		}
		e.SetSLOs(load(t, "1d", many(5)...), nil)
		until(time.Now().Add(3 * time.Minute))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 5}, states(e.Report()))
		require.Equal(t, "1d", e.Report().SLOs[0].Window)
	})
}

// TestALongRunSaysWhatANewProcessSays at the same instant, to the byte.
func TestALongRunSaysWhatANewProcessSays(t *testing.T) {
	const day = 24 * time.Hour
	rng := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := servers.Embedded(t)
	var slos []*slo.SLO
	for _, interval := range []time.Duration{20 * time.Second, 2 * time.Minute, 5 * time.Minute, 0} {
		name := fmt.Sprintf("every%.0fs", interval.Seconds())
		if interval == 0 {
			pushes(t, db, rng, name+"_total", begin.Add(-day), begin.Add(day))
		} else {
			traffic(t, db, rng, name+"_total", begin.Add(-day-time.Duration(2*interval.Minutes()*float64(day))), begin.Add(day), interval)
		}
		text := "apiVersion: slowburn/v1\nservice: " + name + "\nslos:\n"
		for i, objective := range []string{"50", "99"} {
			for _, window := range []string{"1h", "90d"} {
				text += fmt.Sprintf("  - {name: over%s-%d, objective: %s, window: %s, sli: {events: {bad: '%s_total{code=\"500\"}', total: %s_total}}}\n",
					window, i, objective, window, name, name)
			}
		}
		set := spec.Load([]spec.File{{Name: name, Text: []byte(text)}})
		require.Empty(t, set.Findings)
		slos = append(slos, set.SLOs...)
	}
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		long := loop.New(live(log, db.Handler()))
		long.SetSLOs(slos, nil)
		stop := run(t, long)
		defer stop()
		alerts := 0
		for at := begin.Add(3 * time.Minute); at.Before(begin.Add(day)); at = at.Add(173 * time.Minute) {
			until(at.Add(31 * time.Second))
			want, err := loop.New(live(log, db.Handler())).EvaluateAt(t.Context(), slos, time.Now())
			require.NoError(t, err)
			got := long.Report()
			require.Equal(t, want.EvaluatedAt, got.EvaluatedAt)
			for i := range want.SLOs {
				alerts += len(want.SLOs[i].Alerts)
				x, err := json.Marshal(want.SLOs[i])
				require.NoError(t, err)
				y, err := json.Marshal(got.SLOs[i])
				require.NoError(t, err)
				if string(x) != string(y) {
					t.Errorf("%s %s\nnew  %s\nlong %s", at, want.SLOs[i].ID, x, y)
				}
			}
		}
		require.Greater(t, alerts, 10)
	})
}
