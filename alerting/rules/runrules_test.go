package rules

import (
	"cmp"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/ruler"
	"github.com/slowburn-slo/slowburn/slo"
)

// runGroups evaluates the rules of an SLO as a Prometheus does, instant by
// instant.
func runGroups(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time) {
	t.Helper()
	require.NoError(t, ruler.Eval(t.Context(), db, ruleText(t, s), from, to))
}

func ruleText(t *testing.T, s *slo.SLO) []byte {
	t.Helper()
	text, err := File("slo.yaml", []*slo.SLO{s}, Options{Alerts: true, Policies: alerting.BuiltIn()})
	require.NoError(t, err)
	return text
}

// runSeries evaluates the recording rules one by one, each over the whole time
// in one query, which takes a small part of the time. Rules come after those
// that they read.
func runSeries(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time) {
	t.Helper()
	runRanks(t, db, s, from, to, rankSlots)
}

// The ranks of recording rules, which read those of the ranks before.
const (
	rankSlots = iota
	rankQuarters
)

// runRanks does it for the rules from a rank on.
func runRanks(t *testing.T, db *memprom.DB, s *slo.SLO, from, to time.Time, least int) {
	t.Helper()
	text := ruleText(t, s)
	file, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	type timed struct {
		rulefmt.Rule
		first    time.Time
		interval time.Duration
		rank     int
	}
	var all []timed
	for _, g := range file.Groups {
		// As Prometheus shifts groups: by a hash, somewhere within the interval.
		interval := time.Duration(g.Interval)
		first := rules.NewGroup(rules.GroupOptions{Name: g.Name, File: "rules.yml", Interval: interval, Opts: &rules.ManagerOptions{}}).
			EvalTimestamp(from.Add(interval).UnixNano())
		for _, r := range g.Rules {
			if r.Alert != "" || r.Record == "slo_alert_firing" || strings.HasPrefix(r.Record, "slo:alert_tier") { // which read themselves
				continue
			}
			rank := slices.IndexFunc([]string{"slo:slot", "slo:quarter", "slo:long", "slo:window:events", "slo:window:bad_ratio", "slo_", "slo:window:"}, func(prefix string) bool {
				return strings.HasPrefix(r.Record, prefix)
			})
			if rank >= least {
				all = append(all, timed{r, first, interval, rank})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b timed) int { return cmp.Compare(a.rank, b.rank) })
	for _, r := range all {
		q, err := db.Engine().NewRangeQuery(t.Context(), db.Queryable(), nil, r.Expr, r.first, to, r.interval)
		require.NoError(t, err)
		record(t, db, r.Rule, q.Exec(t.Context()), to, r.interval)
		q.Close()
	}
}

// record writes a rule's results until an instant, with a stale marker after each
// stretch.
func record(t *testing.T, db *memprom.DB, r rulefmt.Rule, result *promql.Result, until time.Time, interval time.Duration) {
	t.Helper()
	matrix, err := result.Matrix()
	require.NoError(t, err, r.Expr)
	// Results with other labels become one series, but never at one instant.
	values := map[string]map[int64]float64{}
	byName := map[string]labels.Labels{}
	for _, series := range matrix {
		b := labels.NewBuilder(series.Metric).Set(model.MetricNameLabel, r.Record)
		for name, text := range r.Labels {
			b.Set(name, text)
		}
		name := b.Labels().String()
		if values[name] == nil {
			values[name], byName[name] = map[int64]float64{}, b.Labels()
		}
		for _, p := range series.Floats {
			if _, twice := values[name][p.T]; twice {
				t.Fatalf("%s has two values at %d", name, p.T)
			}
			values[name][p.T] = p.F
		}
	}
	for name, of := range values {
		require.NoError(t, db.Add(t.Context(), byName[name], ended(of, interval, until)...))
	}
}

// ended returns samples by their times, with a stale marker after each stretch that is
// over at an instant.
func ended(of map[int64]float64, interval time.Duration, until time.Time) []memprom.Sample {
	var samples []memprom.Sample
	for _, now := range slices.Sorted(maps.Keys(of)) {
		samples = append(samples, memprom.Sample{Time: time.UnixMilli(now), Value: of[now]})
		next := now + interval.Milliseconds()
		if _, goesOn := of[next]; !goesOn && next <= until.UnixMilli() {
			samples = append(samples, memprom.Sample{Time: time.UnixMilli(next), Value: memprom.Stale()})
		}
	}
	return samples
}

// recorded are the samples of all series of a selector, without stale markers.
func recorded(t *testing.T, db *memprom.DB, selector string) []memprom.Sample {
	t.Helper()
	q, err := db.Queryable().Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	require.NoError(t, err)
	var out []memprom.Sample
	for set := q.Select(t.Context(), true, nil, matchers...); set.Next(); {
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			if millis, v := it.At(); !value.IsStaleNaN(v) {
				out = append(out, memprom.Sample{Time: time.UnixMilli(millis).UTC(), Value: v})
			}
		}
	}
	return out
}

// tierExprs are the conditions of the tiers of an SLO.
func tierExprs(t *testing.T, s *slo.SLO) []string {
	t.Helper()
	file, errs := rulefmt.Parse(ruleText(t, s), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	var out []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Record == tierBurn {
				out = append(out, r.Expr)
			}
		}
	}
	require.GreaterOrEqual(t, len(out), 4)
	return out
}
