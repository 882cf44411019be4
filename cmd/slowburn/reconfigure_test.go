package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestConfigurationIsReadAgain changes the service's own file while it runs: a
// good one is taken over, a bad one leaves all as it was and is told.
func TestConfigurationIsReadAgain(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	}))
	defer backend.Close()
	dir := t.TempDir()
	for _, service := range []string{"a", "b"} {
		text := "apiVersion: slowburn/v1\nservice: " + service + "\nslos: [{name: x, objective: 99, window: 1h, sli: {events: {bad: x_total, total: y_total}}}]\n"
		require.NoError(t, os.MkdirAll(filepath.Join(dir, service), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, service, "slo.yaml"), []byte(text), 0o600))
	}
	listen := newPort(t)
	file := filepath.Join(dir, "slowburn.yaml")
	configure := func(specs string) {
		text := fmt.Sprintf("specs: %s\nbackends: [{name: default, url: %q}]\nweb: {listen: %q}\n", specs, backend.URL, listen)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	configure("[{directory: a}]")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int, 1)
	var out, errs bytes.Buffer
	go func() {
		exit <- run(ctx, []string{"serve", "--config", file}, streams{strings.NewReader(""), &out, &errs})
	}()
	var r evaluator.Report
	shows := func(ids, problem string) { // "" for none
		t.Helper()
		require.Eventually(t, func() bool {
			r = evaluator.Report{}
			if getJSON(ctx, "http://"+listen+"/api/v1/slos", &r) != nil {
				return false
			}
			var found []string
			for _, s := range r.SLOs {
				found = append(found, s.ID)
			}
			if problem == "" {
				return strings.Join(found, " ") == ids && len(r.Problems) == 0
			}
			return strings.Join(found, " ") == ids && len(r.Problems) == 1 && strings.Contains(r.Problems[0].Message, problem)
		}, 30*time.Second, 50*time.Millisecond)
	}
	shows("a/x", "")
	configure("[{directory: a}, {directory: b}]")
	shows("a/x b/x", "")
	configure("[{directory: nowhere}]")
	shows("a/x b/x", "nowhere")
	configure("[{directori: a}]")
	shows("a/x b/x", "directori")
	require.Equal(t, evaluator.Problem{
		Source: file, File: file, Line: 1, Column: 10, Severity: "error",
		Message: `unknown key "directori"`, Hint: `did you mean "directory"? known keys: directory, git, backends`,
	}, r.Problems[0])
	configure("[{directory: b}]")
	shows("b/x", "")
	stop()
	require.Equal(t, 0, <-exit, errs.String())
}

// TestANewConfigurationGoesOnWithAlerts: its backend never answers, and the alerts of the
// old one are posted on, and shown as held.
func TestANewConfigurationGoesOnWithAlerts(t *testing.T) {
	t.Parallel()
	burning := incident(t, time.Now().Add(-20*time.Minute), time.Now().Add(time.Hour))
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	am, _ := alertmanager(t)
	dir := t.TempDir()
	write(t, dir, "slos/checkout.yaml", checkout("99"))
	configure := func(backend string) string {
		return write(t, dir, "slowburn.yaml", "specs: [{directory: ./slos}]\nbackends: [{url: '"+backend+"'}]\nalertmanagers: [{url: '"+am.URL+"'}]\n")
	}
	s, _ := running(t, "--config", configure(burning.URL))
	all := []string{"page", "ticket", "ticket"} // two burn, and the budget is spent
	until(t, waitLimit, "all three fire", func() bool { return slices.Equal(all, severities(listAlerts(t, am))) })
	configure(silent.URL)
	held := regexp.MustCompile("held because (the history that decides is still being read|the backend can't be read)")
	until(t, waitLimit, "all three are held by who knows nothing yet, and posted", func() bool {
		alerts := s.report().slo("checkout/availability").Alerts
		shown := slices.DeleteFunc(alerts, func(a evaluator.FiringAlert) bool { return !held.MatchString(a.Description) })
		return len(shown) == 3 && s.sent(am) >= 3
	})
	require.Equal(t, all, severities(listAlerts(t, am)))
}

// TestBadWebFile serves with a file of TLS and users that is wrong: one line
// says which, before anything runs.
func TestBadWebFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	web, file := filepath.Join(dir, "web.yml"), filepath.Join(dir, "slowburn.yaml")
	slos := "apiVersion: slowburn/v1\nservice: a\nslos: [{name: x, objective: 99, sli: {events: {bad: x_total, total: y_total}}}]\n"
	text := "specs: [{directory: slo.yaml}]\nbackends: [{url: 'http://127.0.0.1:1'}]\nweb: {listen: '127.0.0.1:0', config_file: web.yml}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slo.yaml"), []byte(slos), 0o600))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	serve := func() string {
		var out, errs bytes.Buffer
		require.Equal(t, exitFailure, run(t.Context(), []string{"serve", "--config", file}, streams{strings.NewReader(""), &out, &errs}))
		return errs.String()
	}
	require.Equal(t, "slowburn: reading web.config_file "+web+": open "+web+": no such file or directory\n", serve())
	require.NoError(t, os.WriteFile(web, []byte("users: {}\n"), 0o600))
	require.Regexp(t, `^slowburn: reading web.config_file \S+: yaml: .*users`, strings.ReplaceAll(serve(), "\n", " "))
}
