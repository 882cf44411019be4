// Package config reads the program's own file, which names the backends and where SLO
// files come from. It imports slo, evaluator/backend, alerting and alerting/notify for their
// options.
//
// A use, from the file to the SLO files of its first source:
//
//	c, findings := config.Parse("slowburn.yaml", text)
//	for _, f := range findings { fmt.Println(f) }
//	sources := c.Sources()
//	tree, err := sources[0].Read(ctx)
//	for _, f := range tree.Files { fmt.Println(f.Name) }
package config

import (
	_ "embed" // the schema is a file of its own
	"net/url"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// Config is the program's own file.
type Config struct {
	Specs         []Spec
	Backends      []Backend // the first is that of SLOs which name none
	Alertmanagers []Alertmanager
	Policies      alerting.Policies // those that are built in, and the users' own
	Limits        spec.Limits       // 0 is the default
	QueryMemory   int               // in bytes, what the answers of all backends take at once; 0 for the default
	GitSize       int               // in bytes, of one fetch; 0 for the default
	GitFiles      int               // files, directories and commits of one fetch; 0 for the default
	Cache         Cache
	Web           Web

	dir string // of the file; relative paths begin there
}

// Spec is one place where SLO files are: a directory or a Git repository.
type Spec struct {
	Directory string      // a directory or a file, as it is configured; "" for Git
	Git       *source.Git // nil for a directory
	Backends  []string    // names of the backends that its SLOs may use; empty for all
}

// Backend is a server that answers the Prometheus query API. Its HTTP is made of Client.
type Backend struct {
	backend.Config
	Client promconfig.HTTPClientConfig
}

// Alertmanager is a server that takes alerts. Its HTTP is made of Client.
type Alertmanager struct {
	notify.Alertmanager
	Client promconfig.HTTPClientConfig
}

// Cache is where histories are kept over a restart.
type Cache struct {
	Directory string // "" for no cache
	MaxSize   int    // in bytes
}

// Web is how the pages and the API are served.
type Web struct {
	Listen      string // host:port
	ExternalURL string // how people reach the pages; "" when it is not configured
	ConfigFile  string // TLS and users, as the Prometheus exporter toolkit reads them; "" for neither
}

// Default is the configuration of an empty file: all that is missing are
// specs and backends.
func Default() *Config {
	return &Config{Policies: alerting.BuiltIn(), Cache: Cache{MaxSize: 1 << 30}, Web: Web{Listen: "127.0.0.1:9099"}}
}

// NewBackend is a backend with all defaults. The error is in the words of a
// finding.
func NewBackend(name, address string) (Backend, error) {
	b := defaultBackend()
	b.Name, b.URL = name, address
	if err := checkURL(address); err != nil {
		return Backend{}, err
	}
	return b, nil
}

func defaultBackend() Backend {
	return Backend{Client: promconfig.DefaultHTTPClientConfig, Config: backend.Config{
		Name:           "default",
		Kind:           "auto",
		Method:         "auto",
		Offset:         30 * time.Second,
		Settle:         2 * time.Minute,
		Timeout:        30 * time.Second,
		MaxConcurrency: 8,
		MaxSamples:     50_000_000, // the default limit of Prometheus
		MaxSeries:      10_000,
		TargetLabels:   []string{"job", "instance"},
	}}
}

func defaultGit() *source.Git { return &source.Git{Branch: "main", Interval: time.Minute} }

// Sources are the places of SLO files, in the order of the file.
func (c *Config) Sources() []source.Source {
	sources := make([]source.Source, len(c.Specs))
	for i, s := range c.Specs {
		if s.Git != nil {
			s.Git.MaxSize, s.Git.MaxFiles = c.GitSize, c.GitFiles
			sources[i] = s.Git
			continue
		}
		sources[i] = source.NewDirectoryIn(c.dir, s.Directory, s.Backends)
	}
	return sources
}

// checkURL looks at the address of a server. Its errors are of source.FieldError.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return source.FieldError{Field: "url", Message: "the URL is not one such as http://prometheus:9090", Hint: ""}
	case u.User != nil:
		return source.FieldError{Field: "url", Message: source.CredentialsInURL, Hint: "put them below http:, as basic_auth"}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return source.FieldError{Field: "url", Message: "the URL has a query or a fragment", Hint: ""}
	}
	return nil
}

//go:embed schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of the program's own file, for
// editors.
func Schema() string { return schema }
