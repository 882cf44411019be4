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
	shows := func(ids string, problems int) {
		t.Helper()
		require.Eventually(t, func() bool {
			var r evaluator.Report
			if getJSON(ctx, "http://"+listen+"/api/v1/slos", &r) != nil {
				return false
			}
			var found []string
			for _, s := range r.SLOs {
				found = append(found, s.ID)
			}
			return strings.Join(found, " ") == ids && len(r.Problems) == problems
		}, 30*time.Second, 50*time.Millisecond)
	}
	shows("a/x", 0)
	configure("[{directory: a}, {directory: b}]")
	shows("a/x b/x", 0)
	configure("[{directory: nowhere}]")
	shows("a/x b/x", 1)
	configure("[{directori: a}]")
	shows("a/x b/x", 1)
	configure("[{directory: b}]")
	shows("b/x", 0)
	stop()
	require.Equal(t, 0, <-exit, errs.String())
}
