package spec

import (
	"cmp"
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// APIVersion is the first line of every SLO file.
const APIVersion = "slowburn/v1"

// File is an SLO file to parse; findings have its Name. A file by the
// name of yamlfile.DefaultsName gives defaults to those of its directory and
// below.
type File struct {
	Name     string
	Text     []byte
	Source   string
	Revision string
	Backends []string
	Came     time.Time // as in Origin
}

var (
	fileKeys      = []string{"apiVersion", "kind", "service", "description", "owner", "labels", "links", "defaults", "slos"}
	defaultsKeys  = []string{"apiVersion", "owner", "labels", "links", "defaults"}
	exclusionKeys = []string{"apiVersion", "kind", "match", "exclude"}
	foreignAPI    = map[string]string{"openslo": "OpenSLO", "sloth.slok.dev": "Sloth", "pyrra.dev": "Pyrra", "prometheus": "Sloth"}
)

// reservedLabels are labels that slowburn or scraping sets on the same series;
// owner and revision are slo_info's.
var reservedLabels = map[string]string{
	"owner":    "write owner: at the top of the file",
	"severity": "it is page or ticket, as the alert is; write alerting: {severities: {page: critical}} to call it otherwise",
	"slo_id":   "", "slo_service": "", "slo": "", "slo_owner": "", "window": "", "state": "", "result": "",
	"source": "", "revision": "", "alertname": "", "job": "", "instance": "", "le": "", "quantile": "",
}

var labelForm = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// parsed is the content of one file. Its SLOs are incomplete where there are errors.
type parsed struct {
	in         File
	file       *yamlfile.File
	defaults   []*defaults // the nearest first
	limits     Limits
	memo       *sync.Map
	slos       []*slo.SLO
	said       map[*slo.SLO]said
	journeys   []*journey
	exclusions []shared
	empty      bool
	noZones    int // how many texts were no time zones
	bounds     slo.BucketMatchers
}

// said has the values of an SLO in files.
type said struct {
	at     yamlfile.Value
	fields fields
}

// shared are exclusions for all SLOs that match.
type shared struct {
	at         yamlfile.Value
	match      map[string]string
	exclusions []slo.Exclusion
}

// parse reads one file, with the files of defaults above it, the nearest first, and
// the bounds of files that were read.
func (l *loading) parse(in File, above []*defaults, b slo.BucketMatchers) *parsed {
	p := &parsed{in: in, file: yamlfile.Read(in.Name, in.Text), defaults: above, limits: l.limits, memo: &l.memo, said: map[*slo.SLO]said{}, bounds: b}
	documents := p.file.Documents()
	p.empty = len(documents) == 0
	for _, d := range documents {
		if len(above) > maxDefaults {
			d.Errorf("", "more than %d files of defaults are for this file", maxDefaults)
			break
		}
		p.document(d)
	}
	return p
}

// failed reports whether the file, or the defaults that it uses, have errors.
func (p *parsed) failed() bool {
	return p.file.HasErrors() || slices.ContainsFunc(p.defaults, func(d *defaults) bool { return d.file.HasErrors() })
}

// findings are those of the file.
func (p *parsed) findings() []yamlfile.Finding {
	all := p.file.Findings()
	if len(all) == 0 && p.empty {
		all = append(all, yamlfile.Finding{File: p.in.Name, Severity: yamlfile.Warning, Message: "the file is empty"})
	}
	for i := range all {
		all[i].Source = p.in.Source
	}
	return all
}

func (f File) origin() slo.Origin {
	return slo.Origin{Source: f.Source, Revision: f.Revision, File: f.Name, Backends: f.Backends, Came: f.Came}
}

// defaults are the values of a file for all SLOs of its directory and below.
type defaults struct {
	in   File
	file *yamlfile.File
	top  yamlfile.Map // owner, labels, links
	slo  yamlfile.Map // fields of an SLO
}

// readDefaults reads a file of defaults.
func (l *loading) readDefaults(in File) *defaults {
	f := yamlfile.Read(in.Name, in.Text)
	out := &defaults{in: in, file: f}
	for i, d := range f.Documents() {
		switch {
		case i > 0:
			d.Errorf("", "defaults are one document")
		case checkVersion(d, ""):
			out.top = d.Map(defaultsKeys...)
			out.slo = defaultFields(out.top)
			parseLabels(out.top.Get("labels"), l.limits)
			parseLinks(out.top.Get("links"), l.limits)
		}
	}
	return out
}

func defaultFields(top yamlfile.Map) yamlfile.Map {
	m := sloMap(top.Get("defaults"))
	if key := m.Key("name"); m.Has("name") {
		key.Errorf("each SLO needs a name of its own", "name can't have a default")
	}
	if m.Has("sli") && m.Has("worst_of") {
		m.Key("worst_of").Errorf("", "an SLO has sli or worst_of, not both")
	}
	return m
}

func (p *parsed) document(d yamlfile.Value) {
	switch kind := d.Map().Get("kind").Text(); {
	case !checkVersion(d, kind):
	case kind == "Exclusion":
		p.exclusion(d)
	default:
		p.service(d)
	}
}

// service reads the SLOs of a service.
func (p *parsed) service(d yamlfile.Value) {
	m := d.Map(fileKeys...)
	tops := fields{m}
	slos := fields{defaultFields(m)}
	for _, d := range p.defaults {
		tops = append(tops, d.top)
		slos = append(slos, d.slo)
	}
	parseLabels(m.Get("labels"), p.limits)
	parseLinks(m.Get("links"), p.limits)
	base := slo.SLO{
		Service: m.Require("service").Name("service"),
		About:   m.Get("description").Text(), Description: m.Get("description").Text(),
		Labels: p.merged(tops, "labels"),
		Links:  p.merged(tops, "links"),
		Owner:  label(tops.get("owner")),
		Origin: p.in.origin(),
	}
	list := m.Require("slos")
	values := list.List()
	if list.IsList() && len(values) == 0 {
		list.Warnf("", "slos is an empty list")
	}
	if most := p.limits.SLOsPerFile - len(p.slos); len(values) > most {
		values[most].Errorf(limitHint("slos_per_file")+"; make several files of it", "the file has more than %d SLOs", p.limits.SLOsPerFile)
		values = values[:most]
	}
	for _, v := range values {
		s := base
		s.Origin.Line, s.Origin.Column = v.Line(), v.Column()
		p.slo(v, slos, &s)
		p.slos = append(p.slos, &s)
	}
}

// merged is a mapping of texts of which the first that has a key gives it.
func (p *parsed) merged(tops fields, key string) map[string]string {
	out := map[string]string{}
	for _, top := range tops {
		v := top.Get(key)
		if v.Len() > p.limits.Labels { // which is an error
			continue
		}
		for k, text := range remembered(p.memo, memoKey{v, key, ""}, func() map[string]string { return labelTexts(v.Map()) }) {
			if _, has := out[k]; !has {
				out[k] = text
			}
		}
	}
	return out
}

// checkVersion looks at apiVersion before anything else, so that a file of
// another tool gives one finding and not twenty.
func checkVersion(d yamlfile.Value, kind string) bool {
	m := d.Map()
	if len(m.Entries) == 0 {
		return false
	}
	at := m.Get("apiVersion")
	if !at.Present() && m.Has("version") {
		at = m.Get("version") // Sloth's own format
	}
	version := at.Text()
	group, _, _ := strings.Cut(version, "/")
	switch tool, known := foreignAPI[group]; {
	case version == APIVersion:
		if kind != "" && kind != "SLO" && kind != "Exclusion" {
			m.Get("kind").Errorf("the kinds are SLO, which needs no kind, and Exclusion", "unknown kind %q", kind)
			return false
		}
		return true
	case known:
		at.Errorf("", "%s files are not supported yet", tool)
	case at.Present():
		at.Errorf("this program reads apiVersion: "+APIVersion, "unknown apiVersion %q", version)
	default:
		d.Errorf("begin the file with: apiVersion: "+APIVersion, "apiVersion is missing")
	}
	return false
}

// exclusion reads exclusions for all SLOs that match.
func (p *parsed) exclusion(d yamlfile.Value) {
	m := d.Map(exclusionKeys...)
	x := shared{at: d, match: map[string]string{}}
	if m.Has("match") {
		x.at = m.Key("match")
	}
	match := m.Get("match")
	within(match, "match", p.limits.Labels, "labels")
	for _, e := range match.Map().Entries {
		key := e.Key.Text()
		if !labelForm.MatchString(key) {
			e.Key.Errorf("", "%q is not a valid label name", key)
		}
		x.match[key] = e.Value.Text()
	}
	list := m.Require("exclude")
	x.exclusions = p.parseExclusions(list)
	if list.IsList() && list.Len() == 0 {
		list.Errorf("", "exclude is an empty list")
	}
	p.exclusions = append(p.exclusions, x)
}

func parseLabels(v yamlfile.Value, limits Limits) {
	if !within(v, "labels", limits.Labels, "labels") {
		return
	}
	for _, e := range v.Map().Entries {
		if checkLabel(e.Key, labelForm.MatchString) && (!e.Value.Present() || e.Value.IsScalar() && e.Value.Text() == "") {
			e.Key.Warnf("an empty label is no label", "label %s is empty", e.Key.Text())
		}
	}
}

// checkLabel reports whether people may use a label by this name, which must be valid.
func checkLabel(v yamlfile.Value, valid func(string) bool) bool {
	text := v.Text()
	hint, reserved := reservedLabels[slo.EscapedLabel(text)]
	switch {
	case reserved || strings.HasPrefix(text, "__"):
		v.Errorf(cmp.Or(hint, "slowburn or Prometheus sets it; choose another name"), "label %s is reserved", text)
	case !valid(text):
		v.Errorf("use letters, digits and _, the first not a digit", "%q is not a valid label name", text)
	default:
		return true
	}
	return false
}

func parseLinks(v yamlfile.Value, limits Limits) {
	if !within(v, "links", limits.Labels, "labels") {
		return
	}
	for _, e := range v.Map().Entries {
		e.Key.OneLine()
		url := label(e.Value)
		if url != "" && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
			e.Value.Warnf("", "link %s is not an http or https URL", e.Key.Text())
		}
	}
}

// alertVariable matches variables that only the templates of Prometheus have.
var alertVariable = regexp.MustCompile(`\$(labels|value|externalLabels)\b`)

// alertVariableHint has the fields that templates have instead.
const alertVariableHint = "there are fields such as {{.Bad}}, {{.BadShare}}, {{.BurnRate}}, {{.Service}}, {{.SLO}}, {{.Labels.tier}} and, of a group, {{.Group.tenant}}"

// checkSLOLabels reports labels of an SLO, which are those of its alerts in other
// tools.
func checkSLOLabels(own yamlfile.Map) {
	if !own.Has("labels") {
		return
	}
	hint := "labels of alerts are below alerting: {labels: ...}; those of the file are above slos"
	for _, e := range own.Get("labels").Map().Entries {
		if e.Key.Text() == "severity" {
			hint = "the severity follows from the alert, page or ticket; write alerting: {severities: {page: " + e.Value.Text() + "}} to call it so"
		}
	}
	own.Key("labels").Errorf(hint, "an SLO has no labels of its own")
}

//go:embed schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of SLO files of every kind, for
// editors. It checks all that needs neither other files nor reading queries.
func Schema() string { return schema }
