package main

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// guarded serves h over TLS to those whom a check admits.
func guarded(t *testing.T, h http.Handler, admits func(*http.Request) bool) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !admits(r) {
			http.Error(w, "who is there? "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestServeKeepsSecrets authenticates in every way to servers that insist on
// it, and shows the secrets to nobody else.
func TestServeKeepsSecrets(t *testing.T) {
	t.Parallel()
	secrets := []string{"basic-Secret-1", "bearer-Secret-2", "header-Secret-3", "wrong-Secret-4", "page-Secret-5", "am-Secret-6"}
	minute := time.Now().UTC().Truncate(time.Minute)
	prom := incident(t, minute.Add(-20*time.Minute), minute.Add(time.Hour)).Config.Handler
	basic := guarded(t, prom, func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return user == "slowburn" && password == secrets[0]
	})
	bearer := guarded(t, prom, func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Bearer "+secrets[1] &&
			r.Header.Get("X-Scope-Orgid") == "team-payments" && r.Header.Get("X-Api-Key") == secrets[2]
	})
	var alerts atomic.Int32
	am := guarded(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		alerts.Add(1)
	}), func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+secrets[5] })

	dir := t.TempDir()
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: basic.Certificate().Raw})))
	for i, name := range []string{"basic", "bearer", "header", "wrong"} {
		write(t, dir, "secrets/"+name, secrets[i]+"\n")
		write(t, dir, name+"/slo.yaml", strings.Replace(checkout("99"), "service: checkout", "service: "+name, 1))
	}
	write(t, dir, "web.yml", "basic_auth_users: {admin: $2a$04$Stjb87/kRU7jwcJ9Ha7Jc.kcSRCB4SuYBNF25Iui47IgytAh9zQ3W}\n")
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", `
specs:
  - {directory: ./basic, backends: [basic]}
  - {directory: ./bearer, backends: [bearer]}
  - {directory: ./wrong, backends: [wrong]}
backends:
  - name: basic
    url: `+basic.URL+`
    http: {tls_config: {ca_file: ca.pem}, basic_auth: {username: slowburn, password_file: secrets/basic}}
  - name: bearer
    url: `+bearer.URL+`
    http:
      tls_config: {ca_file: ca.pem}
      authorization: {credentials_file: secrets/bearer}
      http_headers: {X-Scope-OrgID: {values: [team-payments]}, X-Api-Key: {files: [secrets/header]}}
  - name: wrong
    url: `+bearer.URL+`
    http: {tls_config: {ca_file: ca.pem}, authorization: {credentials_file: secrets/wrong}}
alertmanagers:
  - {url: `+am.URL+`, http: {tls_config: {ca_file: ca.pem}, authorization: {credentials: `+secrets[5]+`}}}
web: {config_file: web.yml}
`))
	s.password = secrets[4]
	for _, path := range []string{
		"/", "/slo/basic/availability", "/api/v1/slos", "/api/v1/nothing", "/metrics", "/static/slowburn.css", "/nowhere",
		"/-/healthy", "/-/ready", "/-/reload", "/-/reread", "//api/v1/slos", "/static/../metrics", "/debug/pprof/",
	} {
		code, body := get(t, s.URL+path)
		require.Equal(t, http.StatusUnauthorized, code, path)
		require.Equal(t, "Unauthorized\n", body, path)
		code, _ = post(t, s.URL+path)
		require.Equal(t, http.StatusUnauthorized, code, "POST %s", path)
	}

	s.untilState(waitLimit, "basic/availability", evaluator.StateOK)
	s.untilState(waitLimit, "bearer/availability", evaluator.StateOK)
	r := s.untilState(waitLimit, "wrong/availability", evaluator.StateQueryFailed)
	require.Contains(t, r.slo("wrong/availability").StateReason, "the backend answers 401: Unauthorized")
	until(t, waitLimit, "an alert is taken", func() bool { return alerts.Load() > 0 })

	shown := s.log.String()
	for _, path := range []string{"/", "/slo/wrong/availability", "/slo/basic/availability", "/api/v1/slos", "/metrics"} {
		code, body := s.get(path)
		require.Equal(t, http.StatusOK, code)
		shown += body
	}
	require.Contains(t, shown, "401", "the log tells of the one who was not let in")
	for _, secret := range secrets {
		require.NotContains(t, shown, secret)
	}
}
