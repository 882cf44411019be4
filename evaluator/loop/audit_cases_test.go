package loop_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// auditCase is data that a wrong rule counts wrong, of which a running service is in
// no doubt.
type auditCase struct {
	name   string
	slo    string
	method string
	series map[string]func(minute float64) float64 // since the service began; NaN for no sample
	every  time.Duration                           // between samples; 0 is 30 s
}

// replicaLabel tells the replicas of all cases apart.
const replicaLabel = "prometheus"

// auditCases are cases in which something happens half an hour after the service
// began, or over and over.
func auditCases() []auditCase {
	const half = 30
	upTo := func(end float64, f func(float64) float64) func(float64) float64 {
		return func(m float64) float64 {
			if m >= end {
				return math.NaN()
			}
			return f(m)
		}
	}
	from := func(begin float64, f func(float64) float64) func(float64) float64 {
		return func(m float64) float64 {
			if m < begin {
				return math.NaN()
			}
			return f(m)
		}
	}
	// lost is a sum of a million that loses most of it.
	lost := func(perMinute float64) func(float64) float64 {
		return func(m float64) float64 { return 1e6 + perMinute*m - 900_000*b2f(m >= half) }
	}
	steady := func(perMinute float64) func(float64) float64 {
		return func(m float64) float64 { return 1e6 + perMinute*m }
	}
	// life is the counter of a process that restarts each 100 minutes, and is up again with
	// the label sets that it had, at once about as high.
	life := func(perMinute float64) func(float64) float64 {
		return func(m float64) float64 { return math.Floor(perMinute * math.Mod(m+1050, 100)) }
	}
	events := `{name: a, sli: {events: {bad: 'failed_total', total: 'all_total'}}}`
	sums := map[string]func(float64) float64{`all_total{job="j",instance="i"}`: lost(6000), `failed_total{job="j",instance="i"}`: steady(60)}
	return []auditCase{
		{"recorded-sum", events, evaluator.MethodRaw, sums, 0},
		{"recorded-sum, by sums", events, evaluator.MethodAggregated, sums, 0},
		{"recorded-sum, in slices", `{name: a, budgeting: timeslices, slice: {length: 1m, target: 99}, sli: {events: {bad: 'failed_total', total: 'all_total'}}}`, evaluator.MethodRaw, sums, 0},
		{"shrinking-sum", events, evaluator.MethodRaw, map[string]func(float64) float64{
			// A member ends each 5 minutes with a hundredth of all that there is.
			`all_total{job="j",instance="i"}`:    func(m float64) float64 { return 1e6 + 600*math.Mod(m+1000, 5) },
			`failed_total{job="j",instance="i"}`: steady(6),
		}, 0},
		{"le-both", `{name: a, sli: {latency: {histogram: h_seconds, threshold: 1s}}}`, evaluator.MethodRaw, map[string]func(float64) float64{
			`h_seconds_bucket{job="j",instance="i",le="1"}`:    upTo(200, steady(50)),
			`h_seconds_bucket{job="j",instance="i",le="1.0"}`:  from(half, steady(50)),
			`h_seconds_bucket{job="j",instance="i",le="+Inf"}`: steady(100),
			`h_seconds_count{job="j",instance="i"}`:            steady(100),
		}, 0},
		{"replicas", events, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i",prometheus="a"}`:    steady(100),
			`all_total{job="j",instance="i",prometheus="b"}`:    from(half, steady(100)),
			`failed_total{job="j",instance="i",prometheus="a"}`: steady(10),
			`failed_total{job="j",instance="i",prometheus="b"}`: from(half, steady(10)),
		}, 0},
		{"groups", `{name: a, group_by: [tenant], sli: {events: {bad: 'all_total{code="500"}', total: 'all_total'}}}`, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i",tenant="x",code="500"}`: steady(6),
			`all_total{job="j",instance="i",tenant="x",code="200"}`: steady(60),
			`all_total{job="j",instance="i",tenant="y",code="200"}`: steady(600),
		}, 0},
		{"a series that is away at the start of each audited hour", events, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i",code="200"}`: steady(1),
			`all_total{job="j",instance="i",code="500"}`: func(m float64) float64 {
				if math.Mod(m+1005, 67) >= 5 { // audits are 67 minutes apart
					return math.NaN()
				}
				return 1e6 + 2*m
			},
			`failed_total{job="j",instance="i"}`: steady(1),
		}, 0},
		{"increments", `{name: a, sli: {events: {type: delta, bad: 'failed', total: 'all'}}}`, evaluator.MethodRaw, map[string]func(float64) float64{
			`all{job="j",instance="i"}`: func(float64) float64 { return 100 }, `failed{job="j",instance="i"}`: func(float64) float64 { return 5 },
		}, 0},
		{"errors that come back", events, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i"}`: life(60),
			`failed_total{job="j",instance="i"}`: func(m float64) float64 {
				if up := math.Mod(m+1050, 100); up >= 5 {
					return 1000 + math.Floor(up)
				}
				return math.NaN()
			},
		}, 0},
		{"native histogram", `{name: a, sli: {latency: {histogram: h_seconds, threshold: 300ms}}}`, evaluator.MethodRaw, map[string]func(float64) float64{
			`h_seconds{job="j",instance="i"}`: steady(100), `h_seconds{job="j",instance="k"}`: life(100),
		}, 0},
		{"restarts", events, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i"}`: life(60), `failed_total{job="j",instance="i"}`: life(6),
		}, 0},
		{"pods of five minutes", events, evaluator.MethodRaw, pods(5), 0},
		{"pods of two minutes", events, evaluator.MethodRaw, pods(2), 0},
		{"tenants of five minutes", events, evaluator.MethodRaw, tenantsOf(5), 0},
		{"hourly batches, seldom scraped", events, evaluator.MethodRaw, map[string]func(float64) float64{
			`all_total{job="j",instance="i"}`: func(m float64) float64 { return 9000 * math.Floor((m+1000)/60) }, `failed_total{job="j",instance="i"}`: steady(6),
		}, 5 * time.Minute},
	}
}

// pods are processes one after the other, of so many minutes each.
func pods(minutes float64) map[string]func(float64) float64 {
	out := map[string]func(float64) float64{}
	for begin := -180.0; begin < 300; begin += minutes {
		for name, perMinute := range map[string]float64{"all_total": 600, "failed_total": 60} {
			out[fmt.Sprintf(`%s{job="j",instance="p%v"}`, name, begin)] = func(m float64) float64 {
				if m < begin || m >= begin+minutes {
					return math.NaN()
				}
				return perMinute * (m - begin)
			}
		}
	}
	return out
}

// tenants are label sets of a process, of so many minutes each.
func tenantsOf(minutes float64) map[string]func(float64) float64 {
	out := map[string]func(float64) float64{}
	for begin := -180.0; begin < 300; begin += minutes {
		for name, perMinute := range map[string]float64{"all_total": 600, "failed_total": 60} {
			out[fmt.Sprintf(`%s{job="j",instance="i",tenant="t%v"}`, name, begin)] = func(m float64) float64 {
				if m < begin || m >= begin+minutes+5 {
					return math.NaN()
				}
				return perMinute * (min(m, begin+minutes) - begin + 0.5)
			}
		}
	}
	return out
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// doubted are the messages of the doubts audit that a service has in its first four
// hours, each once, with the SLOs.
func (c *auditCase) doubted(t *testing.T) (out []string) {
	t.Helper()
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := database(t)
	for text, value := range c.series {
		name, err := parser.NewParser(parser.Options{}).ParseMetric(text)
		require.NoError(t, err)
		var samples []memprom.Sample
		for at := -3 * time.Hour; at < 5*time.Hour; at += cmp.Or(c.every, 30*time.Second) {
			if v := value(at.Minutes()); !math.IsNaN(v) {
				samples = append(samples, memprom.Sample{Time: begin.Add(at), Value: v})
			}
		}
		if text[:2] == "h_" && !strings.Contains(text, "le=") && !strings.Contains(text, "_count") {
			addNativeHistogram(t, db, name, samples)
			continue
		}
		require.NoError(t, db.Add(t.Context(), name, samples...))
	}
	set := slosOf(t, c.slo)
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.NewJudge, o.Backends[0].Method, o.Backends[0].ReplicaLabels = nil, c.method, []string{replicaLabel}
		e := loop.New(o)
		e.SetSLOs(set, nil)
		defer run(t, e)()
		for at := begin; at.Before(begin.Add(4 * time.Hour)); at = at.Add(20 * time.Minute) {
			until(at.Add(40 * time.Second))
			for _, s := range e.Report().SLOs {
				for _, d := range s.Doubts {
					if text := s.ID + ": " + d.Message; d.Code == evaluator.DoubtAudit && !slices.Contains(out, text) {
						out = append(out, text)
					}
				}
			}
		}
	})
	return out
}

// addNativeHistogram adds samples of a histogram of which a tenth is above 0.3.
func addNativeHistogram(t *testing.T, db *memprom.DB, name labels.Labels, samples []memprom.Sample) {
	t.Helper()
	app := db.Appender(t.Context())
	for _, s := range samples {
		h := &histogram.FloatHistogram{
			Schema: histogram.CustomBucketsSchema, CustomValues: []float64{0.3}, Count: s.Value, Sum: s.Value,
			PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{0.9 * s.Value, 0.1 * s.Value},
		}
		_, err := app.AppendHistogram(0, name, s.Time.UnixMilli(), nil, h)
		require.NoError(t, err)
	}
	require.NoError(t, app.Commit())
}

// TestAuditsAgree: the counts of each case equal those of the backend, except for
// what is explained.
func TestAuditsAgree(t *testing.T) {
	for _, c := range auditCases() {
		t.Run(c.name, func(t *testing.T) { require.Empty(t, c.doubted(t), "audit") })
	}
}

// everyFault has each fault tried.
var everyFault = flag.Bool("faults", false, "show that audits find each of the faults, which takes some minutes")

// fault takes a rule out of the code. It has the cases that it counts wrong.
type fault struct {
	name  string
	cases []string
	edits []edit
}

// edit replaces a text of a file, which is there once.
type edit struct{ file, old, new string }

// faults are those that services had.
func faults() []fault {
	dips := []edit{
		{"../counting/counters/fall.go", "if f.scrapes < deciding && now-f.at <= p.gaps.Limit() {", "if f.verdict != restarted {"},
		{"../counting/counters/process.go", "	case v < last.V:\n		return p.fell(", "	case fell && v < f.height:\n		return 0\n	case v < last.V:\n		return p.fell("},
	}
	return []fault{
		{"a counter that fell is a dip until it is as high again", []string{"recorded-sum", "shrinking-sum", "recorded-sum, in slices"}, dips},
		{"the sum of a target that fell is a dip until it is as high again", []string{"recorded-sum, by sums"}, []edit{
			{"../counting/counters/targets.go", "if f.scrapes < deciding && now-f.at <= deciding*60_000 {", "if f.verdict != restarted {"},
			{"../counting/counters/targets.go", "	case x.V < last.V:\n", "	case s.fall != nil && x.V < s.fall.height:\n		return 0\n	case x.V < last.V:\n"},
		}},
		{"a counter that comes back a little lower is a dip until it is as high again", []string{"errors that come back"}, append([]edit{
			{"../counting/counters/process.go", "	case likely && (v <", "	case v < last.V && v >= 0.9*last.V:\n		return p.fell(c, now, evidence{verdict: reduced}, out)\n	case likely && (v <"},
		}, dips...)},
		{"groups count what is ruled", []string{"groups"}, []edit{
			{"../counting/rulings.go", "		return max(0, x.V-last.V)\n", "		return 0\n"},
		}},
		{"increments are counted as rates", []string{"increments"}, []edit{{"../counting/gauges/increments.go", "	if n.perSecond {\n", "	if true {\n"}}},
		{"observations of native histograms count twice", []string{"native histogram"}, []edit{
			{"../counting/histograms.go", "V: h.Count}", "V: 2 * h.Count}"},
		}},
	}
}

// TestAuditsFindFaults has a rule taken out of a copy of the code, and requires that
// the service is in doubt then.
func TestAuditsFindFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			replaced := map[string]string{}
			for _, e := range f.edits {
				path, err := filepath.Abs(e.file)
				require.NoError(t, err)
				from := path
				if replaced[path] != "" {
					from = replaced[path]
				}
				text, err := os.ReadFile(from)
				require.NoError(t, err)
				require.Equal(t, 1, strings.Count(string(text), e.old), "%s: %s", e.file, e.old)
				replaced[path] = filepath.Join(t.TempDir(), filepath.Base(e.file))
				require.NoError(t, os.WriteFile(replaced[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
			}
			if !*everyFault {
				return
			}
			overlay, err := json.Marshal(map[string]any{"Replace": replaced})
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "overlay.json")
			require.NoError(t, os.WriteFile(file, overlay, 0o600))
			for _, name := range f.cases {
				// #nosec G204 -- the names are those of this file
				out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", file, "-run", "^TestAuditsAgree$/^"+strings.ReplaceAll(name, " ", "_")+"$", ".").CombinedOutput()
				require.Error(t, err, "%s is in no doubt", name)
				require.Contains(t, string(out), "events were counted, and", name)
				t.Logf("%s: %s", name, out)
			}
		})
	}
}
