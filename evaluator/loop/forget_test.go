package loop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// forgetful is a backend that forgets a time, and answers 200 without it and without
// a warning.
type forgetful struct {
	http.Handler

	mu       sync.Mutex
	from, to time.Time
}

func (f *forgetful) forget(from, to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from, f.to = from, to
}

// has reports whether it has a time, in seconds.
func (f *forgetful) has(seconds float64) bool {
	return seconds <= float64(f.from.Unix()) || seconds > float64(f.to.Unix())
}

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Accept-Encoding")
	rec := httptest.NewRecorder()
	f.Handler.ServeHTTP(rec, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			ResultType string           `json:"resultType"`
			Result     []map[string]any `json:"result"`
		} `json:"data"`
	}
	if rec.Code != http.StatusOK || json.Unmarshal(rec.Body.Bytes(), &answer) != nil || f.from.Equal(f.to) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		return
	}
	gone := func(pair any) bool { return !f.has(pair.([]any)[0].(float64)) }
	answer.Data.Result = slices.DeleteFunc(answer.Data.Result, func(s map[string]any) bool {
		if values, ok := s["values"].([]any); ok {
			values = slices.DeleteFunc(values, gone)
			s["values"] = values
			return len(values) == 0
		}
		return gone(s["value"])
	})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// forgettable are SLOs of every way to make slots, each over a day.
func forgettable(t *testing.T) []*slo.SLO {
	t.Helper()
	const head = "apiVersion: slowburn/v1\nservice: shop\ndefaults: {objective: 99, window: 1d}\nslos:\n"
	const counted = `sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}`
	set := spec.Load([]spec.File{{Name: "slo.yaml", Source: "./slos", Text: []byte(head +
		"  - {name: events, " + counted + "}\n" +
		"  - {name: slices, budgeting: timeslices, slice: {length: 20m, target: 99}, " + counted + "}\n" +
		"  - {name: absent, on_no_data: bad, budgeting: timeslices, slice: {length: 1m, target: 99}, " + counted + "}\n" +
		"  - {name: groups, group_by: [code], " + counted + "}\n" +
		"  - {name: months, window: {calendar: week, timezone: UTC}, " + counted + "}\n" +
		"  - {name: queue, sli: {threshold: {query: 'max(requests_total)', op: '>=', value: 0}}}\n" +
		"  - {name: journey, worst_of: [shop/events, shop/queue]}\n")}})
	for _, f := range set.Findings {
		require.NotEqual(t, "error", fmt.Sprint(f.Severity), f.Text())
	}
	return set.SLOs
}

// numbers are those that a report has of SLOs, without its notes.
func numbers(t *testing.T, r *evaluator.Report) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range r.SLOs {
		s.Doubts, s.StateSince, s.Alerts = nil, nil, slices.Clone(s.Alerts)
		for i := range s.Alerts {
			if s.Alerts[i].Tier == "" { // who is up for longer may have seen more of the beginning
				s.Alerts[i].Since, s.Alerts[i].Older = time.Time{}, false
			}
		}
		text, err := json.Marshal(s)
		require.NoError(t, err)
		out[s.ID] = string(text)
	}
	return out
}

// requireNumbers says that two reports have the same numbers and alerts.
func requireNumbers(t *testing.T, want, got *evaluator.Report) {
	t.Helper()
	is := numbers(t, got)
	for id, text := range numbers(t, want) {
		require.Equal(t, text, is[id])
	}
	require.Len(t, is, len(want.SLOs))
}

// doubted are the ids of the SLOs of a report with slots that their backend lacks.
func doubted(r *evaluator.Report) []string {
	var out []string
	for _, s := range r.SLOs {
		if slices.ContainsFunc(s.Doubts, func(d evaluator.Doubt) bool {
			return d.Code == evaluator.DoubtPartlyKnown && strings.Contains(d.Message, "no samples any more")
		}) {
			out = append(out, s.ID)
		}
	}
	return out
}

// shopSince is a day and a half of traffic before an instant, and two days after it.
func shopSince(t *testing.T, begin time.Time) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	traffic(t, db, rand.New(rand.NewPCG(1, 2)), "requests_total", begin.Add(-16*24*time.Hour), begin.Add(48*time.Hour), time.Minute)
	return db
}

// TestForgettingMakesNothingLessKnown: a backend forgets all but the last 6 h, or
// some hours in the middle, and all is read again, or the last day is. Every number
// and every alert stays, with a doubt. It is asked each hour, and when it has all
// again, the doubt is gone and the numbers are those of a new process.
func TestForgettingMakesNothingLessKnown(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := shopSince(t, begin)
	cases := map[string]struct {
		from, to time.Duration // what is forgotten
		daily    bool
	}{
		"the past":           {-1000 * time.Hour, -3 * time.Hour, false},
		"a time in between":  {-10 * time.Hour, -4*time.Hour - 7*time.Minute, false},
		"a time of last day": {20 * time.Hour, 21 * time.Hour, true},
	}
	if testing.Short() {
		delete(cases, "a time of last day") // which passes more than a day
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				back := &forgetful{Handler: db.Handler()}
				e := loop.New(live(slog.New(slog.NewTextHandler(&log, nil)), back))
				e.SetSLOs(forgettable(t), nil)
				defer run(t, e)()
				minute := func(m int) { until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second)) }
				same := func(m int) {
					t.Helper()
					want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).HistoryAt(t.Context(), forgettable(t), begin.Add(time.Duration(m)*time.Minute))
					require.NoError(t, err)
					requireNumbers(t, want, e.Report())
				}
				minute(30)
				same(30)
				require.Empty(t, doubted(e.Report()))

				if c.daily {
					minute(22 * 60)
				}
				back.forget(begin.Add(c.from), begin.Add(c.to))
				m := 32
				if c.daily {
					m = 31 * 60 // within a day and 6 hours of the start
				} else {
					e.Reread()
				}
				minute(m)
				same(m)
				require.Len(t, doubted(e.Report()), len(e.Report().SLOs))
				minute(m + 100)
				same(m + 100)
				require.Len(t, doubted(e.Report()), len(e.Report().SLOs))

				back.forget(begin, begin)
				minute(m + 240)
				same(m + 240)
				require.Empty(t, doubted(e.Report()), "it has all again")
				require.Equal(t, 1, strings.Count(log.String(), "no samples any more"), log.String())
			})
		})
	}
}

// TestAStartThatFindsLess reads history again within an hour of when there is more.
func TestAStartThatFindsLess(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := shopSince(t, begin)
	synctest.Test(t, func(t *testing.T) {
		back := &forgetful{Handler: db.Handler()}
		back.forget(begin.Add(-1000*time.Hour), begin.Add(-3*time.Hour))
		e := loop.New(live(slog.New(slog.DiscardHandler), back))
		e.SetSLOs(forgettable(t), nil)
		defer run(t, e)()
		until(begin.Add(5*time.Hour + 31*time.Second))
		require.InDelta(t, 8.0/24, e.Report().SLOs[2].Windows[len(e.Report().SLOs[2].Windows)-1].Coverage, 0.1)
		back.forget(begin, begin)
		until(begin.Add(6*time.Hour + 5*time.Minute + 31*time.Second))
		want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).HistoryAt(t.Context(), forgettable(t), begin.Add(6*time.Hour+5*time.Minute))
		require.NoError(t, err)
		requireNumbers(t, want, e.Report())
		require.Empty(t, doubted(e.Report()))
	})
}

// TestForgettingTheNewest: counting goes on from what was counted, and not from before
// what a reread lacks.
func TestForgettingTheNewest(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := shopSince(t, begin)
	synctest.Test(t, func(t *testing.T) {
		back := &forgetful{Handler: db.Handler()}
		e := loop.New(live(slog.New(slog.DiscardHandler), back))
		e.SetSLOs(forgettable(t), nil)
		defer run(t, e)()
		minute := func(m int) { until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second)) }
		whole := func(id string) evaluator.WindowStatus {
			for _, s := range e.Report().SLOs {
				if s.ID == id {
					return s.Windows[len(s.Windows)-1]
				}
			}
			t.Fatal(id)
			return evaluator.WindowStatus{}
		}
		minute(30)
		before := whole("shop/events")
		require.Equal(t, 1.0, before.Coverage)
		back.forget(begin.Add(-2*time.Hour), begin.Add(20*time.Hour))
		e.Reread()
		minute(33)
		require.Greater(t, whole("shop/events").Coverage, 1-5.0/1440)
		require.InDelta(t, before.Total, whole("shop/events").Total, 0.01*before.Total)
		require.Contains(t, doubted(e.Report()), "shop/events")

		back.forget(begin, begin)
		minute(150)
		want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).HistoryAt(t.Context(), forgettable(t), begin.Add(150*time.Minute))
		require.NoError(t, err)
		requireNumbers(t, want, e.Report())
		require.Empty(t, doubted(e.Report()))
	})
}

// TestForgettingKeepsWhatIsUndecided: 10 requests a minute, and a fall from 32,880 to 20,000
// within what is forgotten. The doubt about it stays, and is the same when all is there again.
func TestForgettingKeepsWhatIsUndecided(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	var samples []memprom.Sample
	for m, v := -3*24*60, 0.0; m < 300; m++ {
		if v += 10; m == -5*60 {
			v = 20_000
		}
		samples = append(samples, memprom.Sample{Time: begin.Add(time.Duration(m) * time.Minute), Value: v})
	}
	require.NoError(t, db.Add(t.Context(), labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", "a"), samples...))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		back := &forgetful{Handler: db.Handler()}
		e := loop.New(live(slog.New(slog.NewTextHandler(&log, nil)), back))
		e.SetSLOs(load(t, "1d", `{events: {bad: 'requests_total{code="500"}', total: requests_total}}`), nil)
		defer run(t, e)()
		undecided := func(m int) string {
			t.Helper()
			until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second))
			for _, d := range e.Report().SLOs[0].Doubts {
				if d.Code == evaluator.DoubtAmbiguous {
					return d.Message
				}
			}
			return ""
		}
		require.Contains(t, undecided(10), "ambiguous: 20,000 events may have happened that are not counted, beside 14,3")
		back.forget(begin.Add(-10*time.Hour), begin.Add(-4*time.Hour))
		e.Reread()
		require.Contains(t, undecided(13), "ambiguous: 20,000 events")
		require.Len(t, doubted(e.Report()), 1)
		back.forget(begin, begin)
		require.Contains(t, undecided(150), "ambiguous: 20,000 events")
		require.Empty(t, doubted(e.Report()))
		require.Equal(t, 1, strings.Count(log.String(), "number is in doubt"), log.String())
		require.Equal(t, 1, strings.Count(log.String(), "number is in doubt\" slo_id=shop/slo0 code=ambiguous"), log.String())
	})
}

// TestForgettingWithinASlice that is not over when all is read again: it has each of its
// minutes when it is.
func TestForgettingWithinASlice(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := shopSince(t, begin)
	synctest.Test(t, func(t *testing.T) {
		back := &forgetful{Handler: db.Handler()}
		e := loop.New(live(slog.New(slog.DiscardHandler), back))
		e.SetSLOs(forgettable(t), nil)
		defer run(t, e)()
		until(begin.Add(30*time.Minute + 31*time.Second)) // a slice began at 0:20
		back.forget(begin.Add(21*time.Minute), begin.Add(24*time.Minute))
		e.Reread()
		until(begin.Add(50*time.Minute + 31*time.Second))
		want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).HistoryAt(t.Context(), forgettable(t), begin.Add(50*time.Minute))
		require.NoError(t, err)
		requireNumbers(t, want, e.Report())
	})
}

// TestForgettingAGroup whose last sample is 5 hours old: it is there until it is retired.
func TestForgettingAGroup(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	for tenant, end := range map[string]int{"a": 120, "b": -5 * 60} {
		var samples []memprom.Sample
		for m := -2 * 24 * 60; m < end; m++ {
			samples = append(samples, memprom.Sample{Time: begin.Add(time.Duration(m) * time.Minute), Value: float64(10 * (m + 10_000))})
		}
		require.NoError(t, db.Add(t.Context(), labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", tenant, "tenant", tenant), samples...))
	}
	synctest.Test(t, func(t *testing.T) {
		back := &forgetful{Handler: db.Handler()}
		e := loop.New(live(slog.New(slog.DiscardHandler), back))
		e.SetSLOs(load(t, "1d", `{events: {bad: 'requests_total{code="500"}', total: requests_total}}, group_by: [tenant]`), nil)
		defer run(t, e)()
		totals := func(m int) map[string]int {
			until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second))
			out := map[string]int{}
			for _, s := range e.Report().SLOs {
				out[s.ID] = int(s.Windows[len(s.Windows)-1].Total)
			}
			return out
		}
		before := totals(10)
		require.InDelta(t, 10*(1440-5*60-10), before[`shop/slo0{tenant="b"}`], 20)
		back.forget(begin.Add(-1000*time.Hour), begin.Add(-3*time.Hour))
		e.Reread()
		require.InDelta(t, before[`shop/slo0{tenant="b"}`], totals(13)[`shop/slo0{tenant="b"}`], 40)
		require.InDelta(t, before["shop/slo0"], totals(14)["shop/slo0"], 80)
	})
}
