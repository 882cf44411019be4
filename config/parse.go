package config

import (
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// Parse reads the program's own file and gives all that is wrong with it,
// sorted. With errors among that the configuration is incomplete. Relative
// paths in it begin at the file's directory.
func Parse(name string, text []byte) (*Config, []yamlfile.Finding) {
	f := yamlfile.Read(name, text)
	p := &parser{file: f, config: Default()}
	p.config.dir = filepath.Dir(name)
	docs := f.Documents()
	for i, d := range docs {
		if i > 0 {
			d.Errorf("", "the file has a second document")
			break
		}
		p.document(d)
	}
	findings := f.Findings()
	if len(docs) == 0 && len(findings) == 0 {
		findings = []yamlfile.Finding{{
			File: name, Severity: yamlfile.Error, Message: "the file is empty", Hint: "it needs specs and backends",
		}}
	}
	hideSecrets(string(text), findings)
	return p.config, findings
}

// parser reads one file.
type parser struct {
	file   *yamlfile.File
	config *Config
}

func (p *parser) document(d yamlfile.Value) {
	m := d.Map("specs", "backends", "alertmanagers", "policies", "limits", "cache", "web")
	names := map[string]int{} // the line of each backend
	for _, v := range entries(m.Require("backends")) {
		b := p.backend(v)
		if line, twice := names[b.Name]; twice {
			v.Errorf("give each backend a name", "backend %s is there twice, first in line %d", b.Name, line)
			continue
		}
		names[b.Name] = v.Line()
		p.config.Backends = append(p.config.Backends, b)
	}
	for _, v := range entries(m.Require("specs")) {
		p.config.Specs = append(p.config.Specs, p.spec(v))
	}
	nameApart(p.config.Specs)
	lines := map[string]int{} // of each Alertmanager
	for _, v := range m.Get("alertmanagers").List() {
		am := v.Map("url", "http")
		at := am.Require("url")
		a := Alertmanager{notify.Alertmanager{URL: address(at, "dns+")}, p.http(am.Get("http"))}
		if line, twice := lines[a.URL]; twice && a.URL != "" {
			at.Errorf("", "this Alertmanager is there twice, first in line %d", line)
		} else {
			lines[a.URL] = at.Line()
		}
		p.config.Alertmanagers = append(p.config.Alertmanagers, a)
	}
	p.policies(m.Get("policies"))
	p.limits(m.Get("limits"))
	p.cache(m.Get("cache"))
	p.web(m.Get("web"))
}

func (p *parser) limits(v yamlfile.Value) {
	m := v.Map("slos_per_file", "slos_per_source", "parts", "labels", "exclusions", "group_objectives", "query_memory", "git_size", "git_files")
	l := &p.config.Limits
	count(m.Get("slos_per_file"), &l.SLOsPerFile)
	count(m.Get("slos_per_source"), &l.SLOsPerSource)
	count(m.Get("parts"), &l.Parts)
	count(m.Get("labels"), &l.Labels)
	count(m.Get("exclusions"), &l.Exclusions)
	count(m.Get("group_objectives"), &l.GroupObjectives)
	bytes(m.Get("query_memory"), leastMemory, &p.config.QueryMemory)
	bytes(m.Get("git_size"), 1<<20, &p.config.GitSize)
	count(m.Get("git_files"), &p.config.GitFiles)
}

func (p *parser) cache(v yamlfile.Value) {
	if !v.Present() {
		return
	}
	m := v.Map("directory", "max_size")
	p.config.Cache.Directory = p.path(m.Require("directory"))
	bytes(m.Get("max_size"), 1<<20, &p.config.Cache.MaxSize)
}

// leastMemory is the smallest query_memory, in bytes: the largest answers need that much.
const leastMemory = 32 << 20

// bytes reads a number of bytes with its unit.
func bytes(v yamlfile.Value, least units.Base2Bytes, n *int) {
	text := v.Text()
	if text == "" {
		return
	}
	read, err := units.ParseBase2Bytes(text)
	if err != nil || read < least {
		v.Errorf("write it as 512MiB or 2GiB", "%q is not a size of at least %s", text, least)
		return
	}
	*n = int(read)
}

// entries are the values of a list that must have some.
func entries(v yamlfile.Value) []yamlfile.Value {
	list := v.List()
	if len(list) == 0 && v.Present() && !v.IsMap() && !v.IsScalar() {
		v.Errorf("", "the list is empty")
	}
	return list
}

func (p *parser) backend(v yamlfile.Value) Backend {
	m := v.Map("name", "url", "kind", "method", "http", "offset", "settle", "timeout", "max_concurrency", "max_samples", "max_samples_per_second", "max_series", "target_labels", "replica_labels")
	b := defaultBackend()
	if name := m.Get("name"); name.Present() {
		b.Name = name.Name("name")
	}
	b.URL = address(m.Require("url"), "")
	choice(m, "kind", &b.Kind, "auto", "prometheus", "victoriametrics", "thanos", "mimir")
	choice(m, "method", &b.Method, "auto", "raw", "aggregated", backend.MethodQuery)
	b.Client = p.http(m.Get("http"))
	duration(m.Get("offset"), &b.Offset)
	duration(m.Get("settle"), &b.Settle)
	duration(m.Get("timeout"), &b.Timeout)
	count(m.Get("max_concurrency"), &b.MaxConcurrency)
	count(m.Get("max_samples"), &b.MaxSamples)
	count(m.Get("max_samples_per_second"), &b.MaxSamplesPerSecond)
	count(m.Get("max_series"), &b.MaxSeries)
	if labels := m.Get("target_labels"); labels.Present() {
		b.TargetLabels = labelNames(entries(labels), nil)
	}
	b.ReplicaLabels = labelNames(m.Get("replica_labels").List(), b.TargetLabels)
	return b
}

// labelNames are the names of a list, none of which may be among others.
func labelNames(list []yamlfile.Value, others []string) []string {
	var out []string
	for _, l := range list {
		name := l.Text()
		switch {
		case l.IsScalar() && !model.UTF8Validation.IsValidLabelName(name):
			l.Errorf("", "%q is not a label's name", name)
		case slices.Contains(others, name):
			l.Errorf("a label tells either targets or replicas apart", "%s is one of target_labels", name)
		}
		out = append(out, name)
	}
	return out
}

// choice reads one of some words.
func choice(m yamlfile.Map, key string, into *string, words ...string) {
	if v := m.Get(key); v.Present() {
		*into = v.OneOf(key, words...)
	}
}

func (p *parser) spec(v yamlfile.Value) Spec {
	m := v.Map("directory", "git", "backends")
	s := Spec{Directory: m.Get("directory").Text()}
	switch directory, git := m.Has("directory"), m.Has("git"); {
	case directory && git:
		m.Key("git").Errorf("make it an entry of its own", "directory and git are both there")
	case git:
		s.Git = p.git(m)
	case directory:
		if d := m.Get("directory"); s.Directory == "" && (!d.Present() || d.IsScalar()) {
			m.Key("directory").Errorf("", "directory is empty")
		}
	case len(m.Entries) == 0 || m.Has("backends"): // else an unknown key is meant to be it
		v.Errorf("", "directory or git is missing")
	}
	for _, b := range m.Get("backends").List() {
		name := b.Text()
		s.Backends = append(s.Backends, name)
		known := func(k Backend) bool { return k.Name == name }
		if b.IsScalar() && !slices.ContainsFunc(p.config.Backends, known) {
			b.Errorf("it must be the name of one of backends", "there is no backend %q", name)
		}
	}
	if s.Git != nil {
		s.Git.Backends = s.Backends
	}
	return s
}

// nameApart gives sources of one repository names that differ, for findings and
// metrics tell sources by their names.
func nameApart(specs []Spec) {
	times := map[string]int{}
	for _, s := range specs {
		if s.Git != nil {
			times[s.Git.URL]++
		}
	}
	for _, s := range specs {
		if s.Git != nil && times[s.Git.URL] > 1 {
			s.Git.Label = strings.TrimSuffix(s.Git.URL+" "+s.Git.Branch+":"+s.Git.Path, ":")
		}
	}
}

func (p *parser) git(spec yamlfile.Map) *source.Git {
	m := spec.Get("git").Map("url", "branch", "path", "interval", "token_file", "token_env", "ssh_key_file", "known_hosts_file")
	g := defaultGit()
	if !m.Require("url").Present() {
		return g
	}
	g.URL = m.Get("url").Text()
	g.ResolveIn(p.config.dir)
	if b := m.Get("branch"); b.Present() {
		g.Branch = b.Text()
	}
	g.Path = m.Get("path").Text()
	duration(m.Get("interval"), &g.Interval)
	g.TokenFile = p.path(m.Get("token_file"))
	g.TokenEnv = m.Get("token_env").Text()
	g.SSHKeyFile = p.path(m.Get("ssh_key_file"))
	g.KnownHostsFile = p.path(m.Get("known_hosts_file"))
	for _, wrong := range g.Check() {
		at := m.Get(wrong.Field)
		switch {
		case !at.Present():
			spec.Key("git").Errorf(wrong.Hint, "%s", wrong.Message)
		case at.IsScalar(): // others have their finding
			at.Errorf(wrong.Hint, "%s", wrong.Message)
		}
	}
	return g
}

// path is a path, made one from the file's directory.
func (p *parser) path(v yamlfile.Value) string { return promconfig.JoinDir(p.config.dir, v.Text()) }

func (p *parser) web(v yamlfile.Value) {
	m := v.Map("listen", "external_url", "config_file")
	w := &p.config.Web
	if l := m.Get("listen"); l.Present() {
		w.Listen = l.Text()
		_, port, err := net.SplitHostPort(w.Listen)
		if _, e := strconv.ParseUint(port, 10, 16); (err != nil || e != nil) && l.IsScalar() {
			l.Errorf("", "%q is not an address such as 127.0.0.1:9099", w.Listen)
		}
	}
	if u := m.Get("external_url"); u.Present() {
		w.ExternalURL = strings.TrimSuffix(address(u, ""), "/")
	}
	w.ConfigFile = p.path(m.Get("config_file"))
}

// address is a server's URL, which may have a prefix.
func address(v yamlfile.Value, prefix string) string {
	text := v.Text()
	if !v.IsScalar() || !v.Present() {
		return text
	}
	err := checkURL(strings.TrimPrefix(text, prefix))
	if wrong, is := errors.AsType[source.FieldError](err); is {
		v.Errorf(wrong.Hint, "%s", wrong.Message)
	}
	return text
}

// duration reads a length of time into d, which keeps its default otherwise.
func duration(v yamlfile.Value, d *time.Duration) {
	if !v.Present() || !v.IsScalar() {
		v.Text()
		return
	}
	read, err := model.ParseDuration(v.Text())
	switch {
	case err != nil:
		v.Errorf("", "%q is not a duration such as 30s or 2m", v.Text())
	case read <= 0:
		v.Errorf("", "the duration must be more than 0")
	default:
		*d = time.Duration(read)
	}
}

// count reads a whole number of at least 1.
func count(v yamlfile.Value, n *int) {
	text := v.Number()
	if text == "" {
		return
	}
	read, err := strconv.ParseInt(text, 0, strconv.IntSize)
	if err != nil || read < 1 {
		v.Errorf("", "%s is not a whole number of at least 1", text)
		return
	}
	*n = int(read)
}

// http reads how a server is talked to.
func (p *parser) http(v yamlfile.Value) promconfig.HTTPClientConfig {
	c := promconfig.DefaultHTTPClientConfig
	before := len(p.file.Findings())
	if checkShape(v, reflect.TypeOf(c)); len(p.file.Findings()) == before {
		_ = v.Decode(&c, "") // its errors are findings already
	}
	c.SetDirectory(p.config.dir)
	return c
}
