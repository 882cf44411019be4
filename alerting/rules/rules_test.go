package rules

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// selector is the selector that PromQL text says.
func selector(t testing.TB, text string) slo.Selector {
	t.Helper()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
	require.NoError(t, err)
	return slo.NewSelector(matchers...)
}

// example is an SLO over 30 d with the counters' selectors, any of which may
// be "".
func example(t testing.TB, good, bad, total string) *slo.SLO {
	t.Helper()
	var c slo.Counters
	for text, s := range map[string]*slo.Counter{good: &c.Good, bad: &c.Bad, total: &c.Total} {
		if text != "" {
			*s = slo.NewCounter(selector(t, text))
		}
	}
	return &slo.SLO{
		Service: "checkout", Name: "availability", Owner: "team-payments",
		Labels:    map[string]string{"tier": "1", "region": `eu {{ "x" }}`},
		Links:     map[string]string{"runbook": "https://runbooks.example.org/checkout", "dashboard": "https://grafana.example.org/d/x"},
		Objective: objective(t, "99.9"), Window: slo.Rolling(30 * day),
		Indicator: slo.Events{Numbers: c}, Alerting: slo.Alerting{Policy: "classic"},
	}
}

func withWindow(s *slo.SLO, w slo.Window) *slo.SLO { s.Window = slo.Rolling(w); return s }

// files are SLOs of every shape that rules differ by.
func files(t testing.TB) map[string][]*slo.SLO {
	t.Helper()
	latency := example(t, "", "", "x")
	latency.Name = "latency"
	latency.Indicator = slo.Latency{Histogram: selector(t, `http_request_duration_seconds{job="checkout"}`), Threshold: 0.3, Text: "300ms"}
	wholeSeconds := *latency
	wholeSeconds.Name, wholeSeconds.Owner, wholeSeconds.Labels, wholeSeconds.Links = "latency-1s", "", nil, nil
	wholeSeconds.Indicator = slo.Latency{Histogram: selector(t, `http_request_duration_seconds{job="checkout"}`), Threshold: 1, Text: "1s"}
	return map[string][]*slo.SLO{
		"bad-total":  {example(t, "", `http_requests_total{job="checkout",code=~"5.."}`, `http_requests_total{job="checkout"}`)},
		"good-bad":   {withWindow(example(t, `jobs_ok_total{job="batch"}`, `jobs_failed_total{job="batch"}`, ""), 7*day)},
		"good-total": {latency, &wholeSeconds},
		"hour":       {withWindow(example(t, "", "bad_total", "all_total"), hour)},
		"regex-name": {withWindow(example(t, "", `{__name__=~"(errors|timeouts)_total",path!="/a\n\"b\""}`, "all_total"), 365*day)},
		"none":       {},
		"kinds":      read(t, "kinds"),
		"groups":     read(t, "groups"),
	}
}

// read are the SLOs of a file: kinds.yaml has one of each kind that is more than
// two counters, and groups.yaml those that are split.
func read(t testing.TB, name string) []*slo.SLO {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	require.NoError(t, err)
	set := spec.Load([]spec.File{{Name: name + ".yaml", Text: text}})
	require.Empty(t, set.Findings)
	return set.SLOs
}

func TestRuleFileGolden(t *testing.T) {
	for name, slos := range files(t) {
		t.Run(name, func(t *testing.T) {
			got, err := File(name+".yaml", slos, Options{Alerts: true, Policies: alerting.BuiltIn()})
			require.NoError(t, err)
			requireGolden(t, name, got)
		})
	}
}

// requireGolden holds the text of a rule file against the golden one of a name.
func requireGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	golden.Require(t, filepath.Join("testdata", name+".golden.yaml"), string(got))
}

// TestRuleFilePromtool has the oldest supported promtool check every golden
// file.
func TestRuleFilePromtool(t *testing.T) {
	golden, err := filepath.Glob("testdata/*.golden.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, golden)
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, golden...)...)
}

// promtool runs the promtool of the machine and fails when it complains.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	require.NoError(t, err, "promtool is missing: apt-get install prometheus, or run the tests by make test")
	out, err := exec.Command(path, args...).CombinedOutput()
	require.NoError(t, err, "promtool %v\n%s", args, out)
}

// proveRules has promtool run tests of rules.yaml, the rules of an SLO.
func proveRules(t *testing.T, s *slo.SLO, policies alerting.Policies, tests string) {
	t.Helper()
	text, err := File("test.yaml", []*slo.SLO{s}, Options{Alerts: true, Policies: policies})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600))
	file := filepath.Join(dir, "test.yaml")
	require.NoError(t, os.WriteFile(file, []byte(tests), 0o600))
	promtool(t, "test", "rules", file)
}

func TestRuleFileWithoutAlerts(t *testing.T) {
	got, err := File("a.yaml", files(t)["hour"], Options{Policies: alerting.BuiltIn()})
	require.NoError(t, err)
	require.NotContains(t, string(got), "- alert")
}

func TestRuleFileNeedsTwoCounters(t *testing.T) {
	for _, c := range [][3]string{{"a", "", ""}, {"a", "b", "c"}, {"", "", ""}} {
		_, err := File("a.yaml", []*slo.SLO{example(t, c[0], c[1], c[2])}, Options{Policies: alerting.BuiltIn()})
		require.EqualError(t, err, "making rules of checkout/availability: the indicator needs two of good, bad and total")
	}
}

func BenchmarkRules1000(b *testing.B) {
	slos := make([]*slo.SLO, 1000)
	for i := range slos {
		slos[i] = example(b, "", fmt.Sprintf(`http_requests_total{job="j%d",code=~"5.."}`, i), fmt.Sprintf(`http_requests_total{job="j%d"}`, i))
	}
	size := 0
	for b.Loop() {
		size = 0
		for _, s := range slos {
			text, err := File("a.yaml", []*slo.SLO{s}, Options{Alerts: true, Policies: alerting.BuiltIn()})
			require.NoError(b, err)
			size += len(text)
		}
	}
	b.ReportMetric(float64(size)/1e6, "MB")
}

const (
	minute = slo.Window(time.Minute)
	hour   = 60 * minute
	day    = 24 * hour
)

func objective(t testing.TB, text string) slo.Objective {
	t.Helper()
	o, err := slo.ParseObjective(text)
	require.NoError(t, err)
	return o
}

// TestRulesRefuseExclusions: they would count what the evaluator leaves out.
func TestRulesRefuseExclusions(t *testing.T) {
	s := example(t, "", "bad_total", "all_total")
	_, err := File("slo.yaml", []*slo.SLO{s}, Options{Policies: alerting.BuiltIn()})
	require.NoError(t, err)
	s.Exclusions = []slo.Exclusion{{From: epoch, To: epoch.Add(10 * time.Minute)}}
	_, err = File("slo.yaml", []*slo.SLO{s}, Options{Policies: alerting.BuiltIn()})
	require.EqualError(t, err, "making rules of "+s.ID()+": it excludes time, and what rules have recorded stays as it was when an exclusion is written later")
}
