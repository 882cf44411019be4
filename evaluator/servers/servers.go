// Package servers runs real programs for tests: Prometheus, VictoriaMetrics, vmalert,
// Alertmanager, node exporter, promtool and amtool. Each server listens on a free port of loopback,
// has answered when the function returns, and ends with the test. Its log is
// printed when the test fails.
//
// A use, a Prometheus that scrapes itself:
//
//	prom := servers.Prometheus(t, servers.PrometheusOptions{ConfigYAML: `
//	scrape_configs: [{job_name: self, static_configs: [{targets: [$ADDR]}]}]`})
//	resp, err := http.Get(prom.URL + "/api/v1/query?query=up")
//
// A program that is not installed fails the test: `make test` installs them.
package servers

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// PrometheusOptions say which Prometheus runs, with what. The zero value is
// the oldest supported version, which scrapes nothing.
type PrometheusOptions struct {
	Bin        string            // the program; "" for Debian's, the oldest supported. See Newest
	ConfigYAML string            // prometheus.yml, in which $ADDR stands for the server's own host:port
	Rules      map[string][]byte // rule files by name; ConfigYAML then must not have rule_files
	DataDir    string            // the TSDB, which may hold blocks; "" for an empty one
	Flags      []string          // more flags, such as --web.enable-remote-write-receiver
}

// Prometheus runs a Prometheus server. Its configuration is prometheus.yml in
// Server.Dir, its rule files are in rules/ there. Nothing is dropped for its
// age, and alerts are sent again after 5 s instead of a minute.
func Prometheus(t testing.TB, o PrometheusOptions) *Server {
	t.Helper()
	dir := t.TempDir()
	if o.Bin == "" {
		o.Bin = program(t, "prometheus")
	}
	if o.DataDir == "" {
		o.DataDir = filepath.Join(dir, "data")
	}
	config := o.ConfigYAML
	for name, text := range o.Rules {
		write(t, filepath.Join(dir, "rules", name), text)
	}
	if len(o.Rules) > 0 {
		config += "\nrule_files: [rules/*]\n"
	}
	s := &Server{Dir: dir, t: t, ready: "/-/ready"}
	s.start(func(addr string) []string {
		file := filepath.Join(dir, "prometheus.yml")
		write(t, file, []byte(strings.ReplaceAll(config, "$ADDR", addr)))
		return append([]string{
			o.Bin,
			"--config.file=" + file,
			"--storage.tsdb.path=" + o.DataDir,
			"--storage.tsdb.retention.time=10y",
			"--web.listen-address=" + addr,
			"--web.enable-lifecycle",
			"--rules.alert.resend-delay=5s",
		}, o.Flags...)
	})
	return s
}

// Newest is the newest Prometheus that slowburn is tested with, for
// PrometheusOptions.Bin.
func Newest(t testing.TB) string {
	t.Helper()
	return built(t, "prometheus")
}

// VictoriaMetricsOptions say which VictoriaMetrics runs, with what. The zero
// value is the oldest supported version.
type VictoriaMetricsOptions struct {
	Bin   string   // the program; "" for Debian's, the oldest supported. See NewestVictoriaMetrics
	Flags []string // more flags, such as -search.maxSamplesPerQuery=1000
}

// VictoriaMetrics runs an empty VictoriaMetrics of a single node, which scrapes
// nothing. No data is dropped for its age; what is written is there once
// /internal/force_flush was asked for.
func VictoriaMetrics(t testing.TB, o VictoriaMetricsOptions) *Server {
	t.Helper()
	dir := t.TempDir()
	if o.Bin == "" {
		o.Bin = program(t, "victoria-metrics", "victoria-metrics-prod")
	}
	s := &Server{Dir: dir, t: t, ready: "/health"}
	s.start(func(addr string) []string {
		return append([]string{
			o.Bin,
			"-storageDataPath=" + filepath.Join(dir, "data"),
			"-retentionPeriod=100y",
			"-httpListenAddr=" + addr,
		}, o.Flags...)
	})
	return s
}

// NewestVictoriaMetrics is the newest VictoriaMetrics that slowburn is tested
// with, for VictoriaMetricsOptions.Bin.
func NewestVictoriaMetrics(t testing.TB) string {
	t.Helper()
	return built(t, "victoria-metrics")
}

// Replay evaluates a rule file at past instants by vmalert, with this
// VictoriaMetrics, which has what the rules recorded when Replay returns. Each rule
// is evaluated at all instants of its interval, from the first to the last, before
// the next one is.
func (s *Server) Replay(rules []byte, first, last time.Time) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "rules.yml")
	write(s.t, file, rules)
	VMAlert(s.t, "-rule="+file, "-datasource.url="+s.URL, "-remoteWrite.url="+s.URL,
		"-replay.timeFrom="+first.Format(time.RFC3339), "-replay.timeTo="+last.Add(time.Second).Format(time.RFC3339),
		"-replay.rulesDelay=0", "-replay.disableProgressBar", "-httpListenAddr=127.0.0.1:0")
	resp, err := http.Get(s.URL + "/internal/force_flush")
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
}

// VMAlert runs the newest vmalert with the arguments until it ends. It has to
// succeed.
func VMAlert(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), built(t, "vmalert"), args...).CombinedOutput()
	require.NoError(t, err, "vmalert %s:\n%s", strings.Join(args, " "), out)
}

// Alertmanager runs an Alertmanager that is not part of a cluster. Its
// configuration is alertmanager.yml in Server.Dir; an empty one has a single
// receiver that notifies nobody.
func Alertmanager(t testing.TB, configYAML string) *Server {
	t.Helper()
	if configYAML == "" {
		configYAML = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	write(t, file, []byte(configYAML))
	bin := program(t, "prometheus-alertmanager", "alertmanager")
	s := &Server{Dir: dir, t: t, ready: "/-/ready"}
	s.start(func(addr string) []string {
		return []string{
			bin,
			"--config.file=" + file,
			"--storage.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + addr,
			"--cluster.listen-address=",
		}
	})
	return s
}

// NodeExporter runs a node exporter, a real target with real counters.
func NodeExporter(t testing.TB) *Server {
	t.Helper()
	bin := program(t, "prometheus-node-exporter", "node_exporter")
	s := &Server{Dir: t.TempDir(), t: t, ready: "/"}
	s.start(func(addr string) []string {
		return []string{bin, "--web.listen-address=" + addr}
	})
	return s
}

// Reload makes the server read its configuration in Dir again, and fails the
// test when the server refuses it. A node exporter has none.
func (s *Server) Reload() {
	s.t.Helper()
	resp, err := http.Post(s.URL+"/-/reload", "", nil)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "reloading:\n%s", s.log())
}

// Promtool runs the oldest supported promtool and the newest with the
// arguments, in the test's directory. Both have to succeed; the output is
// theirs, the oldest one's first.
func Promtool(t testing.TB, args ...string) string {
	t.Helper()
	var all strings.Builder
	for _, bin := range []string{program(t, "promtool"), built(t, "promtool")} {
		out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
		require.NoError(t, err, "%s %s:\n%s", bin, strings.Join(args, " "), out)
		all.Write(out)
	}
	return all.String()
}

// Amtool runs amtool with the arguments, which has to succeed, and gives its
// output.
func Amtool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program(t, "amtool"), args...).CombinedOutput()
	require.NoError(t, err, "amtool %s:\n%s", strings.Join(args, " "), out)
	return string(out)
}

// program finds an installed program by the first of its names, which is
// Debian's.
func program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: make test installs it", names[0])
	return ""
}

// built finds a program that the Makefile builds into bin/, which is beside
// the go.mod above the test's directory.
func built(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for !exists(filepath.Join(dir, "go.mod")) {
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above the test's directory")
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(dir, "bin", name)
	if !exists(path) {
		t.Fatalf("%s is not there: make test builds it", path)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, text, 0o644))
}
