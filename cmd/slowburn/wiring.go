package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// newLogger makes the log: logfmt on standard error.
func newLogger(w io.Writer) *slog.Logger {
	return promslog.New(&promslog.Config{Writer: w})
}

// backendsOf are the configured backends with their HTTP clients.
func backendsOf(cfg *config.Config) ([]backend.Config, error) {
	if len(cfg.Backends) == 0 {
		return nil, usage("no backend: give --backend URL or --config FILE")
	}
	out := make([]backend.Config, 0, len(cfg.Backends))
	for _, b := range cfg.Backends {
		client, err := clientOf(b.Client, "backend "+b.Name)
		if err != nil {
			return nil, err
		}
		b.HTTP, b.Identity = client, identityOf(b)
		out = append(out, b.Config)
	}
	return out, nil
}

// identityOf returns a text that differs for backends with other data: by their address, and
// by the user, token, certificate and headers that may stand for a tenant. It is kept as a part
// of a checksum only.
func identityOf(b config.Backend) string {
	parts := []string{b.URL, b.Client.TLSConfig.CertFile, string(b.Client.BearerToken), b.Client.BearerTokenFile}
	if auth := b.Client.Authorization; auth != nil {
		parts = append(parts, auth.Type, string(auth.Credentials), auth.CredentialsFile)
	}
	if auth := b.Client.OAuth2; auth != nil {
		parts = append(parts, auth.ClientID, auth.TokenURL, strings.Join(auth.Scopes, " "))
	}
	if auth := b.Client.BasicAuth; auth != nil {
		parts = append(parts, "user", auth.Username, auth.UsernameFile)
	}
	if headers := b.Client.HTTPHeaders; headers != nil {
		for _, name := range slices.Sorted(maps.Keys(headers.Headers)) {
			h := headers.Headers[name]
			parts = append(parts, name, strings.Join(h.Values, "\xff"), strings.Join(h.Files, "\xff"))
			for _, secret := range h.Secrets {
				parts = append(parts, string(secret))
			}
		}
	}
	return strings.Join(parts, "\xff")
}

func alertmanagersOf(cfg *config.Config) ([]notify.Alertmanager, error) {
	var out []notify.Alertmanager
	for _, a := range cfg.Alertmanagers {
		if name, ok := strings.CutPrefix(a.URL, "dns+"); ok && a.Client.TLSConfig.ServerName == "" {
			if u, err := url.Parse(name); err == nil {
				a.Client.TLSConfig.ServerName = u.Hostname() // requests go to its addresses
			}
		}
		client, err := clientOf(a.Client, "alertmanager "+a.URL)
		if err != nil {
			return nil, err
		}
		a.HTTP = client
		out = append(out, a.Alertmanager)
	}
	return out, nil
}

// checkWeb reads the file of TLS and users as the server does. Its error contains no secret.
func checkWeb(file string) error {
	err := toolkit.Validate(file)
	if err == nil {
		return nil
	}
	text, unread := os.ReadFile(file)
	if unread != nil {
		return unread
	}
	return errors.New(config.Redact(string(text), err.Error()))
}

func clientOf(c promconfig.HTTPClientConfig, name string) (*http.Client, error) {
	client, err := promconfig.NewClientFromConfig(c, name)
	if err != nil {
		return nil, failure("making the HTTP client of %s: %w", name, err)
	}
	if client.CheckRedirect == nil { // else the configuration follows none
		client.CheckRedirect = stayOnHost
	}
	return client, nil
}

// stayOnHost follows redirects on the same host, and to TLS there. Another host would get the
// credentials, the headers and the alerts.
func stayOnHost(r *http.Request, via []*http.Request) error {
	const most = 10
	first := via[0].URL
	toTLS := first.Scheme == "http" && r.URL.Scheme == "https"
	switch {
	case len(via) >= most:
		return fmt.Errorf("it redirects more than %d times", most)
	case r.URL.Hostname() != first.Hostname(), r.URL.Port() != first.Port() && !toTLS, r.URL.Scheme != first.Scheme && !toTLS:
		return fmt.Errorf("it redirects to %s://%s, which is not followed: configure the address that it leads to", r.URL.Scheme, r.URL.Host)
	}
	return nil
}

// offsetOf returns the age of the slots in reports. All backends are evaluated at the instants
// of the slowest.
func offsetOf(cfg *config.Config) time.Duration {
	offset := time.Duration(0)
	for _, b := range cfg.Backends {
		offset = max(offset, b.Offset)
	}
	return offset
}

// lookup asks the system's resolver.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// evaluatorOptions wires the alert policies into the evaluator.
func evaluatorOptions(cfg *config.Config, log *slog.Logger, reg prometheus.Registerer) (loop.Options, error) {
	backends, err := backendsOf(cfg)
	if err != nil {
		return loop.Options{}, err
	}
	policies := cfg.Policies
	return loop.Options{
		Backends: backends, Windows: policies.Windows, NewJudge: policies.NewJudge, Lookback: policies.Lookback,
		PageWindow: policies.PageWindow, Blind: policies.Blind, Alerts: notify.NewCompleter(cfg.Web.ExternalURL).Complete, Memory: int64(cfg.QueryMemory), Log: log, Registerer: reg, Now: time.Now,
	}, nil
}
