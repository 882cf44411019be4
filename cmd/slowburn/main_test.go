package main

import (
	"context"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// TestMain lets scripts run this program as slowburn. Many tests at a time, for
// they wait for minutes of the clock to pass; go test -parallel says otherwise.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "32") // a flag that is always there
	testscript.Main(m, map[string]func(){"slowburn": main})
}

// TestScripts runs testdata/script/*.txtar, each in a directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       golden.Updating(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"prometheus": startPrometheus(t.Context()),
			"expand":     expand,
		},
	})
}

// startPrometheus is the script command "prometheus FILE START": an embedded
// Prometheus with the series of a file, in the notation of promtool's tests,
// whose first values are at START and the others each a minute later. Its
// address is in $PROMETHEUS.
func startPrometheus(ctx context.Context) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: prometheus FILE START")
		}
		start, err := time.Parse(time.RFC3339, args[1])
		ts.Check(err)
		dir, err := os.MkdirTemp(ts.MkAbs("."), ".prometheus-*")
		ts.Check(err)
		db, err := memprom.Open(dir, slog.New(slog.DiscardHandler))
		ts.Check(err)
		server := httptest.NewServer(db.Handler())
		ts.Defer(func() {
			server.Close()
			ts.Check(db.Close())
		})
		ts.Check(db.Load(ctx, start, time.Minute, ts.ReadFile(args[0])))
		ts.Setenv("PROMETHEUS", server.URL)
	}
}

// expand is the script command "expand FROM TO": it copies a file with
// variables such as $PROMETHEUS replaced.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}
