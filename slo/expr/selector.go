package expr

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// ParseSelector reads a bare selector of what is named in findings.
func ParseSelector(v yamlfile.Value, what string) slo.Selector {
	q := parseQuery(v)
	switch {
	case q == nil:
		return slo.Selector{}
	case q.expr == nil:
		q.reportParse(q.refusal)
		return slo.Selector{}
	}
	s, selector := q.selector(what)
	if selector != nil {
		checkMatchers(v, selector)
	}
	return s
}

// selector is the query as a bare selector, or nothing after an error.
func (q *query) selector(what string) (slo.Selector, *parser.VectorSelector) {
	s, ok := Unwrap(q.expr).(*parser.VectorSelector)
	if !ok {
		hint := "write the " + what + " itself"
		if what == "histogram" && histogramIn(q.expr) != "" {
			hint += ", and leave the rest to slowburn: " + histogramIn(q.expr)
		}
		if what == "counter" {
			hint += counterIn(q.expr) + "; or the expression with [$window] for its range"
		}
		q.reportAt(q.expr.PositionRange(), hint, fmt.Sprintf("expected a selector of a %s, found %s", what, describe(q.expr)))
		return slo.Selector{}, nil
	}
	if moved(s) {
		q.reportAt(s.PosRange, "slowburn chooses the time", "a "+what+" can't have offset or @")
	}
	return slo.NewSelector(s.LabelMatchers...), s
}

func (q *query) reportAt(r posrange.PositionRange, hint, message string) {
	q.at.ErrorInside(int(r.Start), int(r.End), hint, message)
}

func (q *query) reportWarning(r posrange.PositionRange, hint, message string) {
	q.at.WarnInside(int(r.Start), int(r.End), hint, message)
}

// selectorsIn are the selectors of an expression by their texts.
func selectorsIn(e parser.Expr) map[string]slo.Selector {
	found := map[string]slo.Selector{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			selector := slo.NewSelector(s.LabelMatchers...)
			found[selector.String()] = selector
		}
		return nil
	})
	return found
}

// counterIn is the end of a hint: the only selector in an expression, or an
// example.
func counterIn(e parser.Expr) string {
	found := selectorsIn(e)
	for text := range found {
		if len(found) == 1 {
			return ": " + text
		}
	}
	return `, such as http_requests_total{job="shop"}`
}

// Unwrap returns an expression without its parentheses.
func Unwrap(e parser.Expr) parser.Expr {
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = paren.Expr
	}
}

func describe(e parser.Expr) string {
	switch e := Unwrap(e).(type) {
	case *parser.Call:
		return "a call of " + e.Func.Name + "()"
	case *parser.AggregateExpr:
		return "an aggregation by " + e.Op.String() + "()"
	case *parser.MatrixSelector:
		return "a selector over a range"
	case *parser.BinaryExpr:
		return "an expression with " + e.Op.String()
	}
	return "another expression"
}

// patternLike is text that was probably meant as a regular expression.
var patternLike = regexp.MustCompile(`\.[*+.]|\|`)

func checkMatchers(v yamlfile.Value, s *parser.VectorSelector) {
	start, end := int(s.PosRange.Start), int(s.PosRange.End)
	for _, m := range s.LabelMatchers {
		if m.Type == labels.MatchRegexp && repeatedDigit.MatchString(m.Value) {
			digit := m.Value[:1]
			v.WarnInside(start, end, fmt.Sprintf("did you mean %s=~%q?", m.Name, digit+".."),
				fmt.Sprintf(`%s matches "", %q and %q, and not "%s00"`, m, digit, digit+digit, digit))
		}
		equal := m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual
		switch {
		case m.Name == model.MetricNameLabel && m.Type != labels.MatchEqual && m.Matches("anything"):
			v.WarnInside(start, end, "name the metric", "the selector matches series of any name")
		case dashboardVariable.MatchString(m.Value):
			v.WarnInside(start, end, "remove it, or write the value", m.String()+" is not filled in: variables are of dashboards only")
		case equal && m.Name != model.MetricNameLabel && patternLike.MatchString(m.Value):
			v.WarnInside(start, end, fmt.Sprintf("did you mean %s=~%q?", m.Name, m.Value),
				fmt.Sprintf("%s compares with the text %q, not with a pattern", m.Name, m.Value))
		}
	}
	isName := func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel }
	if s.Name == "" && !slices.ContainsFunc(s.LabelMatchers, isName) {
		v.WarnInside(start, end, "name the metric", "the selector matches series of any name")
	}
}

// Syntax of other tools gets a hint with that of slowburn.

// foreignRange matches placeholders for a range in queries of others: {{.window}} in
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
	names := map[string]bool{}
	only := ""
	for text, selector := range selectorsIn(e) {
		only = strings.Replace(text, selector.Name(), HistogramSuffix.ReplaceAllString(selector.Name(), ""), 1)
		names[only] = true
	}
	if len(names) > 1 {
		return ""
	}
	return only
}
