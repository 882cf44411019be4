package rules

import (
	"context"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// ruleEngine is the rule engine and the storage of Prometheus with some series.
// Its epoch is a whole hour.
type ruleEngine struct {
	t       *testing.T
	epoch   time.Time
	storage *teststorage.TestStorage
	engine  *promql.Engine
	loaded  int64 // samples loaded by rules so far
}

func newBackend(t *testing.T) *ruleEngine {
	t.Helper()
	return &ruleEngine{
		t: t, epoch: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), storage: teststorage.New(t),
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 5e7, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})}),
	}
}

// load adds samples at start, start+step and so on after the epoch, in the
// notation of promtool: `requests_total{job="a"} 0+10x7 stale _ 3`.
func (b *ruleEngine) load(start, step time.Duration, series ...string) {
	b.t.Helper()
	app := b.storage.Appender(b.t.Context())
	for _, s := range series {
		lset, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(s)
		require.NoError(b.t, err, s)
		for i, v := range values {
			if !v.Omitted {
				at := b.epoch.Add(start + time.Duration(i)*step).UnixMilli()
				_, err := app.Append(0, lset, at, v.Value)
				require.NoError(b.t, err, s)
			}
		}
	}
	require.NoError(b.t, app.Commit())
}

// run evaluates the SLO's rules from the epoch on for d. Each group is shifted
// by phase within its interval.
func (b *ruleEngine) run(s *slo.SLO, o Options, phase, d time.Duration) {
	b.t.Helper()
	text, err := File("test.yaml", []*slo.SLO{s}, o)
	require.NoError(b.t, err)
	file := filepath.Join(b.t.TempDir(), "rules.yaml")
	require.NoError(b.t, os.WriteFile(file, text, 0o600))
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: b.instant, Appendable: b.storage, Queryable: b.storage, Context: b.t.Context(),
		ExternalURL: &url.URL{}, NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	loaded, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	require.Empty(b.t, errs)
	for _, g := range loaded {
		for _, r := range g.AlertingRules() {
			r.SetRestored(true) // there is nothing to restore, and only then ALERTS is written
		}
	}
	groups := slices.SortedFunc(maps.Values(loaded), func(x, y *rules.Group) int { return strings.Compare(x.Name(), y.Name()) })
	for at := time.Duration(0); at < d; at += time.Minute {
		for _, g := range groups {
			if at%g.Interval() == 0 {
				g.Eval(b.t.Context(), b.epoch.Add(at+phase))
			}
			for _, r := range g.Rules() {
				require.NoError(b.t, r.LastError(), "%s at %s", r, at)
			}
		}
	}
}

func (b *ruleEngine) instant(ctx context.Context, q string, at time.Time) (promql.Vector, error) {
	query, err := b.engine.NewInstantQuery(ctx, b.storage, nil, q, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	res := query.Exec(ctx)
	b.loaded += query.Stats().Samples.TotalSamples
	if res.Err != nil {
		return nil, res.Err
	}
	if v, err := res.Scalar(); err == nil {
		return promql.Vector{{T: v.T, F: v.V}}, nil
	}
	return res.Vector()
}

// value is the query's only value at a time after the epoch, NaN when there is
// none.
func (b *ruleEngine) value(q string, at time.Duration) float64 {
	b.t.Helper()
	v, err := b.instant(b.t.Context(), q, b.epoch.Add(at))
	require.NoError(b.t, err)
	require.LessOrEqual(b.t, len(v), 1, q)
	if len(v) == 0 {
		return math.NaN()
	}
	require.False(b.t, math.IsNaN(v[0].F) || math.IsInf(v[0].F, 0), q)
	return v[0].F
}

// The recorded slots: all events, and the bad ones.
const (
	totalSlots = `slo:slot:events{result=""}`
	badSlots   = `slo:slot:events{result="bad"}`
)

// with is a selector with more matchers.
func with(selector, more string) string { return strings.TrimSuffix(selector, "}") + more + "}" }

// samples are all values of a recorded metric with the times they were recorded
// at, in milliseconds.
func (b *ruleEngine) samples(selector string) (values []float64, at []int64) {
	b.t.Helper()
	q, err := b.storage.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(b.t, err)
	defer q.Close()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	require.NoError(b.t, err)
	for set := q.Select(b.t.Context(), true, nil, matchers...); set.Next(); {
		var it = set.At().Iterator(nil)
		for it.Next() != 0 {
			t, v := it.At()
			at, values = append(at, t), append(values, v)
		}
	}
	return values, at
}
