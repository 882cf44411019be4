package loop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	"github.com/slowburn-slo/slowburn/slo"
)

// Input counts what a backend loads to answer, by its own query statistics.
type Input struct {
	http.Handler

	mu      sync.Mutex
	samples int
	queries int
}

func (m *Input) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/query") {
		m.Handler.ServeHTTP(w, r)
		return
	}
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	r.Form.Set("stats", "all")
	rec := httptest.NewRecorder()
	m.Handler.ServeHTTP(rec, r)
	var answer struct {
		Data struct {
			Stats struct {
				Samples struct {
					TotalQueryableSamples int `json:"totalQueryableSamples"`
				} `json:"samples"`
			} `json:"stats"`
		} `json:"data"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		panic(err)
	}
	m.mu.Lock()
	m.samples += answer.Data.Stats.Samples.TotalQueryableSamples
	m.queries++
	m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rec.Code)
	_, _ = bytes.NewReader(rec.Body.Bytes()).WriteTo(w)
}

// taken gives what was counted since the last call.
func (m *Input) taken() (samples, queries int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	samples, queries = m.samples, m.queries
	m.samples, m.queries = 0, 0
	return samples, queries
}

// hundred writes 100 series that are scraped each 30 s: those of 50 instances, a
// good one that counts an event a second and a bad one. The processes say when they
// began.
func hundred(t *testing.T, from, to time.Time) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	scrape(t, db, 0, 50, from, to)
	return db
}

// scrape writes what some instances count in a time, from zero.
func scrape(t *testing.T, db *memprom.DB, first, last int, from, to time.Time) {
	t.Helper()
	for i := first; i < last; i++ {
		var began []memprom.Sample
		for at := from.Add(time.Duration(i*500) * time.Millisecond); at.Before(to); at = at.Add(30 * time.Second) {
			began = append(began, memprom.Sample{Time: at, Value: float64(from.Unix())})
		}
		require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, "process_start_time_seconds", "job", "shop", "instance", strconv.Itoa(i)), began...))
		for code, each := range map[string]float64{"200": 30, "500": 1} {
			var samples []memprom.Sample
			for at := from.Add(time.Duration(i*500) * time.Millisecond); at.Before(to); at = at.Add(30 * time.Second) {
				samples = append(samples, memprom.Sample{Time: at, Value: each * float64(len(samples))})
			}
			l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", strconv.Itoa(i), "shard", strconv.Itoa(i), "code", code)
			require.NoError(t, db.Add(t.Context(), l, samples...))
		}
	}
}

// TestCostOfTheStart holds what reading 30 days of 100 series costs the backend
// against one direct increase of each counter; with -short it is 10 days.
func TestCostOfTheStart(t *testing.T) {
	days := 30
	if testing.Short() {
		days = 10
	}
	window := fmt.Sprintf("%dd", days)
	end := start.Add(time.Duration(days) * 24 * time.Hour)
	m := &Input{Handler: hundred(t, start.Add(-26*time.Hour), end.Add(time.Millisecond)).Handler()}
	for _, promql := range []string{`increase(requests_total{code="500"}[` + window + `])`, `increase(requests_total[` + window + `])`} {
		form := url.Values{"query": {promql}, "time": {strconv.FormatInt(end.Unix(), 10)}}
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v1/query?"+form.Encode(), nil))
	}
	direct, _ := m.taken()
	require.Equal(t, 150*days*24*120, direct, "50 series and 100, 2 samples a minute")
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		o := options("http://localhost", func() time.Time { return end.Add(time.Minute) })
		o.Backends[0].HTTP = &http.Client{Transport: transport{m}}
		o.Backends[0].Method, o.Backends[0].Timeout = method, time.Minute
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, window, events), end)
		require.NoError(t, err)
		own := r.SLOs[0].Windows[1]
		scrapes := float64(days * 24 * 120)
		require.Equal(t, [2]float64{50 * 31 * scrapes, 50 * scrapes}, [2]float64{own.Total, own.Bad})
		samples, queries := m.taken()
		t.Logf("%s: %d samples in %d queries, %.2f of the direct ones", method, samples, queries, float64(samples)/float64(direct))
		require.LessOrEqual(t, float64(samples), 1.5*float64(direct), method)
	}
}

// TestCostOfAnHour holds what 67 minutes of evaluation, with an audit, cost the backend
// against the samples that come in them. SLOs of the same counters cost as much as one.
func TestCostOfAnHour(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := hundred(t, begin.Add(-30*time.Hour), begin.Add(2*time.Hour))
	const arriving = 100 * 134 // samples in 67 minutes
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		hour := func(t *testing.T, slos []*slo.SLO) (samples, queries int) {
			m := &Input{Handler: db.Handler()}
			synctest.Test(t, func(t *testing.T) {
				o := live(slog.New(slog.DiscardHandler), m)
				o.NewJudge = nil
				o.Backends[0].Method = method
				e := loop.New(o)
				e.SetSLOs(slos, nil)
				stop := run(t, e)
				defer stop()
				until(begin.Add(10*time.Minute + 40*time.Second))
				m.taken()
				before := audits(t, o.Registerer)
				until(begin.Add(77*time.Minute + 40*time.Second))
				samples, queries = m.taken()
				require.Greater(t, audits(t, o.Registerer), before)
				for _, s := range e.Report().SLOs {
					require.Equal(t, evaluator.StateOK, s.State)
					require.InDelta(t, 50*31*120*6, s.Windows[len(s.Windows)-1].Total, 1e-9)
				}
			})
			return samples, queries
		}
		samples, queries := hour(t, load(t, "6h", events))
		t.Logf("%s: %d samples in %d queries, %.2f of those that come", method, samples, queries, float64(samples)/arriving)
		require.LessOrEqual(t, samples, 5*arriving, method)

		alike, asked := hour(t, load(t, "6h", events, events, events))
		require.Equal(t, [2]int{samples, queries}, [2]int{alike, asked}, "three SLOs of the same counters, by %s", method)

		var more []string
		for i := range 9 {
			more = append(more, fmt.Sprintf(`{events: {bad: 'requests_total{code=~"50[0%d]"}', total: requests_total}}`, i+1))
		}
		shared, _ := hour(t, load(t, "6h", more...))
		t.Logf("%s: %d samples for nine SLOs", method, shared)
		if method == evaluator.MethodRaw {
			require.Equal(t, samples, shared, "nine SLOs of the same total")
		}
	}
}

// TestCostOfGroups holds what an hour of an SLO with a group for each of 50
// instances costs against what it costs without groups: one query is the same
// as the other. So it is when all of them restart at once.
func TestCostOfGroups(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := hundred(t, begin.Add(-30*time.Hour), begin.Add(30*time.Minute))
	scrape(t, db, 0, 50, begin.Add(30*time.Minute), begin.Add(2*time.Hour)) // restarted
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		var cost [][2]int
		for _, split := range []string{"", "group_by: [shard], "} {
			m := &Input{Handler: db.Handler()}
			synctest.Test(t, func(t *testing.T) {
				o := live(slog.New(slog.DiscardHandler), m)
				o.NewJudge, o.Backends[0].Method = nil, method
				e := loop.New(o)
				e.SetSLOs(slosOf(t, `{name: shop, `+split+`sli: `+events+`}`), nil)
				stop := run(t, e)
				defer stop()
				until(begin.Add(10*time.Minute + 40*time.Second))
				m.taken()
				until(begin.Add(70*time.Minute + 40*time.Second))
				samples, queries := m.taken()
				cost = append(cost, [2]int{samples, queries})
				if split != "" {
					require.Len(t, e.Report().SLOs, 51)
				}
			})
		}
		t.Logf("%s: %v without groups, %v with 50", method, cost[0], cost[1])
		require.Equal(t, cost[0][1], cost[1][1], method)
		require.LessOrEqual(t, float64(cost[1][0]), 1.2*float64(cost[0][0]), method)
	}
}

// TestCostOfAThousandGroups holds ten cycles of an SLO with a thousand groups
// against those of the SLO alone.
func TestCostOfAThousandGroups(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := database(t)
	for i := range 1000 {
		var samples []memprom.Sample
		for at := begin.Add(-3 * time.Hour); at.Before(begin.Add(time.Hour)); at = at.Add(time.Minute) {
			samples = append(samples, memprom.Sample{Time: at, Value: float64(len(samples))})
		}
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", "a", "tenant", fmt.Sprint("t", i), "code", "200")
		require.NoError(t, db.Add(t.Context(), l, samples...))
	}
	var cost [][2]int
	for _, split := range []string{"", "group_by: [tenant], "} {
		m := &Input{Handler: db.Handler()}
		synctest.Test(t, func(t *testing.T) {
			o := live(slog.New(slog.DiscardHandler), m)
			o.NewJudge, o.Backends[0].MaxSeries = nil, 10_000
			e := loop.New(o)
			e.SetSLOs(slosOf(t, `{name: shop, `+split+`sli: `+events+`}`), nil)
			defer run(t, e)()
			until(begin.Add(10*time.Minute + 40*time.Second))
			m.taken()
			until(begin.Add(20*time.Minute + 40*time.Second))
			samples, queries := m.taken()
			cost = append(cost, [2]int{samples, queries})
			if split != "" {
				require.Len(t, e.Report().SLOs, 1001)
				requireCounts(t, e.Report().SLOs[1000], 0, 60, 1)
			}
		})
	}
	require.Equal(t, cost[0], cost[1])
}

// TestCostOfThePacesOfGroups: how often samples come is asked once for all groups of an
// SLO, so that the start asks about as much for ten groups as for one.
func TestCostOfThePacesOfGroups(t *testing.T) {
	asked := map[int]int{}
	for _, groups := range []int{1, 10} {
		series := ""
		for i := range groups {
			series += fmt.Sprintf("level{tenant=\"%d\"} %s\n", i, strings.Repeat("1 _x14 ", 24*4))
		}
		handler, queries := embedded(t, time.Minute, series).Handler(), atomic.Int64{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			queries.Add(1)
			handler.ServeHTTP(w, r)
		}))
		slos := slosOf(t, `{name: tenants, objective: 99, window: 1d, group_by: [tenant], sli: {threshold: {query: level, op: ">", value: 0}}}`)
		r := evaluate(t, server.URL, slos, at(24*60))
		server.Close()
		require.Len(t, r.SLOs, groups+1)
		asked[groups] = int(queries.Load())
	}
	require.Less(t, asked[10], asked[1]+10, asked)
}
