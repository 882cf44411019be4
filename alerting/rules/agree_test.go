package rules

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestAgree holds the evaluator against the generated rules, run by the PromQL
// engine, on the same series.
func TestAgree(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		w := newWorld(t, worldBytes(seed))
		t.Run(fmt.Sprint(seed), func(t *testing.T) { agree(t, w, runSeries, 0) })
	}
	// Instant by instant it is the same, but takes much longer.
	t.Run("as Prometheus does", func(t *testing.T) {
		w := newWorld(t, worldBytes(8))
		agree(t, w, runGroups, w.minutes-2*60)
	})
}

// FuzzAgree looks for worlds in which they don't agree.
func FuzzAgree(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(worldBytes(100 + seed))
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		w := newWorld(t, bytes)
		if w.slo.Window.Length <= day { // the fuzzer gives an input 10 s
			agree(t, w, runSeries, 0)
		}
	})
}

func worldBytes(seed uint64) []byte {
	out := make([]byte, 300)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// runner evaluates the rules of an SLO over a time.
type runner func(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time)

// agree compares what the two computations say of a world, the rules evaluated
// from a minute on: each slot of the SLO's window, and at three instants all
// windows.
func agree(t *testing.T, w *world, run runner, from int) {
	t.Helper()
	t.Logf("%s over %s, scraped each %d s\n%s", w.shape.name, w.slo.Window.Length, w.interval, strings.Join(w.story, "\n"))
	db := servers.Embedded(t)
	w.load(t, db)
	run(t, db, w.slo, at(from), at(w.minutes))
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	c := &comparison{t: t, world: w, db: db, url: server.URL}
	c.readSlots()
	for _, late := range []int{35, 20, 5} {
		end := w.minutes - late
		for w.resumed[end] {
			end-- // the evaluator does not know the slot before the next scrape
		}
		status, tl := c.evaluate(end)
		c.slots(end, tl)
		c.windows(end, status)
		if w.slo.Window.Length > LongestDirect {
			// The quarter of an hour that was complete 6 minutes ago: by then
			// both groups have evaluated it.
			end -= end % 15
			c.longWindow(end)
		}
	}
}

// comparison holds the rules' results in a database against the evaluator's.
type comparison struct {
	*world
	t   *testing.T
	db  *memprom.DB
	url string

	only       string          // the id of the group that is compared; "" for the only SLO
	total, bad map[int]float64 // by the rules, by the end of the slot
	phase      time.Duration   // of quarters of an hour within the minute
}

// at is an instant of the world.
func at(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

// readSlots reads what the rules counted.
func (c *comparison) readSlots() {
	read := func(name string) map[int]float64 {
		out := map[int]float64{}
		for _, s := range recorded(c.t, c.db, c.of(name)) {
			// The newest slot that ended at least 30 s before.
			out[int(s.Time.Add(-30*time.Second).Sub(epoch)/time.Minute)] = s.Value
		}
		return out
	}
	for _, s := range recorded(c.t, c.db, `slo:quarter:events{result=""}`) {
		c.phase = s.Time.Sub(s.Time.Truncate(time.Minute))
	}
	c.total, c.bad = read(totalSlots), read(badSlots)
}

// of is a query of the series of the group that is compared.
func (c *comparison) of(query string) string {
	if c.only == "" {
		return query
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	require.NoError(c.t, err)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			s.LabelMatchers = append(s.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, "slo_id", c.only))
		}
		return nil
	})
	return e.String()
}

// evaluate is the evaluator's status at the end of a slot, and its timeline.
func (c *comparison) evaluate(end int) (*evaluator.Status, *timeline.Timeline) {
	var tl *timeline.Timeline
	o := evaluatorOptions(c.url)
	o.NewJudge = func() evaluator.Judge {
		return func(_ *slo.SLO, t *timeline.Timeline, _ timeline.Minute) []evaluator.FiringAlert {
			tl = t
			return nil
		}
	}
	o.Lookback = func(s *slo.SLO) time.Duration { return s.Window.Length.Duration() + runUp }
	return evaluateAt(c.t, o, c.slo, at(end)), tl
}

// evaluatorOptions are those that the program makes, for one backend.
func evaluatorOptions(url string) loop.Options {
	return loop.Options{
		Backends: []backend.Config{{
			Name: "default", URL: url, HTTP: http.DefaultClient, Offset: 30 * time.Second, Settle: 2 * time.Minute,
			Timeout: time.Minute, MaxConcurrency: 1, MaxSamples: 50_000_000, TargetLabels: []string{"job", "instance"},
		}},
		Windows: alerting.BuiltIn().Windows, NewJudge: alerting.BuiltIn().NewJudge, Lookback: alerting.BuiltIn().Lookback, PageWindow: alerting.BuiltIn().PageWindow,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

// evaluateAt evaluates an SLO half a minute after the end of a slot.
func evaluateAt(t *testing.T, o loop.Options, s *slo.SLO, end time.Time) *evaluator.Status {
	t.Helper()
	return &evaluateAllAt(t, o, s, end)[0]
}

// evaluateAllAt evaluates an SLO and its groups.
func evaluateAllAt(t *testing.T, o loop.Options, s *slo.SLO, end time.Time) []evaluator.Status {
	t.Helper()
	o.Now = func() time.Time { return end.Add(30 * time.Second) }
	r, err := loop.New(o).EvaluateAt(t.Context(), []*slo.SLO{s}, end)
	require.NoError(t, err)
	require.Equal(t, end, r.EvaluatedAt)
	require.NotEqual(t, evaluator.StateQueryFailed, r.SLOs[0].State, r.SLOs[0].StateReason)
	return r.SLOs
}

// slots compares each slot of the SLO's window.
func (c *comparison) slots(end int, tl *timeline.Timeline) {
	for m := end - int(c.slo.Window.Length.Duration()/time.Minute); m <= end; m++ {
		to := timeline.MinuteOf(at(m))
		got := tl.Sum(to-1, to)
		total, known := c.total[m]
		require.Equal(c.t, got.Known == 1, known, "whether the slot is known that ends at minute %d, %s", m, at(m))
		require.Equal(c.t, got.Total, total, "events of the slot that ends at minute %d, %s", m, at(m))
		require.Equal(c.t, got.Bad, c.bad[m], "bad events of the slot that ends at minute %d, %s", m, at(m))
	}
}

// windows compares the windows of up to 6 h that end with a slot, and the state
// of the data. From half a minute after it on the slot is the rules' newest, for
// a minute.
func (c *comparison) windows(end int, status *evaluator.Status) {
	now := at(end).Add(90*time.Second - time.Millisecond)
	for i, w := range status.Windows {
		if w.Seconds <= int64(LongestDirect.Duration()/time.Second) {
			c.window(w, now, status.Budget, i == len(status.Windows)-1)
		}
	}
	one := 1.0
	c.equal(&one, `slo_data_state{state="`+string(status.State)+`"}`, now)
	c.equal(&one, `count(slo_data_state == 1)`, now)
}

// longWindow compares the SLO's own window, of whole quarters of an hour of
// which the last is complete at a quarter of the clock: the rules have it 6
// minutes later. It ends with the slot that was the newest in what they had recorded
// at the quarter: one or two minutes earlier.
func (c *comparison) longWindow(quarter int) {
	newest := at(quarter).Add(c.phase - time.Minute)
	if c.phase == 0 {
		newest = at(quarter)
	}
	end := int(newest.Add(-30*time.Second).Sub(epoch) / time.Minute)
	if c.resumed[end] {
		return
	}
	status, _ := c.evaluate(end)
	c.window(status.Windows[len(status.Windows)-1], at(quarter+6), status.Budget, true)
}

// window compares a window and, when it is the SLO's own, the budget.
func (c *comparison) window(w evaluator.WindowStatus, now time.Time, b evaluator.Budget, own bool) {
	if !own {
		c.equal(w.BurnRate, `slo_burn_rate{window="`+w.Name+`"}`, now)
		return
	}
	good := w.Total - w.Bad
	if w.Coverage == 0 {
		c.equal(nil, `slo_window_events`, now)
	} else {
		c.equal(&good, `slo_window_events{result="good"}`, now)
		c.equal(&w.Bad, `slo_window_events{result="bad"}`, now)
	}
	c.equal(&w.Coverage, `slo_coverage_ratio`, now)
	c.equal(w.SLI, `slo_sli_ratio`, now)
	c.equal(b.Allowed, `slo_error_budget_events`, now)
	c.equal(b.Remaining, `slo_error_budget_remaining_ratio`, now)
}

// equal holds a number, nil when it is undefined, against a metric.
func (c *comparison) equal(want *float64, metric string, now time.Time) {
	c.t.Helper()
	q, err := c.db.Engine().NewInstantQuery(c.t.Context(), c.db.Queryable(), nil, c.of(metric), now)
	require.NoError(c.t, err)
	defer q.Close()
	v, err := q.Exec(c.t.Context()).Vector()
	require.NoError(c.t, err)
	if want == nil {
		require.Empty(c.t, v, "%s at %s", metric, now)
		return
	}
	require.Len(c.t, v, 1, "%s at %s", metric, now)
	require.InDelta(c.t, *want, v[0].F, 1e-6*math.Abs(*want), "%s at %s", metric, now)
}
