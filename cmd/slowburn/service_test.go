package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// served is a running `slowburn serve`.
type served struct {
	URL   string
	t     *testing.T
	log   *logBuffer
	stop  context.CancelFunc // what SIGTERM does
	ended chan struct{}
	code  int // the exit code, once it has ended

	process *os.Process // nil of one in the test's own process

	password string // of the user admin; "" when everybody may read
}

// serving starts `slowburn serve` on a free port and waits until it serves.
func serving(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &served{t: t, log: &logBuffer{}, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.code = run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), streams{strings.NewReader(""), s.log, s.log})
	}()
	s.await(args)
	return s
}

// running is serving as a process of its own, which kill ends as kill -9 does.
func running(t *testing.T, args ...string) (s *served, kill func()) {
	t.Helper()
	s = &served{t: t, log: &logBuffer{}, ended: make(chan struct{})}
	cmd := exec.Command("slowburn", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	require.NoError(t, cmd.Start())
	s.process = cmd.Process
	s.stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM) } // fails when it is gone
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // the code tells
		s.code = cmd.ProcessState.ExitCode()
	}()
	s.await(args)
	return s, func() {
		require.NoError(t, cmd.Process.Kill())
		<-s.ended
	}
}

// await waits until the service serves, and ends it with the test.
func (s *served) await(args []string) {
	t := s.t
	t.Helper()
	t.Cleanup(func() {
		s.stop()
		<-s.ended
		if t.Failed() {
			t.Logf("log of slowburn serve %s:\n%s", strings.Join(args, " "), s.log)
		}
	})
	address := regexp.MustCompile(`msg=Serving address=(\S+)`)
	until(t, waitLimit, "serving", func() bool {
		found := address.FindStringSubmatch(s.log.String())
		if found != nil {
			s.URL = "http://" + found[1]
		}
		select {
		case <-s.ended:
			require.NotNil(t, found, "serve ended with %d", s.code)
		default:
		}
		return found != nil
	})
}

// logBuffer is where several goroutines log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// count is how many lines of the log contain a text.
func (l *logBuffer) count(text string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// waitLimit is how long a test waits for what takes a second on a quiet machine. Only a
// failed test waits as long.
const waitLimit = 2 * time.Minute

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(limit)
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		require.True(t, time.Now().Before(end), "waited %s for: %s", limit, what)
		<-poll.C
	}
}

// get is the status and the body of a GET.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	return answer(t, resp)
}

// get is the status and the body of a path of the service.
func (s *served) get(path string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
	require.NoError(s.t, err)
	if s.password != "" {
		req.SetBasicAuth("admin", s.password)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	return answer(s.t, resp)
}

func post(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "", nil)
	require.NoError(t, err)
	return answer(t, resp)
}

func answer(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// api is an answer of a service's API, decoded and as text: the text of
// each SLO by its id.
type api struct {
	evaluator.Report
	raw map[string]string
}

func decodeReport(t *testing.T, body string) api {
	t.Helper()
	var out api
	require.NoError(t, json.Unmarshal([]byte(body), &out.Report), body)
	var parts struct{ SLOs []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(body), &parts))
	out.raw = map[string]string{}
	for i, raw := range parts.SLOs {
		var b bytes.Buffer
		require.NoError(t, json.Compact(&b, raw))
		out.raw[out.SLOs[i].ID] = b.String()
	}
	return out
}

func (s *served) report() api {
	s.t.Helper()
	code, body := s.get("/api/v1/slos")
	require.Equal(s.t, http.StatusOK, code, body)
	return decodeReport(s.t, body)
}

// slo is the status of one SLO, nil when it isn't there.
func (a api) slo(id string) *evaluator.Status {
	for i := range a.SLOs {
		if a.SLOs[i].ID == id {
			return &a.SLOs[i]
		}
	}
	return nil
}

func (a api) ids() []string {
	out := []string{}
	for _, s := range a.SLOs {
		out = append(out, s.ID)
	}
	return out
}

// untilState waits until an SLO is in a state and gives the report that says so.
func (s *served) untilState(limit time.Duration, id string, state evaluator.State) api {
	s.t.Helper()
	var r api
	until(s.t, limit, id+" in state "+string(state), func() bool {
		r = s.report()
		st := r.slo(id)
		return st != nil && st.State == state
	})
	return r
}

// metrics are the samples of /metrics by their name and labels, as in
// slo_burn_rate{slo="a",window="5m"} with the labels sorted. They must parse,
// and Prometheus' own linter must like them.
func (s *served) metrics() map[string]float64 {
	s.t.Helper()
	code, body := s.get("/metrics")
	require.Equal(s.t, http.StatusOK, code, body)
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	require.NoError(s.t, err)
	require.Empty(s.t, problems)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(s.t, err)
	out := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName()+`="`+l.GetValue()+`"`)
			}
			slices.Sort(pairs)
			key := name
			if len(pairs) > 0 {
				key += "{" + strings.Join(pairs, ",") + "}"
			}
			out[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return out
}

// command runs slowburn and gives what it wrote.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

// write makes a file of a directory, whole at once as editors do.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	part := filepath.Join(dir, ".part")
	require.NoError(t, os.WriteFile(part, []byte(text), 0o600))
	require.NoError(t, os.Rename(part, path))
	return path
}

// checkoutDB is an embedded Prometheus with a service that was scraped each minute for
// the last two hours and goes on being for an hour: 60 requests a minute, of
// which 1 in 60 fails.
func checkoutDB(t *testing.T) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	start := time.Now().Add(-2 * time.Hour).Truncate(time.Minute)
	require.NoError(t, db.Load(t.Context(), start, time.Minute, `
http_requests_total{job="checkout",instance="a",code="200"} 0+59x180
http_requests_total{job="checkout",instance="a",code="500"} 0+1x180
up{job="checkout",instance="a"} 1x180`))
	return db
}

func checkoutServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(checkoutDB(t).Handler())
	t.Cleanup(server.Close)
	return server
}

// checkout is an SLO file for the shop, with the objective in percent.
func checkout(objective string) string {
	return `apiVersion: slowburn/v1
service: checkout
slos:
  - name: availability
    objective: ` + objective + `
    window: 1h
    sli:
      events:
        bad: http_requests_total{job="checkout",code=~"5.."}
        total: http_requests_total{job="checkout"}
`
}
