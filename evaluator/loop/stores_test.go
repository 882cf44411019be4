package loop_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
)

// thanos is in front of a backend, and lists stores.
type thanos struct {
	http.Handler

	mu    sync.Mutex
	list  string // of /api/v1/stores, its data
	asked int
}

func (f *thanos) lists(list ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = "{" + strings.Join(list, ",") + "}"
}

func (f *thanos) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v1/status/buildinfo":
		says(200, `{"status":"success","data":{"version":"0.42.4","goVersion":"go1.26.8"}}`)(w, r)
	case "/api/v1/stores":
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked++
		says(200, `{"status":"success","data":`+f.list+`}`)(w, r)
	default:
		f.Handler.ServeHTTP(w, r)
	}
}

// listed is a component of one store or more; a store is its name, labels, error and times.
func listed(component string, stores ...string) string {
	return fmt.Sprintf("%q:[%s]", component, strings.Join(stores, ","))
}

func storeOf(name, labels, failure string, from, to int64) string {
	if failure == "" {
		failure = "null"
	}
	return fmt.Sprintf(`{"name":%q,"lastCheck":"2026-11-30T08:00:00Z","lastError":%s,"labelSets":[{%s}],"minTime":%d,"maxTime":%d}`, name, failure, labels, from, to)
}

const (
	refusal = `"rpc error: code = Unavailable desc = connection refused"`
	forever = int64(math.MaxInt64)
)

// TestAStoreOfThanosThatFails makes what touches its time partial, unless another has
// the same samples.
func TestAStoreOfThanosThatFails(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := shopSince(t, begin)
	hours := func(n int) int64 { return begin.Add(time.Duration(n) * time.Hour).UnixMilli() }
	sidecar := func(replica, failure string) string {
		return storeOf("sidecar-"+replica+":10901", `"cluster":"a","replica":"`+replica+`"`, failure, hours(-6), forever)
	}
	for name, c := range map[string]struct {
		stores []string
		reason string // "" for fine
	}{
		"all are well":      {[]string{listed("sidecar", sidecar("a", "")), listed("store", storeOf("store:10901", "", "", hours(-999), hours(-2)))}, ""},
		"the store fails":   {[]string{listed("sidecar", sidecar("a", "")), listed("store", storeOf("store:10901", "", refusal, hours(-999), hours(-2)))}, "the answer may be partial: the store store:10901 fails: rpc error: code = Unavailable desc = connection refused"},
		"one of two stores": {[]string{listed("store", storeOf("one", "", "", hours(-999), hours(-2)), storeOf("two", "", refusal, hours(-999), hours(-2)))}, "the store two fails"},
		"of another time":   {[]string{listed("store", storeOf("old", "", refusal, hours(-999), hours(-500)))}, ""},
		"a sidecar fails":   {[]string{listed("sidecar", sidecar("a", refusal))}, "the sidecar sidecar-a:10901 fails"},
		"one of two alike":  {[]string{listed("sidecar", sidecar("a", refusal), sidecar("b", ""))}, ""},
		"one has less":      {[]string{listed("sidecar", sidecar("a", refusal), storeOf("sidecar-b", `"cluster":"a","replica":"b"`, "", hours(-5), forever))}, "the sidecar sidecar-a:10901 fails"},
		"no list":           {[]string{`"sidecar":"of another API"`}, ""},
		"of other labels":   {[]string{listed("sidecar", storeOf("other", `"job":"other"`, refusal, hours(-6), forever))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			front := &thanos{Handler: db.Handler()}
			front.lists(c.stores...)
			o := live(slog.New(slog.DiscardHandler), front)
			o.Now = func() time.Time { return begin.Add(time.Hour) }
			job := `{events: {bad: 'requests_total{job="shop",code="500"}', total: 'requests_total{job="shop"}'}}`
			r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1d", job), begin)
			require.NoError(t, err)
			require.Contains(t, r.SLOs[0].StateReason, c.reason)
			require.Equal(t, c.reason == "", r.SLOs[0].State == evaluator.StateOK, r.SLOs[0].StateReason)
		})
	}
}

// TestASidecarOfThanosThatFailsForLong is an outage for as long: each minute of it no SLO
// takes what the rest answers, and the log has one line when it begins and one when it
// ends. A cycle that begins a moment earlier than the one before does not miss that.
func TestASidecarOfThanosThatFailsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var log bytes.Buffer
		front := &thanos{}
		front.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if time.Since(begin) < 6*time.Minute {
				until(time.Now().Add(5 * time.Millisecond))
			}
			answer(w, r)
		})
		lists := func(failure string) {
			front.lists(listed("sidecar", storeOf("sidecar", `"cluster":"test"`, failure, begin.Add(-6*time.Hour).UnixMilli(), forever)))
		}
		lists("")
		o := live(slog.New(slog.NewTextHandler(&log, nil)), front)
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", many(20)...), nil)
		defer run(t, e)()
		minute := func(m int) { until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second)) }
		minute(5)
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(e.Report()))
		lists(refusal)
		for m := 6; m < 20; m++ {
			minute(m)
			require.Equal(t, map[evaluator.State]int{evaluator.StateQueryFailed: 20}, states(e.Report()), "minute %d", m)
			require.Equal(t, 0.0, backendUp(t, o), "minute %d", m)
		}
		require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		lists("")
		minute(20)
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(e.Report()))
		require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
	})
}

// TestAStoreOfThanosThatIsGone: a reread takes nothing while it fails, nor when it
// is listed no more, though the rest answers with fewer events of each slot. When it
// is back, it reads.
func TestAStoreOfThanosThatIsGone(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db, rest := shopSince(t, begin), shopSince(t, begin)
	all, some := db.Handler(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		r.Form.Set("query", strings.ReplaceAll(r.Form.Get("query"), `requests_total`, `requests_total{instance="a"}`))
		rest.Handler().ServeHTTP(w, r)
	})
	hours := func(n int) int64 { return begin.Add(time.Duration(n) * time.Hour).UnixMilli() }
	side := listed("sidecar", storeOf("sidecar", `"replica":"a"`, "", hours(-6), forever))
	well := listed("store", storeOf("store", "", "", hours(-999), hours(-2)))
	fails := listed("store", storeOf("store", "", refusal, hours(-999), hours(-2)))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		handler := all
		front := &thanos{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			h := handler
			mu.Unlock()
			h.ServeHTTP(w, r)
		})}
		use := func(h http.Handler, list ...string) {
			mu.Lock()
			defer mu.Unlock()
			handler = h
			front.lists(list...)
		}
		use(all, side, well)
		e := loop.New(live(slog.New(slog.NewTextHandler(&log, nil)), front))
		e.SetSLOs(load(t, "1d", `{events: {bad: 'requests_total{code="500"}', total: requests_total}}`), nil)
		defer run(t, e)()
		minute := func(m int) { until(begin.Add(time.Duration(m)*time.Minute + 31*time.Second)) }
		total := func() float64 { s := e.Report().SLOs[0]; return s.Windows[len(s.Windows)-1].Total }
		minute(30)
		before := total()
		require.Positive(t, before)

		use(some, side, fails)
		e.Reread()
		minute(33)
		require.InDelta(t, before, total(), 0.02*before)
		use(some, side)
		minute(90)
		require.InDelta(t, before, total(), 0.1*before)
		require.Equal(t, evaluator.StateOK, e.Report().SLOs[0].State, "the store has nothing of now")
		require.Contains(t, e.Report().SLOs[0].Doubts[0].Message, "the store store is gone that was there until 2000-01-01 00:")

		use(all, side, well)
		minute(100)
		want, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).EvaluateAt(t.Context(), []*slo.SLO{e.Report().SLOs[0].Spec}, begin.Add(100*time.Minute))
		require.NoError(t, err)
		requireNumbers(t, want, e.Report())
		require.Empty(t, e.Report().SLOs[0].Doubts)
		require.Less(t, front.asked, 300, "once a minute, and around rereads")
	})
}
