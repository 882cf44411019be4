package rules

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// unknown is a slot without a number.
var unknown = math.NaN()

// slotCase says what must be counted in each slot, worked out by hand. Sample i
// of a series is in slot i/2, 7 or 37 s after its start. {60} stands for the time
// a minute after the start of the first slot.
type slotCase struct {
	name             string
	good, bad, total string // selectors
	series           []string
	wantTotal        []float64
	wantBad          []float64
}

// kindCase is one whose SLO is written: SLOs of a service, a YAML mapping each, of
// which that is counted that is called last. Without any it is made of selectors.
type kindCase struct {
	slotCase
	text []string
}

func allCases() []kindCase {
	out := kindCases()
	for _, c := range slotCases() {
		out = append(out, kindCase{c, nil})
	}
	return out
}

func (c kindCase) slo(t *testing.T) *slo.SLO {
	t.Helper()
	if c.text == nil {
		return withWindow(example(t, c.good, c.bad, c.total), hour)
	}
	text := "apiVersion: slowburn/v1\nservice: s\ndefaults: {objective: 99, window: 1h}\nslos:\n  - " + strings.Join(c.text, "\n  - ") + "\n"
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(text)}})
	for _, f := range set.Findings {
		require.NotEqual(t, yamlfile.Error, f.Severity, f.Text())
	}
	last := slices.IndexFunc(set.SLOs, func(s *slo.SLO) bool { return s.Name == "last" })
	require.GreaterOrEqual(t, last, 0)
	return set.SLOs[last]
}

// seriesAt are the series whose first slot starts at an instant.
func (c slotCase) seriesAt(start int64) []string {
	var out []string
	for _, line := range c.series {
		out = append(out, regexp.MustCompile(`\{-?\d+\}`).ReplaceAllStringFunc(line, func(text string) string {
			n, _ := strconv.Atoi(strings.Trim(text, "{}"))
			return strconv.FormatInt(start+int64(n), 10)
		}))
	}
	return out
}

func slotCases() []slotCase {
	const bad, all = `requests_total{code="500"}`, `requests_total`
	const ok, failed = `ok_total`, `failed_total`
	// The target a, and what another counter or target of it has.
	at := func(name, more string) string { return name + `{job="j",instance="a"` + more + `}` }
	c200, c500 := at("requests_total", `,code="200"`), at("requests_total", `,code="500"`)
	return []slotCase{
		{
			"plain", "", bad, all,
			[]string{c200 + " 0+9x7", c500 + " 0+1x7"},
			[]float64{unknown, 20, 20, 20}, []float64{unknown, 2, 2, 2},
		}, {
			"reset", "", bad, all,
			[]string{c200 + " 0 10 20 30 5 15 25 35", c500 + " 0 0 1 1 0 0 2 2"},
			[]float64{unknown, 21, 15, 22}, []float64{unknown, 1, 0, 2},
		}, {
			// Also of a counter that is higher at the end than before the slot.
			"reset within a slot", "", bad, all,
			[]string{c200 + " 0 10 20 30 40 5 15 25", c500 + " 0 0 1 1 3 2 2 2"},
			[]float64{unknown, 21, 19, 20}, []float64{unknown, 1, 4, 0},
		}, {
			"error series missing, then born", "", bad, all,
			[]string{c200 + " 0+10x7", c500 + " _ _ _ _ 3 4 4 4"},
			[]float64{unknown, 20, 24, 20}, []float64{unknown, 0, 4, 0},
		}, {
			"new target", "", bad, all,
			[]string{
				c200 + " 0+10x7", c500 + " 0x7",
				`requests_total{job="j",instance="b",code="200"} _ _ _ _ 1000 1010 1020 1030`,
				`requests_total{job="j",instance="b",code="500"} _ _ _ _ 100 101 102 103`,
			},
			[]float64{unknown, 20, 20, 42}, []float64{unknown, 0, 0, 2},
		}, {
			"relabelled", "", bad, all,
			[]string{
				c200 + " 0+10x7",
				at("requests_total", `,code="500",path="/old"`) + " 0 1 2 3 stale _ _ _",
				at("requests_total", `,code="500",path="/new"`) + " _ _ _ _ 4 5 6 7",
			},
			[]float64{unknown, 22, 20, 22}, []float64{unknown, 2, 0, 2},
		}, {
			"gap", "", bad, all,
			[]string{c200 + " 0 10 20 30 stale _ _ _ 100 110 120 130", c500 + " 0 1 1 1 stale _ _ _ 5 5 5 5"},
			[]float64{unknown, 20, unknown, unknown, 84, 20}, []float64{unknown, 0, unknown, unknown, 4, 0},
		}, {
			"restart in a gap", "", bad, all,
			[]string{c200 + " 0 100 200 300 stale _ _ _ 7 9 10 11", c500 + " 0 1 1 1 stale _ _ _ 0 0 0 1"},
			[]float64{unknown, 200, unknown, unknown, 9, 3}, []float64{unknown, 0, unknown, unknown, 0, 1},
		}, {
			// The process restarted in slot 2. What it says in slot 5 is all new.
			"return after a restart", "", bad, all,
			[]string{c200 + " 0 10 20 30 5 15 25 35 45 55 65 75", c500 + " 0 2 4 4 stale _ _ _ _ _ 9 9"},
			[]float64{unknown, 22, 15, 20, 20, 29}, []float64{unknown, 2, 0, 0, 0, 9},
		}, {
			"return without a restart", "", bad, all,
			[]string{c200 + " 0+10x11", c500 + " 0 2 4 4 stale _ _ _ _ _ 9 9"},
			[]float64{unknown, 22, 20, 20, 20, 25}, []float64{unknown, 2, 0, 0, 0, 5},
		}, {
			// What is new at a restart is new, though another series ended with it.
			"birth at a restart", "", bad, all,
			[]string{c200 + " 0 10 20 30 2 4 6 8", at("requests_total", `,code="404"`) + " 5 5 5 5 stale _ _ _", c500 + " _ _ _ _ 3 3 4 4"},
			[]float64{unknown, 20, 7, 5}, []float64{unknown, 0, 3, 1},
		}, {
			"end of a target", "", bad, all,
			[]string{c200 + " 0 10 20 stale", c500 + " 0 1 3 stale", "unrelated_total 0x7"},
			[]float64{unknown, 12, unknown, unknown}, []float64{unknown, 2, unknown, unknown},
		}, {
			"no traffic", "", bad, all,
			[]string{c200 + " 7x7", c500 + " 3x7"},
			[]float64{unknown, 0, 0, 0}, []float64{unknown, 0, 0, 0},
		}, {
			"never any data", "", bad, all, []string{"unrelated_total 0x7"},
			[]float64{unknown, unknown}, []float64{unknown, unknown},
		}, {
			"good and total", ok, "", all,
			[]string{c200 + " 0+10x7", at(ok, "") + " 0+9x7"},
			[]float64{unknown, 20, 20, 20}, []float64{unknown, 2, 2, 2},
		}, {
			"good counted before total", ok, "", all,
			[]string{c200 + " 0 10 20 30 40 50", at(ok, "") + " 0 10 20 31 40 50"},
			[]float64{unknown, 20, 20}, []float64{unknown, -1, 1},
		}, {
			"good missing", ok, "", all, []string{c200 + " 0+10x7"},
			[]float64{unknown, 20, 20, 20}, []float64{unknown, 20, 20, 20},
		}, {
			"good and bad", ok, failed, "",
			[]string{at(ok, "") + " 0+9x7", at(failed, "") + " 0+1x7"},
			[]float64{unknown, 20, 20, 20}, []float64{unknown, 2, 2, 2},
		}, {
			"good alone", ok, failed, "", []string{at(ok, "") + " 0+9x7"},
			[]float64{unknown, 18, 18, 18}, []float64{unknown, 0, 0, 0},
		}, {
			"gap while bad is missing", ok, failed, "",
			[]string{at(ok, "") + " 0 10 20 30 stale _ _ _ 100 110 120 130"},
			[]float64{unknown, 20, unknown, unknown, 80, 20}, []float64{unknown, 0, unknown, unknown, 0, 0},
		}, {
			"total missing, then born", "", failed, ok,
			[]string{at(failed, "") + " 1x7", at(ok, "") + " _ _ _ _ 5 15 25 35"},
			[]float64{unknown, unknown, 15, 20}, []float64{unknown, unknown, 0, 0},
		}, {
			"bad alone, then good is born", ok, failed, "",
			[]string{at(failed, "") + " 0+1x7", at(ok, "") + " _ _ _ _ 1 3 3 3"},
			[]float64{unknown, 2, 5, 2}, []float64{unknown, 2, 2, 2},
		}, {
			"two names, same labels", "", `{__name__=~"(errors|timeouts)_total"}`, all,
			[]string{at("errors_total", "") + " 0+1x7", at("timeouts_total", "") + " 0+2x7", c200 + " 0+10x7"},
			[]float64{unknown, 20, 20, 20}, []float64{unknown, 6, 6, 6},
		},
	}
}

// TestSlots runs the rules on the present engine, with the group shifted within
// its minute in every way that matters.
func TestSlots(t *testing.T) {
	phases := []time.Duration{29999 * time.Millisecond, 30 * time.Second, 0, 59999 * time.Millisecond}
	if testing.Short() {
		phases = phases[:2]
	}
	for _, tt := range allCases() {
		for _, phase := range phases {
			t.Run(fmt.Sprintf("%s/%s", tt.name, phase), func(t *testing.T) {
				b := newBackend(t)
				b.load(7*time.Second, 30*time.Second, tt.seriesAt(b.epoch.Unix())...)
				b.run(tt.slo(t), Options{Policies: alerting.BuiltIn()}, phase, 13*time.Minute)
				require.Equal(t, texts(tt.wantTotal), texts(b.slots(totalSlots, len(tt.wantTotal))), "total")
				require.Equal(t, texts(tt.wantBad), texts(b.slots(badSlots, len(tt.wantBad))), "bad")
			})
		}
	}
}

// slots are the recorded values of the first n slots.
func (b *ruleEngine) slots(name string, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = unknown
	}
	values, at := b.samples(name)
	for i, v := range values {
		end := time.UnixMilli(at[i]).Add(-30 * time.Second).Truncate(time.Minute)
		if slot := int(end.Sub(b.epoch)/time.Minute) - 1; slot >= 0 && slot < n && !value.IsStaleNaN(v) {
			out[slot] = v
		}
	}
	return out
}

// texts make unknown equal to unknown.
func texts(values []float64) []string {
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// Scrapes two minutes apart leave no slot unknown, and no event out.
func TestSlotsOfSlowScrapes(t *testing.T) {
	b := newBackend(t)
	b.load(7*time.Second, 2*time.Minute, `requests_total{job="j",instance="a"} 0+10x5`, `errors_total{job="j",instance="a"} _ _ 4 4 4 4`)
	b.run(withWindow(example(t, "", "errors_total", "requests_total"), hour), Options{Policies: alerting.BuiltIn()}, 0, 10*time.Minute)
	require.Equal(t, texts([]float64{unknown, 0, 10, 0, 10, 0, 10}), texts(b.slots(totalSlots, 7)))
	require.Equal(t, texts([]float64{unknown, 0, 0, 0, 4, 0, 0}), texts(b.slots(badSlots, 7)))
}

// A restart is known of for as long as the last value of a series that ended
// with it. Here that is at 2:07, and the series comes back in the slot that ends
// at 33:00: the half hour before that slot begins at 2:00.
func TestSlotsOfLateReturn(t *testing.T) {
	b := newBackend(t)
	b.load(7*time.Second, time.Minute,
		`requests_total{job="j",instance="a",code="200"} 0+10x2 5+10x32`, `requests_total{job="j",instance="a",code="500"} 4x2 stale _x28 9 9`)
	b.run(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), hour), Options{Policies: alerting.BuiltIn()}, 0, 36*time.Minute)
	bad := b.slots(badSlots, 34)
	require.Equal(t, texts([]float64{0, 9, 0}), texts(bad[31:34]))
}

// TestSlotsOldest has the oldest supported Prometheus, in its promtool, run the
// same cases, also of a tenant of an SLO that is split.
func TestSlotsOldest(t *testing.T) {
	dir := t.TempDir()
	args := []string{"test", "rules"}
	for i, tt := range allCases() {
		name := fmt.Sprintf("%d %s", i, strings.ReplaceAll(tt.name, "/", " per "))
		args = append(args, testOfCase(t, filepath.Join(dir, name), tt, tt.slo(t), ""))
		if tt.splits(t) {
			args = append(args, testOfCase(t, filepath.Join(dir, name+", split"), tt, grouped(tt.slo(t), "tenant"), `tenant="a"`))
		}
	}
	promtool(t, args...)
}

// testOfCase writes a test for promtool that evaluates the rules of a case on whole
// minutes, and the expression for all events also in other phases. The label is that
// of a group.
func testOfCase(t *testing.T, path string, tt kindCase, s *slo.SLO, label string) (file string) {
	type input struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	type sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
	type query struct {
		Expr    string   `yaml:"expr"`
		At      string   `yaml:"eval_time"`
		Samples []sample `yaml:"exp_samples"`
	}
	type group struct {
		Interval string  `yaml:"interval"`
		Series   []input `yaml:"input_series"`
		Tests    []query `yaml:"promql_expr_test"`
	}
	text, err := File("test.yaml", []*slo.SLO{s}, Options{Policies: alerting.BuiltIn()})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".rules.yaml", text, 0o600))
	var by split
	id := s.ID()
	if label != "" {
		by, id = newGroupWriter(&bytes.Buffer{}, s, Options{Policies: alerting.BuiltIn()}).split, id+"{"+label+"}"
	}
	alone := s.Slice == nil && len(s.Leaves()) == 1 // the expression reads nothing recorded
	var slots expr
	if alone {
		c, err := newCounting(s.Indicator, "", Options{TargetLabels: []string{"job", "instance"}}, by)
		require.NoError(t, err)
		alone, slots = c.memory.keep == 0, c.total
		if c.growth.text != "" {
			slots = by.aggregate("sum", c.growth)
		}
	}

	g := group{Interval: "15s"} // samples come at 15 s and 45 s
	for _, line := range tt.seriesAt(0) {
		if label != "" {
			line = within(label, line, 0)
		}
		series, values, _ := strings.Cut(line, " ")
		g.Series = append(g.Series, input{series, spread(t, series, values)})
	}
	expect := func(expr, labels string, at time.Duration, want float64) {
		q := query{Expr: expr, At: fmt.Sprintf("%dms", at.Milliseconds())}
		if !math.IsNaN(want) {
			q.Samples = []sample{{labels, want}}
		}
		g.Tests = append(g.Tests, q)
	}
	labels := fmt.Sprintf(`slo_id=%q,slo_service=%q,slo=%q,%s`, id, s.Service, s.Name, label)
	of := fmt.Sprintf(",slo_id=%q", id)
	for slot := range tt.wantTotal {
		end := time.Duration(slot+1) * time.Minute
		expect(with(totalSlots, of), "slo:slot:events{"+labels+"}", end+time.Minute, tt.wantTotal[slot])
		expect(with(badSlots, of), with(badSlots, ","+labels), end+time.Minute, tt.wantBad[slot])
		for _, late := range []time.Duration{30 * time.Second, 30001 * time.Millisecond, 89999 * time.Millisecond} {
			if !alone {
				break
			}
			expect(slots.text, "{"+label+"}", end+late, tt.wantTotal[slot])
		}
	}
	test, err := yaml.Marshal(map[string]any{"rule_files": []string{filepath.Base(path) + ".rules.yaml"}, "evaluation_interval": "1m", "tests": []group{g}})
	require.NoError(t, err)
	file = path + ".yaml"
	require.NoError(t, os.WriteFile(file, test, 0o600))
	return file
}

// spread puts an omitted sample before each one of a series.
func spread(t *testing.T, series, values string) string {
	_, parsed, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(series + " " + values)
	require.NoError(t, err)
	var out []string
	for _, v := range parsed {
		text := fmt.Sprint(v.Value)
		switch {
		case v.Omitted:
			text = "_"
		case value.IsStaleNaN(v.Value):
			text = "stale"
		}
		out = append(out, "_", text)
	}
	return strings.Join(out, " ")
}

// TestRulesWithoutTheBucket lets one of two histograms, and then both, lack the
// bucket at the threshold: what they observe is unknown, not slow.
func TestRulesWithoutTheBucket(t *testing.T) {
	b := newBackend(t)
	b.load(0, 30*time.Second,
		`latency_seconds_count{job="j",instance="a"} 0+10x19`, `latency_seconds_bucket{job="j",instance="a",le="0.3"} 0+9x9`,
		`latency_seconds_count{job="j",instance="b"} 0+10x19`, `latency_seconds_bucket{job="j",instance="b",le="0.1"} 0+9x19`)
	text := "apiVersion: slowburn/v1\nservice: s\nslos: [{name: x, objective: 99, window: 1h, sli: {latency: {histogram: latency_seconds, threshold: 300ms}}}]\n"
	set := spec.Load([]spec.File{{Name: "x.yaml", Text: []byte(text)}})
	require.Empty(t, set.Findings)
	b.run(set.SLOs[0], Options{Policies: alerting.BuiltIn()}, 30*time.Second, 15*time.Minute)
	at := func(minutes int) time.Duration { return time.Duration(minutes)*time.Minute + 30*time.Second }
	require.Equal(t, 20.0, b.value(totalSlots, at(4)))
	require.Equal(t, 2.0, b.value(badSlots, at(4)))
	require.True(t, math.IsNaN(b.value("last_over_time(slo:slot:events[30s])", at(14))), "no bucket is left")
	require.InDelta(t, 10, b.value(`slo_burn_rate{window="5m"}`, at(4)), 1e-9)
	require.True(t, math.IsNaN(b.value(`slo_burn_rate{window="5m"}`, at(14))))
}
