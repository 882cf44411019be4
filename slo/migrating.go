package slo

import (
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// What people bring along from other tools gets the hint that says how slowburn
// writes it.

// foreignRange is what stands for a range in queries of others: {{.window}} in
// Sloth's files, and the variables of Grafana.
var foreignRange = regexp.MustCompile(`\{\{-?\s*\.window\s*-?\}\}|\$\{?(__rate_interval|__interval|__range|interval)(:\w+)?\}?`)

// reportForeign reports what stands for a range in other tools. It reports false
// where there is none.
func reportForeign(v yamlfile.Value, text string) bool {
	found := foreignRange.FindAllStringIndex(text, -1)
	for _, at := range found {
		whose := "Grafana fills in "
		if text[at[0]] == '{' {
			whose = "Sloth fills in "
		}
		v.ErrorInside(at[0], at[1], "write [$window] where events are counted, and a range such as [5m] elsewhere", whose+text[at[0]:at[1]])
	}
	return len(found) > 0
}

// dashboardVariable is a variable of Grafana in the text of a label.
var dashboardVariable = regexp.MustCompile(`^\$\w+$|\$\{\w+(:\w+)?\}`)

// alertVariable is what only the alerts of Prometheus know in a template.
var alertVariable = regexp.MustCompile(`\$(labels|value|externalLabels)\b`)

// alertVariableHint says what templates have instead.
const alertVariableHint = "there are fields such as {{.Bad}}, {{.BadShare}}, {{.BurnRate}}, {{.Service}}, {{.SLO}}, {{.Labels.tier}} and, of a group, {{.Group.tenant}}"

// histogramIn is the name of the only histogram that an expression reads, as
// latency wants it; "" where there are none or several.
func histogramIn(e parser.Expr) string {
	name, several := "", false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			selector := NewSelector(s.LabelMatchers...)
			of := histogramSuffix.ReplaceAllString(selector.Name(), "")
			text := strings.Replace(selector.String(), selector.Name(), of, 1)
			several = several || name != "" && name != text
			name = text
		}
		return nil
	})
	if several {
		return ""
	}
	return name
}

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
