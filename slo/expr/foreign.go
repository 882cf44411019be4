package expr

import (
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
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

// histogramIn is the name of the only histogram that an expression reads, as
// latency wants it; "" where there are none or several.
func histogramIn(e parser.Expr) string {
	name, several := "", false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			selector := slo.NewSelector(s.LabelMatchers...)
			of := HistogramSuffix.ReplaceAllString(selector.Name(), "")
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
