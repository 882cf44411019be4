package main

import (
	"context"
	"encoding/pem"
	"fmt"
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
	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestPoliciesOfTheConfiguration decide as they are written, up to the last of as
// many tiers as a policy may have.
func TestPoliciesOfTheConfiguration(t *testing.T) {
	tiers := []string{"{name: all, severity: page, factor: 9, long: 1h, short: 5m, for: 1m, keep_firing_for: 2m, reset_factor: 4, min_bad: 3, min_budget: 2%, significance: 0.01}"}
	for i := 1; i < 11; i++ {
		tiers = append(tiers, fmt.Sprintf("{name: t%d, severity: page, factor: 9, long: %dh, short: 5m}", i, i))
	}
	tiers = append(tiers, "{name: last, severity: ticket, bad_share: 50%, long: 10m, short: 5m}")
	cfg, findings := config.Parse("a.yaml", []byte("specs: [directory: a]\nbackends: [url: 'http://p']\npolicies: {mine: {tiers: ["+strings.Join(tiers, ",\n")+"]}}"))
	require.Empty(t, findings)
	policies := cfg.Policies
	require.Equal(t, "classic, default, jobs, mine", policies.Names())
	require.Equal(t, alerting.Tier{
		Name: "all", Severity: "page", Factor: 9, Long: slo.Window(time.Hour), Short: slo.Window(5 * time.Minute), For: time.Minute,
		KeepFiringFor: 2 * time.Minute, Reset: 4, MinBad: 3, MinBudget: 0.02, Significance: 0.01,
	}, policies["mine"].Tiers[0])

	o, err := slo.ParseObjective("90")
	require.NoError(t, err)
	s := &slo.SLO{Service: "a", Name: "b", Objective: o, Window: slo.Rolling(slo.Window(30 * 24 * time.Hour)), Alerting: slo.Alerting{Policy: "mine"}}
	tl := timeline.NewTimeline(timeline.MinuteOf(time.Unix(0, 0)))
	for range 20 {
		tl.Append(timeline.Slot{Total: 10, Bad: 6, Known: true})
	}
	fires := policies.NewJudge()(s, tl, tl.End())
	require.Len(t, fires, 1, "6 of 10 fail: 6 times too fast")
	require.Equal(t, "last", fires[0].Tier)
}

// TestRedirectsStayOnTheHost redirects to another host, another port and away from
// TLS. Each is an error that names the address, and nothing is sent there.
func TestRedirectsStayOnTheHost(t *testing.T) {
	sent := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent <- r.Header.Get("Authorization") }))
	defer other.Close()
	var here *httptest.Server
	here = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/moved": "/there", "/port": other.URL, "/host": strings.Replace(here.URL, "127.0.0.1", "localhost", 1) + "/there", "/round": "/round",
		}[r.URL.Path]
		if to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	}))
	defer here.Close()
	cfg, findings := config.Parse("a.yaml", []byte("specs: [directory: a]\nbackends: [{url: '"+here.URL+"', http: {authorization: {credentials: secret}}}]"))
	require.Empty(t, findings)
	backends, err := backendsOf(cfg)
	require.NoError(t, err)
	post := func(path string) error {
		resp, err := backends[0].HTTP.Post(here.URL+path, "text/plain", strings.NewReader("alerts"))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	require.NoError(t, post("/moved"))
	require.ErrorContains(t, post("/port"), "it redirects to "+other.URL+", which is not followed: configure the address that it leads to")
	require.ErrorContains(t, post("/host"), "it redirects to http://localhost:")
	require.ErrorContains(t, post("/round"), "it redirects more than 10 times")
	require.Empty(t, sent)

	at := func(text string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, text, http.NoBody)
		require.NoError(t, err)
		return r
	}
	require.NoError(t, stayOnHost(at("https://a/x"), []*http.Request{at("http://a/x")}))
	require.Error(t, stayOnHost(at("http://a/x"), []*http.Request{at("https://a/x")}))
	require.Error(t, stayOnHost(at("http://a:81/x"), []*http.Request{at("http://a/x")}))
}

// TestValidateChecksTheWebConfiguration as serve would, and quotes no password.
func TestValidateChecksTheWebConfiguration(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "slos/slo.yaml", checkout("99"))
	cfg := write(t, dir, "slowburn.yaml", "specs: [{directory: slos}]\nbackends: [{url: http://p}]\nweb: {config_file: web.yml}\n")
	for text, want := range map[string]string{
		"basic_auth_users: {admin: hunter2hunter2}":                                               "hashedSecret too short",
		"basic_auth_user: {admin: hunter2hunter2}":                                                "field basic_auth_user not found",
		"tls_server_config: {cert_file: gone.pem, key_file: gone.key}":                            "gone.pem",
		"tls_server_config: {cert_file: [hunter2hunter2]}":                                        "cannot unmarshal",
		"basic_auth_users: {admin: [hunter2hunter2]}":                                             "cannot unmarshal",
		"basic_auth_users: {admin: $2a$04$Stjb87/kRU7jwcJ9Ha7Jc.kcSRCB4SuYBNF25Iui47IgytAh9zQ3W}": "",
	} {
		write(t, dir, "web.yml", text+"\n")
		var out, errs strings.Builder
		code := run(t.Context(), []string{"validate", "--config", cfg}, streams{strings.NewReader(""), &out, &errs})
		require.NotContains(t, out.String()+errs.String(), "hunter2", text)
		require.Equal(t, map[bool]int{true: 0, false: exitFindings}[want == ""], code, text)
		require.Contains(t, out.String(), want, text)
	}
}

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
	spec := spec.Load([]spec.File{{Name: "checkout.yaml", Text: []byte(checkout("99"))}}).SLOs[0]
	report := &evaluator.Report{EvaluatedAt: time.Now(), SLOs: []evaluator.Status{{
		ID: "checkout/availability", State: evaluator.StateOK, Spec: spec, Alerts: []evaluator.FiringAlert{{Name: "ErrorBudgetBurn", Severity: slo.Page}},
	}}}
	sender := notify.NewSender(notify.SenderOptions{
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
