package config

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// full uses every key, and differs from the defaults everywhere.
const full = `
specs:
  - directory: ./slos
  - directory: /abs/slos
    backends: [eu]
  - git:
      url: https://git.example.org/slos.git
      branch: live
      path: slos
      interval: 5m
      token_file: secrets/token
    backends: [eu, us]
  - git: {url: "git@git.example.org:slos.git", ssh_key_file: id, known_hosts_file: /etc/known_hosts}
  - git: {url: ../slos.git}
backends:
  - name: eu
    url: https://eu.example.org/prometheus
    kind: thanos
    method: raw
    http:
      basic_auth: {username: me, password_file: secrets/password}
      http_headers: {X-Scope-OrgID: {values: [tenant]}}
      follow_redirects: false
    offset: 1m
    settle: 5m
    timeout: 1m30s
    max_concurrency: 2
    max_samples: 1000
    max_samples_per_second: 70000
    target_labels: [instance]
    replica_labels: [prometheus_replica]
    max_series: 500
  - {name: us, url: "http://us:9090"}
alertmanagers:
  - url: http://alertmanager:9093
    http: {tls_config: {ca_file: ca.pem}}
  - url: dns+https://alertmanager/am
policies:
  mine:
    tiers:
      - {name: fast, severity: page, factor: 14.4, long: 1h, short: 5m, for: 0s, keep_firing_for: 10m, reset_factor: 7, min_bad: 3, min_budget: 2%, significance: 0.00001}
      - {name: dead, severity: ticket, bad_share: 95%, long: 10m, short: 5m, for: 2m}
cache: {directory: state, max_size: 20MiB}
web: {listen: ":80", external_url: "https://slo.example.org/", config_file: web.yml}
`

func TestParse(t *testing.T) {
	c, findings := Parse("/etc/slowburn/slowburn.yaml", []byte(full))
	require.Empty(t, findings)
	eu := promconfig.DefaultHTTPClientConfig
	eu.FollowRedirects = false
	eu.BasicAuth = &promconfig.BasicAuth{Username: "me", PasswordFile: "/etc/slowburn/secrets/password"}
	eu.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Scope-OrgID": {Values: []string{"tenant"}}}}
	am := promconfig.DefaultHTTPClientConfig
	am.TLSConfig.CAFile = "/etc/slowburn/ca.pem"
	policies := alerting.BuiltIn()
	policies["mine"] = alerting.Policy{Name: "mine", Tiers: []alerting.Tier{
		{Name: "fast", Severity: "page", Factor: 14.4, Long: slo.Window(time.Hour), Short: slo.Window(5 * time.Minute), KeepFiringFor: 10 * time.Minute,
			Reset: 7, MinBad: 3, MinBudget: 0.02, Significance: 0.00001},
		{Name: "dead", Severity: "ticket", BadShare: 0.95, Long: slo.Window(10 * time.Minute), Short: slo.Window(5 * time.Minute), For: 2 * time.Minute},
	}}
	require.Equal(t, &Config{
		Specs: []Spec{
			{Directory: "./slos"},
			{Directory: "/abs/slos", Backends: []string{"eu"}},
			{Git: &source.Git{URL: "https://git.example.org/slos.git", Branch: "live", Path: "slos", Interval: 5 * time.Minute,
				TokenFile: "/etc/slowburn/secrets/token", Backends: []string{"eu", "us"}}, Backends: []string{"eu", "us"}},
			{Git: &source.Git{URL: "git@git.example.org:slos.git", Branch: "main", Interval: time.Minute,
				SSHKeyFile: "/etc/slowburn/id", KnownHostsFile: "/etc/known_hosts"}},
			{Git: &source.Git{URL: "/etc/slos.git", Branch: "main", Interval: time.Minute}},
		},
		Backends: []Backend{
			{Client: eu, Config: backend.Config{Name: "eu", URL: "https://eu.example.org/prometheus", Kind: "thanos", Method: "raw", Offset: time.Minute, Settle: 5 * time.Minute,
				Timeout: 90 * time.Second, MaxConcurrency: 2, MaxSamples: 1000, MaxSamplesPerSecond: 70000, MaxSeries: 500,
				TargetLabels: []string{"instance"}, ReplicaLabels: []string{"prometheus_replica"}}},
			{Client: promconfig.DefaultHTTPClientConfig, Config: backend.Config{Name: "us", URL: "http://us:9090", Kind: "auto", Method: "auto", Offset: 30 * time.Second, Settle: 2 * time.Minute,
				Timeout: 30 * time.Second, MaxConcurrency: 8, MaxSamples: 50000000, MaxSeries: 10000, TargetLabels: []string{"job", "instance"}}},
		},
		Alertmanagers: []Alertmanager{
			{notify.Alertmanager{URL: "http://alertmanager:9093"}, am}, {notify.Alertmanager{URL: "dns+https://alertmanager/am"}, promconfig.DefaultHTTPClientConfig},
		},
		Policies: policies,
		Cache:    Cache{Directory: "/etc/slowburn/state", MaxSize: 20 << 20},
		Web:      Web{Listen: ":80", ExternalURL: "https://slo.example.org", ConfigFile: "/etc/slowburn/web.yml"},
		dir:      "/etc/slowburn",
	}, c)
}

func TestParseDefaults(t *testing.T) {
	c, findings := Parse("slowburn.yaml", []byte("specs: [directory: slos]\nbackends: [url: 'http://p:9090']\n"))
	require.Empty(t, findings)
	want := Default()
	want.dir = "."
	want.Specs = []Spec{{Directory: "slos"}}
	b, err := NewBackend("default", "http://p:9090")
	require.NoError(t, err)
	want.Backends = []Backend{b}
	require.Equal(t, want, c)
	require.Equal(t, "127.0.0.1:9099", c.Web.Listen)
}

// TestSources reads files of a directory that is named relative to the file.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/slos", 0o755))
	require.NoError(t, os.WriteFile(dir+"/slos/a.yaml", []byte("1"), 0o644))
	c, findings := Parse(dir+"/slowburn.yaml", []byte("specs: [directory: ./slos, {git: {url: 'https://x.example.org/y'}}]\nbackends: [{url: 'http://p'}]\n"))
	require.Empty(t, findings)
	sources := c.Sources()
	require.Len(t, sources, 2)
	require.Equal(t, "./slos", sources[0].Name())
	tree, err := sources[0].Read(t.Context())
	require.NoError(t, err)
	require.Len(t, tree.Files, 1)
	require.Equal(t, dir+"/slos/a.yaml", tree.Files[0].Name)
	require.Equal(t, "https://x.example.org/y", sources[1].Name())
}

// TestSourcesOfOneRepository have names that tell them apart.
func TestSourcesOfOneRepository(t *testing.T) {
	c, findings := Parse("slowburn.yaml", []byte(`
specs:
  - git: {url: 'https://x.example.org/y', path: a}
  - git: {url: 'https://x.example.org/y', branch: live}
  - git: {url: 'https://x.example.org/z', path: a}
backends: [{url: 'http://p'}]
`))
	require.Empty(t, findings)
	var names []string
	for _, s := range c.Sources() {
		names = append(names, s.Name())
	}
	require.Equal(t, []string{"https://x.example.org/y main:a", "https://x.example.org/y live", "https://x.example.org/z"}, names)
}

// valid has the required fields, to which a test adds its own.
const valid = "specs: [directory: slos]\nbackends: [url: 'http://p:9090']\n"

func TestParseFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			_, findings := Parse(filepath.Base(file), text)
			var got strings.Builder
			for _, f := range findings {
				got.WriteString(f.Text())
			}
			golden.Require(t, strings.TrimSuffix(file, ".yaml")+".golden", got.String())
		})
	}
}

// TestHTTP sends a request as the http block says.
func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_, _ = io.WriteString(w, user+":"+password+" "+r.Header.Get("X-Scope-OrgID"))
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/password", []byte("hunter2\n"), 0o600))
	c, findings := Parse(dir+"/slowburn.yaml", []byte("specs: [directory: slos]\nbackends:\n  - url: "+server.URL+
		"\n    http: {basic_auth: {username: me, password_file: password}, http_headers: {x-scope-orgid: {values: [a]}}}\n"))
	require.Empty(t, findings)
	client, err := promconfig.NewClientFromConfig(c.Backends[0].Client, "test")
	require.NoError(t, err)
	response, err := client.Get(c.Backends[0].URL)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "me:hunter2 a", string(body))
}

// FuzzParse holds that whatever the file is, there are findings at places in
// it or a configuration that is complete.
func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(valid)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, findings := Parse("f.yaml", []byte(text))
		for _, finding := range findings {
			require.NotEmpty(t, finding.Text())
			require.LessOrEqual(t, finding.Line, strings.Count(text, "\n")+1)
		}
		if len(findings) > 0 {
			return
		}
		require.NotEmpty(t, c.Backends)
		require.Len(t, c.Sources(), len(c.Specs))
		for _, b := range c.Backends {
			_, err := NewBackend(b.Name, b.URL)
			require.NoError(t, err)
			require.True(t, b.Offset > 0 && b.Settle > 0 && b.Timeout > 0 && b.MaxConcurrency > 0 && b.MaxSamples > 0, "%+v", b)
		}
		for _, s := range c.Specs {
			require.NotEqual(t, s.Git == nil, s.Directory == "")
			if s.Git != nil {
				require.Empty(t, s.Git.Check())
			}
		}
	})
}
