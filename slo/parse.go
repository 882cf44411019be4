package slo

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// APIVersion is the first line of every SLO file.
const APIVersion = "slowburn/v1"

// File is an SLO file to parse; Name is what findings call it.
type File struct {
	Name     string
	Text     []byte
	Source   string
	Revision string
	Backends []string
}

var (
	fileKeys   = []string{"apiVersion", "service", "description", "owner", "labels", "links", "defaults", "slos"}
	sloKeys    = []string{"name", "description", "objective", "sli", "window"}
	laterKeys  = []string{"worst_of", "budgeting", "slice", "group_by", "groups", "exclude", "objective_history", "backend", "on_no_data", "budget_policy", "alerting"}
	sliKeys    = []string{"events", "latency"}
	laterSLIs  = []string{"probe", "threshold", "freshness", "runs"}
	foreignAPI = map[string]string{"openslo": "OpenSLO", "sloth.slok.dev": "Sloth", "pyrra.dev": "Pyrra", "prometheus": "Sloth"}
)

// reservedLabels are labels that slowburn or scraping sets on the same series;
// owner and revision are slo_info's.
var reservedLabels = map[string]string{
	"owner":  "write owner: at the top of the file",
	"slo_id": "", "slo_service": "", "slo": "", "severity": "", "window": "", "state": "", "result": "",
	"source": "", "revision": "", "alertname": "", "job": "", "instance": "", "le": "", "quantile": "",
}

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	labelForm = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// parse reads one file: its SLOs, incomplete where there are errors, and all
// findings.
func parse(in File) ([]*SLO, []yamlfile.Finding) {
	f := yamlfile.Read(in.Name, in.Text)
	docs := f.Documents()
	slos := make([]*SLO, 0, len(docs))
	for _, d := range docs {
		slos = append(slos, parseDocument(d, in)...)
	}
	findings := f.Findings()
	if len(docs) == 0 && len(findings) == 0 {
		findings = append(findings, yamlfile.Finding{File: in.Name, Severity: yamlfile.Warning, Message: "the file is empty"})
	}
	for i := range findings {
		findings[i].Source = in.Source
	}
	return slos, findings
}

func parseDocument(d yamlfile.Value, in File) []*SLO {
	if !checkVersion(d) {
		return nil
	}
	m := d.Map(fileKeys...)
	base := SLO{
		Service:     name(m.Require("service"), "service"),
		Description: m.Get("description").Text(),
		Owner:       m.Get("owner").Text(),
		Labels:      parseLabels(m.Get("labels")),
		Links:       parseLinks(m.Get("links")),
		Origin:      Origin{Source: in.Source, Revision: in.Revision, File: in.Name, Backends: in.Backends},
	}
	defaults := sloMap(m.Get("defaults"))
	if key := defaults.Key("name"); defaults.Has("name") {
		key.Errorf("each SLO needs a name of its own", "name can't have a default")
	}
	list := m.Require("slos")
	values := list.List()
	if list.IsList() && len(values) == 0 {
		list.Warnf("", "slos is an empty list")
	}
	slos := make([]*SLO, 0, len(values))
	for _, v := range values {
		s := base
		s.Origin.Line, s.Origin.Column = v.Line(), v.Column()
		parseSLO(v, defaults, &s)
		slos = append(slos, &s)
	}
	return slos
}

// checkVersion looks at apiVersion before anything else, so that a file of
// another tool gives one finding and not twenty.
func checkVersion(d yamlfile.Value) bool {
	m := d.Map()
	if len(m.Entries) == 0 {
		return false
	}
	at := m.Get("apiVersion")
	version := at.Text()
	if !at.Present() && m.Has("version") {
		at = m.Get("version") // Sloth's own format
		version = at.Text()
	}
	group, _, _ := strings.Cut(version, "/")
	switch tool, known := foreignAPI[group]; {
	case version == APIVersion:
		if kind := m.Get("kind"); kind.Present() {
			m.Key("kind").Errorf("", "kind: %s is not supported yet", kind.Text())
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

// sloMap is a mapping with the keys of an SLO.
func sloMap(v yamlfile.Value) yamlfile.Map { return v.MapLater(laterKeys, sloKeys...) }

func parseSLO(v yamlfile.Value, defaults yamlfile.Map, s *SLO) {
	m := sloMap(v)
	if len(m.Entries) == 0 {
		if v.IsMap() || !v.Present() {
			v.Errorf("", "the SLO is empty")
		}
		return
	}
	field := func(key string) yamlfile.Value {
		if m.Has(key) || !defaults.Has(key) {
			return m.Get(key)
		}
		return defaults.Get(key)
	}
	required := func(key string) yamlfile.Value {
		if value := field(key); value.Present() {
			return value
		}
		return m.Require(key)
	}
	s.Name = name(m.Require("name"), "name")
	if d := field("description"); d.Present() {
		s.Description = d.Text()
	}
	s.Window = parseWindow(field("window"))
	s.Objective = parseObjective(required("objective"))
	if m.Has("sli") || !m.Has("worst_of") { // which has its error
		s.Indicator = parseIndicator(required("sli"))
	}
}

// DefaultWindow is the window of an SLO that names none.
const DefaultWindow = 30 * day

func parseWindow(v yamlfile.Value) Period {
	if !v.Present() {
		return Rolling(DefaultWindow)
	}
	if v.IsMap() {
		if v.Map("calendar", "timezone").Has("calendar") {
			v.Errorf("write a rolling window such as 30d", "calendar windows are not supported yet")
		} else {
			v.Errorf("write a duration such as 30d", "expected a duration, found a mapping")
		}
		return Rolling(DefaultWindow)
	}
	w, err := ParseWindow(v.Text())
	if err != nil {
		v.Errorf("a rolling window is a duration from 1h to 1y, such as 30d", "%s", err)
	}
	return Rolling(w)
}

func parseObjective(v yamlfile.Value) Objective {
	text := v.Number()
	if text == "" {
		return Objective{}
	}
	o, err := ParseObjective(text)
	switch {
	case err != nil && strings.HasSuffix(err.Error(), "decimals"):
		v.Errorf("99.999999999 allows 0.3 ms of full outage a year", "%s", err)
	case err != nil && strings.HasSuffix(err.Error(), "no error budget"):
		v.Errorf("an SLO needs room for failure; 99.99 allows 4 min 19 s of full outage in 30d", "%s", err)
	case err != nil:
		v.Errorf("write the percentage of good events, between 0 and 100, such as 99.9", "%s", err)
	case o.Ratio() < 0.01:
		v.Warnf("the objective is a percentage: 99.9, not 0.999", "objective %s is less than one percent", text)
	}
	return o
}

// name reads a name that becomes part of an slo_id.
func name(v yamlfile.Value, what string) string {
	text := v.Text()
	if text != "" && !nameForm.MatchString(text) {
		v.Errorf("use a-z, 0-9, - and _, at most 63 of them, the first a letter or a digit", "%s %q is not a valid name", what, text)
	} else if text == "" && v.Present() && v.IsScalar() {
		v.Errorf("", "%s is empty", what)
	}
	return text
}

func parseLabels(v yamlfile.Value) map[string]string {
	m := v.Map()
	for _, e := range m.Entries {
		key := e.Key.Text()
		hint, reserved := reservedLabels[key]
		switch {
		case reserved || strings.HasPrefix(key, "__"):
			e.Key.Errorf(cmp.Or(hint, "slowburn or Prometheus sets it; choose another name"), "label %s is reserved", key)
		case !labelForm.MatchString(key):
			e.Key.Errorf("use letters, digits and _, the first not a digit", "%q is not a valid label name", key)
		case !e.Value.Present() || e.Value.IsScalar() && e.Value.Text() == "":
			e.Key.Warnf("an empty label is no label", "label %s is empty", key)
		}
	}
	return m.Texts()
}

func parseLinks(v yamlfile.Value) map[string]string {
	m := v.Map()
	for _, e := range m.Entries {
		url := e.Value.Text()
		if url != "" && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
			e.Value.Warnf("", "link %s is not an http or https URL", e.Key.Text())
		}
	}
	return m.Texts()
}

// validMetricName reports whether a name can be selected without quotes.
func validMetricName(name string) bool { return model.LegacyValidation.IsValidMetricName(name) }
