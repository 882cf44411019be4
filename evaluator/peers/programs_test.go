package peers_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// bin is a program that the Makefile builds.
func bin(tb testing.TB, name string) string {
	tb.Helper()
	path, err := filepath.Abs(filepath.Join("../../bin", name))
	require.NoError(tb, err)
	_, err = os.Stat(path)
	require.NoError(tb, err, "make bench-peers builds it")
	return path
}

// prometheus runs the newest Prometheus on a copy of a data directory.
func prometheus(tb testing.TB, data string, rules []byte) *servers.Server {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "data")
	require.NoError(tb, os.CopyFS(dir, os.DirFS(data)))
	o := servers.PrometheusOptions{
		Bin: servers.Newest(tb), DataDir: dir,
		ConfigYAML: "global: {scrape_interval: 30s, evaluation_interval: 30s}",
		// Blocks stay as they are: compaction costs the same whoever asks.
		Flags: []string{"--web.enable-remote-write-receiver", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"},
	}
	if len(rules) > 0 {
		o.Rules = map[string][]byte{"rules.yml": rules}
	}
	return servers.Prometheus(tb, o)
}

// serve runs slowburn on the SLO files of a directory, and gives its URL.
func serve(tb testing.TB, specs, backend string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	addr := l.Addr().String()
	require.NoError(tb, l.Close())
	log, err := os.Create(filepath.Join(tb.TempDir(), "log"))
	require.NoError(tb, err)
	cmd := exec.Command(bin(tb, "slowburn"), "serve", "--specs", specs, "--backend", backend, "--listen", addr)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && tb.Failed() {
			tb.Logf("log of slowburn:\n%s", text)
		}
		log.Close()
	})
	require.Eventually(tb, func() bool {
		resp, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond)
	return "http://" + addr
}

// metrics are what a program says about itself, summed by name.
type metrics map[string]float64

func scrape(tb testing.TB, url string) metrics {
	tb.Helper()
	resp, err := http.Get(url + "/metrics")
	require.NoError(tb, err)
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(resp.Body)
	require.NoError(tb, err)
	out := metrics{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			out[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			out[name+"_sum"] += m.GetHistogram().GetSampleSum()
			out[name+"_count"] += float64(m.GetHistogram().GetSampleCount())
			for _, l := range m.GetLabel() {
				if l.GetName() == "state" {
					out[name+" "+l.GetValue()] += m.GetGauge().GetValue()
				}
			}
		}
	}
	return out
}

const (
	cpuSeconds = "process_cpu_seconds_total"
	resident   = "process_resident_memory_bytes"
	loaded     = "prometheus_engine_query_samples_total"
)

// get reads JSON.
func get(tb testing.TB, url string, into any) {
	tb.Helper()
	resp, err := http.Get(url)
	require.NoError(tb, err)
	defer resp.Body.Close()
	require.Equal(tb, http.StatusOK, resp.StatusCode, url)
	require.NoError(tb, json.NewDecoder(resp.Body).Decode(into))
}

// point is a value at an instant in seconds.
type point struct {
	at time.Time
	v  float64
}

// answer is the part of a query's answer that matters.
type answer struct {
	Data struct {
		Result []struct {
			Value  [2]any
			Values [][2]any
		}
	}
}

func pointOf(tb testing.TB, pair [2]any) point {
	tb.Helper()
	v, err := strconv.ParseFloat(pair[1].(string), 64)
	require.NoError(tb, err)
	return point{time.UnixMilli(int64(pair[0].(float64) * 1000)).UTC(), v}
}

// query is the answer of one series to an instant query, and whether there is one.
func query(tb testing.TB, base, promql string) (float64, bool) {
	tb.Helper()
	var a answer
	get(tb, base+"/api/v1/query?query="+url.QueryEscape(promql), &a)
	if len(a.Data.Result) != 1 {
		return 0, false
	}
	return pointOf(tb, a.Data.Result[0].Value).v, true
}

// queryRange is one series' answer over (from, to], a point every step.
func queryRange(tb testing.TB, base, promql string, from, to time.Time, step time.Duration) []point {
	tb.Helper()
	var out []point
	for from.Before(to) {
		end := from.Add(10_000 * step)
		if end.After(to) {
			end = to
		}
		var a answer
		get(tb, fmt.Sprintf("%s/api/v1/query_range?query=%s&start=%d&end=%d&step=%d", base, url.QueryEscape(promql),
			from.Add(step).Unix(), end.Unix(), int(step.Seconds())), &a)
		for _, r := range a.Data.Result {
			for _, pair := range r.Values {
				out = append(out, pointOf(tb, pair))
			}
		}
		from = end
	}
	return out
}

// machine describes where the benchmark runs.
func machine(tb testing.TB) string {
	tb.Helper()
	version := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		require.NoError(tb, err, string(out))
		first, _, _ := strings.Cut(string(out), "\n")
		return first
	}
	return version(servers.Newest(tb), "--version") + "\n" + version("go", "version")
}
