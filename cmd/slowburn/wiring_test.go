package main

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestAlertmanagersBehindAName posts over TLS to both addresses of a name, which
// is the one that their certificate and their proxy know, with a password.
func TestAlertmanagersBehindAName(t *testing.T) {
	t.Parallel()
	took := make(chan string, 10)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		if user, password, _ := r.BasicAuth(); user != "slowburn" || password != "hunter2" {
			http.Error(w, "who is there?", http.StatusUnauthorized)
			local = "a stranger"
		}
		took <- local + " as " + r.Host + " and " + r.TLS.ServerName
	})
	first := httptest.NewTLSServer(handler) // its certificate is that of example.com
	defer first.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(first.URL, "https://"))
	require.NoError(t, err)
	second := httptest.NewUnstartedServer(handler)
	require.NoError(t, second.Listener.Close())
	second.Listener, err = net.Listen("tcp", "127.0.0.2:"+port)
	require.NoError(t, err)
	second.StartTLS()
	defer second.Close()

	dir := t.TempDir()
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate().Raw})))
	write(t, dir, "password", "hunter2\n")
	cfg, findings := config.Parse(filepath.Join(dir, "slowburn.yaml"), []byte(`
specs: [{directory: .}]
backends: [{url: http://prometheus:9090}]
alertmanagers:
  - url: dns+https://example.com:`+port+`
    http: {tls_config: {ca_file: ca.pem}, basic_auth: {username: slowburn, password_file: password}}
`))
	require.Empty(t, findings)
	alertmanagers, err := alertmanagersOf(cfg)
	require.NoError(t, err)
	spec := slo.Load([]slo.File{{Name: "checkout.yaml", Text: []byte(checkout("99"))}}).SLOs[0]
	report := &evaluator.Report{SLOs: []evaluator.Status{{
		ID: "checkout/availability", State: evaluator.StateOK, Spec: spec, Alerts: []evaluator.FiringAlert{{Severity: alerting.Page}},
	}}}
	sender := alerting.NewSender(alerting.SenderOptions{
		Alertmanagers: alertmanagers, Report: func() *evaluator.Report { return report }, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Now: time.Now,
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- sender.Run(ctx) }()
	require.ElementsMatch(t, []string{
		"127.0.0.1:" + port + " as example.com:" + port + " and example.com",
		"127.0.0.2:" + port + " as example.com:" + port + " and example.com",
	}, []string{<-took, <-took})
	stop()
	require.NoError(t, <-done)
}
