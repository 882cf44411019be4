package peers_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
)

var measured = flag.Duration("measured", 10*time.Minute, "how long BenchmarkPeers measures")

const (
	objective = "99.5"
	window    = 30 * 24 * time.Hour
)

// traits are the services of docs/explanation/measurements.md by their trait.
var traits = []string{
	"steady", "diurnal", "quiet nights", "low traffic", "hourly batch", "hourly restarts", "pods replaced",
	"bursts between scrapes", "errors reborn", "outages of 25 min", "idle hours",
}

// contender is one way to watch the SLOs.
type contender struct {
	name   string
	server *servers.Server
	own    string // URL of a process beside the Prometheus, "" for none
	first  [2]metrics
	last   [2]metrics
	took   time.Duration
	errors map[string]float64 // relative, of the share of bad events over 30 d, by job
	right  string             // when a new SLO's budget is right
}

func (c *contender) scrape(tb testing.TB) (out [2]metrics) {
	out[0] = scrape(tb, c.server.URL)
	if c.own != "" {
		out[1] = scrape(tb, c.own)
	}
	return out
}

// BenchmarkPeers has the rules of Sloth, those of Pyrra, and slowburn watch the
// same SLOs in a Prometheus each, with the same data, for some minutes. It
// prints what each costs, and how far it is off the truth.
func BenchmarkPeers(b *testing.B) {
	begin := time.Now().UTC().Truncate(time.Minute)
	start := begin.Add(-history)
	worlds := map[string]*truth.World{}
	var jobs []string
	var series []*truth.Series
	for _, trait := range traits {
		s := truth.Scenarios()[trait]
		w := truth.Simulate(s, start, begin.Add(*measured+15*time.Minute))
		jobs, series, worlds[s.Job] = append(jobs, s.Job), append(series, w.Series...), w
	}
	data := b.TempDir()
	writeBlock(b, data, begin, series)

	idle := &contender{name: "nothing: it only ingests", server: prometheus(b, data, nil), right: "-"}
	slothRules, recorded := slothOf(b, idle.server.URL, jobs, begin)
	slothData := b.TempDir()
	require.NoError(b, os.CopyFS(slothData, os.DirFS(data)))
	writeBlock(b, slothData, begin, recorded)
	sloth := &contender{name: "rules of Sloth", server: prometheus(b, slothData, slothRules), right: "30 d: it records from its start on"}
	pyrraRules, err := exec.Command(bin(b, "peers"), append([]string{objective, "30d"}, jobs...)...).Output()
	require.NoError(b, err)
	pyrra := &contender{name: "rules of Pyrra", server: prometheus(b, data, pyrraRules), right: "150 s, the group's interval"}
	slowburn := &contender{name: "slowburn", server: prometheus(b, data, nil)}
	all := []*contender{idle, sloth, pyrra, slowburn}
	var urls []string
	for _, c := range all {
		urls = append(urls, c.server.URL)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	fed := make(chan struct{})
	go func() { defer close(fed); newFeeder(series, begin, urls...).run(ctx, b) }()

	specs := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(specs, "slos.yaml"), specsOf(jobs), 0o600))
	before := scrape(b, slowburn.server.URL)
	asked := time.Now()
	slowburn.own = serve(b, specs, slowburn.server.URL)
	require.Eventually(b, func() bool { return len(ready(b, slowburn.own)) == len(jobs) }, 5*time.Minute, 100*time.Millisecond)
	slowburn.right = fmt.Sprintf("%.1f s", time.Since(asked).Seconds())
	history := scrape(b, slowburn.server.URL)[loaded] - before[loaded]
	time.Sleep(time.Minute) //nolint:forbidigo // rules and cycles get going

	for _, c := range all {
		c.first, c.took = c.scrape(b), -time.Since(begin)
	}
	time.Sleep(*measured) //nolint:forbidigo // this time is measured
	for _, c := range all {
		c.last = c.scrape(b)
		c.took += time.Since(begin)
	}
	sloth.errors, pyrra.errors, slowburn.errors = map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, s := range ready(b, slowburn.own) {
		own := s.Windows[len(s.Windows)-1]
		slowburn.errors[s.Service] = off(worlds[s.Service], own.Bad/own.Total, own.Start, own.End)
	}
	for _, job := range jobs {
		record := fmt.Sprintf(`slo:sli_error:ratio_rate30d{sloth_service="%s"}`, job)
		sloth.errors[job] = atBest(worlds[job], value(b, sloth, record), evaluated(b, sloth, record))
		record = fmt.Sprintf(`requests:increase30d{slo="%s"}`, job)
		share := fmt.Sprintf(`sum(requests:increase30d{slo="%s",code=~"5.."}) / sum(%s)`, job, record)
		pyrra.errors[job] = atBest(worlds[job], value(b, pyrra, share), evaluated(b, pyrra, record))
	}
	cancel()
	<-fed
	report(b, all, jobs, history)
}

// ready are the statuses of SLOs that are read.
func ready(tb testing.TB, url string) []evaluator.Status {
	tb.Helper()
	var r evaluator.Report
	get(tb, url+"/api/v1/slos", &r)
	return slices.DeleteFunc(r.SLOs, func(s evaluator.Status) bool {
		return s.Budget.Remaining == nil || s.State != evaluator.StateOK && s.State != evaluator.StateNoTraffic
	})
}

func value(tb testing.TB, c *contender, promql string) float64 {
	tb.Helper()
	v, ok := query(tb, c.server.URL, promql)
	if !ok {
		tb.Logf("%s: no value of %s", c.name, promql)
		return math.NaN()
	}
	return v
}

// evaluated is when a rule was evaluated last.
func evaluated(tb testing.TB, c *contender, record string) time.Time {
	tb.Helper()
	v, ok := query(tb, c.server.URL, "max(timestamp("+record+"))")
	require.True(tb, ok, record)
	return time.UnixMilli(int64(v * 1000))
}

// off is the relative error of a share of bad events in (from, to].
func off(w *truth.World, share float64, from, to time.Time) float64 {
	total, bad := w.Events(from, to)
	return share/(bad/total) - 1
}

// atBest is the smaller error of a share over the 30 d before an instant that is
// no whole minute: the truth is known at those around it.
func atBest(w *truth.World, share float64, at time.Time) float64 {
	before := at.Truncate(time.Minute)
	x, y := off(w, share, before.Add(-window), before), off(w, share, before.Add(time.Minute-window), before.Add(time.Minute))
	if math.Abs(x) < math.Abs(y) {
		return x
	}
	return y
}

// specsOf is slowburn's file for each job.
func specsOf(jobs []string) []byte {
	var out bytes.Buffer
	for i, job := range jobs {
		if i > 0 {
			out.WriteString("---\n")
		}
		fmt.Fprintf(&out, "apiVersion: slowburn/v1\nservice: %s\nslos:\n  - name: requests\n    objective: %s\n    window: 30d\n"+
			"    sli: {events: {bad: 'requests_total{job=\"%[1]s\",code=~\"5..\"}', total: 'requests_total{job=\"%[1]s\"}'}}\n", job, objective)
	}
	return out.Bytes()
}

// slothOf are Sloth's rules, and what they would have recorded in the last 30
// days of the ratio whose average they take for the budget.
func slothOf(tb testing.TB, base string, jobs []string, end time.Time) ([]byte, []*truth.Series) {
	tb.Helper()
	var spec bytes.Buffer
	for _, job := range jobs {
		fmt.Fprintf(&spec, "---\nversion: prometheus/v1\nservice: %s\nslos:\n  - name: requests\n    objective: %s\n    sli:\n      events:\n"+
			"        error_query: sum(rate(requests_total{job=\"%[1]s\",code=~\"5..\"}[{{.window}}]))\n"+
			"        total_query: sum(rate(requests_total{job=\"%[1]s\"}[{{.window}}]))\n"+
			"    alerting: {name: Burn, page_alert: {labels: {a: page}}, ticket_alert: {labels: {a: ticket}}}\n", job, objective)
	}
	dir := tb.TempDir()
	in, out := filepath.Join(dir, "in.yaml"), filepath.Join(dir, "out.yaml")
	require.NoError(tb, os.WriteFile(in, spec.Bytes(), 0o600))
	text, err := exec.Command(bin(tb, "sloth"), "generate", "-i", in, "-o", out).CombinedOutput()
	require.NoError(tb, err, string(text))
	rules, err := os.ReadFile(out)
	require.NoError(tb, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Record, Expr string
				Labels       map[string]string
			}
		}
	}
	docs := yaml.NewDecoder(bytes.NewReader(rules))
	var merged []any
	var series []*truth.Series
	for docs.Decode(&file) == nil {
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.Record != "slo:sli_error:ratio_rate5m" {
					continue
				}
				r.Labels[model.MetricNameLabel] = r.Record
				s := &truth.Series{Labels: labels.FromMap(r.Labels)}
				for _, p := range queryRange(tb, base, r.Expr, end.Add(-window), end, 30*time.Second) {
					s.Samples = append(s.Samples, truth.Sample{T: p.at.UnixMilli(), V: p.v})
				}
				series = append(series, s)
			}
		}
		file.Groups = nil
	}
	docs = yaml.NewDecoder(bytes.NewReader(rules))
	for {
		var doc struct{ Groups []any }
		if docs.Decode(&doc) != nil {
			break
		}
		merged = append(merged, doc.Groups...)
	}
	require.Len(tb, series, len(jobs))
	one, err := yaml.Marshal(map[string]any{"groups": merged})
	require.NoError(tb, err)
	return one, series
}

// report prints the tables.
func report(tb testing.TB, all []*contender, jobs []string, history float64) {
	tb.Helper()
	var out strings.Builder
	idle, slowburn := all[0], all[len(all)-1]
	perHour := func(c *contender, i int, name string) float64 {
		return (c.last[i][name] - c.first[i][name]) / c.took.Hours()
	}
	cpu := func(c *contender) float64 { return perHour(c, 0, cpuSeconds) - perHour(idle, 0, cpuSeconds) }
	fmt.Fprintf(&out, "%s\n\n%d SLOs over 30 d, measured for %s. slowburn's history: %.0f samples once.\n\n", machine(tb), len(jobs), *measured, history)
	out.WriteString("| | samples loaded an hour | | CPU s an hour: Prometheus, beyond ingesting | own | both | memory MiB: Prometheus | own | worst error | a new SLO's budget is right after |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, c := range all {
		worst, errors := 0.0, "-"
		for _, e := range c.errors {
			if math.IsNaN(e) || math.Abs(e) > math.Abs(worst) {
				worst = e
			}
			errors = percent(worst)
		}
		samples := perHour(c, 0, loaded)
		both := (cpu(c) + perHour(c, 1, cpuSeconds)) / (cpu(slowburn) + perHour(slowburn, 1, cpuSeconds))
		fmt.Fprintf(&out, "| %s | %.0f | x %.0f | %.1f | %.1f | x %.1f | %.0f | %.0f | %s | %s |\n", c.name, samples, samples/perHour(slowburn, 0, loaded),
			cpu(c), perHour(c, 1, cpuSeconds), both, c.last[0][resident]/(1<<20), c.last[1][resident]/(1<<20), errors, c.right)
	}
	out.WriteString("\n| service | Sloth | Pyrra | slowburn |\n|---|--:|--:|--:|\n")
	for _, job := range jobs {
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", job, percent(all[1].errors[job]), percent(all[2].errors[job]), percent(all[3].errors[job]))
	}
	keep(tb, "peers.md", out.String())
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return "no number"
	}
	return fmt.Sprintf("%+.2f %%", 100*v)
}

// keep prints a report, and writes it to .cache/bench.
func keep(tb testing.TB, name, text string) {
	tb.Helper()
	tb.Log("\n" + text)
	require.NoError(tb, os.MkdirAll("../../.cache/bench", 0o755))
	require.NoError(tb, os.WriteFile(filepath.Join("../../.cache/bench", name), []byte(text), 0o600))
}
