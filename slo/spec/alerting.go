package spec

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

var alertingKeys = []string{"policy", "name", "labels", "annotations", "severities", "page", "ticket", "no_data"}

// alertNameForm matches the alertnames that need no quotes anywhere.
var alertNameForm = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]*$`)

// below are the mappings of a key, of all that have it. Unlike other fields, what
// is in them has its own nearest value.
func (f fields) below(key string, known ...string) fields {
	var out fields
	for _, m := range f {
		if m.Has(key) {
			out = append(out, m.Get(key).Map(known...))
		}
	}
	if len(out) == 0 {
		return fields{{}}
	}
	return out
}

// parseAlerting reads how an SLO alerts.
func (p *parsed) parseAlerting(f fields, s *slo.SLO) slo.Alerting {
	of := f.below("alerting", alertingKeys...)
	annotations := of.get("annotations")
	a := slo.Alerting{
		Policy:      of.get("policy").Name("policy"),
		Labels:      p.alertLabels(of.get("labels"), s),
		Annotations: remembered(p.memo, memoKey{annotations, "annotations", ""}, func() map[string]string { return parseAnnotations(annotations, p.limits) }),
		Page:        p.parseAlertSeverity(of.get("page"), s),
		Ticket:      p.parseAlertSeverity(of.get("ticket"), s),
		NoData:      parseNoDataAlert(of.get("no_data")),
	}
	if v := of.get("name"); v.Present() {
		if slices.Contains(slo.MetaAlerts, v.Text()) {
			v.Errorf("choose another name", "%s is an alert about data or budget already", v.Text())
		}
		if a.Name = unless(slo.DefaultAlertName, v.Text()); v.IsScalar() && !alertNameForm.MatchString(v.Text()) {
			v.Errorf("use letters, digits, _ and -, the first a letter or _", "%q is not a valid alertname", v.Text())
		}
	}
	parseSeverities(of.get("severities"), &a)
	if severity := a.NoData.SeverityName(); of.get("no_data").Present() && a.Severity(severity).Disabled {
		of.get("no_data").Warnf("choose the other severity, or leave no_data out", "SLONoData never fires, for its severity %s is disabled", severity)
	}
	return a
}

// parseNoDataAlert reads the alert for missing data.
func parseNoDataAlert(v yamlfile.Value) slo.NoData {
	m := v.Map("severity", "for")
	n := slo.NoData{Severity: unless(slo.Ticket, m.Get("severity").OneOf("severity", slo.Page, slo.Ticket))}
	if after := m.Get("for"); after.Present() {
		if n.For = parseDuration(after, "for", time.Minute); n.For == slo.DefaultNoDataFor {
			n.For = 0
		}
	}
	return n
}

// unless is text, or "" where it is the default.
func unless(usual, text string) string {
	if text == usual {
		return ""
	}
	return text
}

// parseSeverities reads what the severities are called in the label severity.
func parseSeverities(v yamlfile.Value, a *slo.Alerting) {
	m := v.Map("page", "ticket")
	for _, e := range []struct {
		name string
		into *slo.AlertSeverity
	}{{"page", &a.Page}, {"ticket", &a.Ticket}} {
		at := m.Get(e.name)
		at.Filled("severity "+e.name, "")
		e.into.Label = unless(e.name, label(at))
	}
	if label := a.Severity(slo.Page).Label; label == a.Severity(slo.Ticket).Label {
		v.Errorf("alerts are told apart by it; to have no tickets write ticket: {disabled: true}", "pages and tickets both have the severity %q", label)
	}
}

func (p *parsed) parseAlertSeverity(v yamlfile.Value, s *slo.SLO) slo.AlertSeverity {
	m := v.Map("disabled", "labels")
	return slo.AlertSeverity{Disabled: m.Get("disabled").Bool(), Labels: p.alertLabels(m.Get("labels"), s)}
}

// alertLabels are labels for alerts; nil for none.
func (p *parsed) alertLabels(v yamlfile.Value, s *slo.SLO) map[string]string {
	by := groupedBy(s)
	return remembered(p.memo, memoKey{v, "alert labels", strings.Join(by, "\n")}, func() map[string]string {
		parseLabels(v, p.limits)
		if v.Len() == 0 || v.Len() > p.limits.Labels {
			v.Map()
			return nil
		}
		m := v.Map()
		for _, e := range m.Entries {
			if slices.ContainsFunc(by, func(label string) bool { return slo.EscapedLabel(label) == e.Key.Text() }) {
				e.Key.Errorf("one of them needs another name", "label %s is one of group_by already", e.Key.Text())
			}
		}
		return labelTexts(m)
	})
}
