package slo

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

var promQL = parser.NewParser(parser.Options{})

// indicators are the parsers of the kinds of indicators, by their key.
var indicators = map[string]func(yamlfile.Value) Indicator{
	"events":  parseEvents,
	"latency": parseLatency,
}

func parseIndicator(v yamlfile.Value) Indicator {
	m := v.MapLater(laterSLIs, sliKeys...)
	if v.Present() && len(m.Entries) == 0 && v.IsMap() {
		v.Errorf("", "sli needs one of: %s", strings.Join(sliKeys, ", "))
	}
	if len(m.Entries) > 1 {
		m.Entries[1].Key.Errorf("make two SLOs of it", "sli has exactly one indicator, found %s and %s",
			m.Entries[0].Key.Text(), m.Entries[1].Key.Text())
	}
	for _, key := range sliKeys {
		if m.Has(key) {
			return indicators[key](m.Get(key))
		}
	}
	return nil
}

func parseEvents(v yamlfile.Value) Indicator {
	m := v.Map("good", "bad", "total")
	selectors := map[string]Selector{}
	var c Counters
	for key, counter := range map[string]*Counter{"good": &c.Good, "bad": &c.Bad, "total": &c.Total} {
		if s := parseCounter(m.Get(key)); !s.IsZero() {
			selectors[key], *counter = s, NewCounter(s)
		}
	}
	if n := len(m.Entries); v.IsMap() && n != 2 {
		hint := ""
		if n == 3 {
			hint = "leave one out; slowburn derives it from the others"
		}
		v.Errorf(hint, "events needs two of good, bad and total, found %s", counted(m))
	}
	for _, pair := range [][2]string{{"good", "bad"}, {"bad", "total"}, {"good", "total"}} {
		a, b := selectors[pair[0]], selectors[pair[1]]
		if !a.IsZero() && !b.IsZero() && a.String() == b.String() {
			m.Get(pair[1]).Errorf(`one should select a part, such as code=~"5.."`, "%s and %s select the same series", pair[0], pair[1])
		}
	}
	return Events{c}
}

func counted(m yamlfile.Map) string {
	keys := make([]string, len(m.Entries))
	for i, e := range m.Entries {
		keys[i] = e.Key.Text()
	}
	switch len(keys) {
	case 0:
		return "none"
	case 1:
		return "only " + keys[0]
	}
	return "all three"
}

// counterName is what counters are called by convention; anything else is
// probably a gauge, whose increments mean nothing.
var counterName = regexp.MustCompile(`_(total|count|sum|bucket|created)$`)

func parseCounter(v yamlfile.Value) Selector {
	s := parseSelector(v)
	if n := s.Name(); n != "" && !counterName.MatchString(n) {
		v.Warnf("names of counters end in _total or _count", "%s does not look like a counter", n)
	}
	return s
}

// histogramSuffix is what the names of a classic histogram's series end in.
var histogramSuffix = regexp.MustCompile(`_(bucket|count|sum)$`)

func parseLatency(v yamlfile.Value) Indicator {
	m := v.Map("histogram", "threshold")
	h := m.Require("histogram")
	threshold := parseThreshold(m.Require("threshold"))
	l := Latency{Histogram: parseSelector(h), Threshold: threshold.Seconds(), Text: threshold.String()}
	if l.Histogram.IsZero() {
		return l
	}
	name := l.Histogram.Name()
	base := histogramSuffix.ReplaceAllString(name, "")
	switch {
	case name == "":
		h.Errorf("", "histogram needs a metric name")
	case base != name:
		h.Errorf("write "+base, "histogram is the name without _bucket, _count or _sum, found %s", name)
	}
	for _, matcher := range l.Histogram.Matchers() {
		if matcher.Name == labels.BucketLabel {
			h.Errorf("leave le away; the threshold chooses the bucket", "histogram must not select by le")
		}
	}
	return l
}

func parseThreshold(v yamlfile.Value) time.Duration {
	text := v.Text()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		var m model.Duration
		m, err = model.ParseDuration(text)
		d = time.Duration(m)
	}
	if err != nil || d <= 0 {
		v.Errorf("write a duration such as 300ms or 1.5s", "threshold %q is not a positive duration", text)
		return 0
	}
	return d
}

// parseSelector reads a bare selector. All that is wrong with it is reported
// at its place inside the query.
func parseSelector(v yamlfile.Value) Selector {
	text := v.Text()
	if strings.TrimSpace(text) == "" {
		if v.IsScalar() {
			v.Errorf("", "the query is empty")
		}
		return Selector{}
	}
	if at := strings.Index(text, "$window"); at >= 0 {
		v.ErrorInside(at, at+len("$window"), "write the counter itself; slowburn adds the window",
			"expressions over $window are not supported yet")
		return Selector{}
	}
	expr, err := promQL.ParseExpr(text)
	if err != nil {
		reportParse(v, err)
		return Selector{}
	}
	selector, ok := unwrapped(expr).(*parser.VectorSelector)
	if !ok {
		r := expr.PositionRange()
		v.ErrorInside(int(r.Start), int(r.End), "write the counter itself"+counterIn(expr),
			fmt.Sprintf("expected a selector of a counter, found %s", describe(expr)))
		return Selector{}
	}
	if selector.OriginalOffset != 0 || selector.Timestamp != nil || selector.StartOrEnd != 0 {
		v.ErrorInside(int(selector.PosRange.Start), int(selector.PosRange.End), "slowburn chooses the time", "a counter can't have offset or @")
	}
	checkMatchers(v, selector)
	return NewSelector(selector.LabelMatchers...)
}

func reportParse(v yamlfile.Value, err error) {
	var all parser.ParseErrors
	if !errors.As(err, &all) {
		v.Errorf("", "PromQL: %s", err)
		return
	}
	for _, e := range all {
		start := min(int(e.PositionRange.Start), len(v.Text()))
		v.ErrorInside(start, max(start, int(e.PositionRange.End)), "", "PromQL: "+e.Err.Error())
	}
}

// counterIn is the end of a hint: the only selector in an expression, or an
// example.
func counterIn(e parser.Expr) string {
	found := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			found[NewSelector(s.LabelMatchers...).String()] = true
		}
		return nil
	})
	for text := range found {
		if len(found) == 1 {
			return ": " + text
		}
	}
	return `, such as http_requests_total{job="shop"}`
}

func unwrapped(e parser.Expr) parser.Expr {
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = paren.Expr
	}
}

func describe(e parser.Expr) string {
	switch e := unwrapped(e).(type) {
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
		equal := m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual
		switch {
		case m.Name == model.MetricNameLabel && m.Type != labels.MatchEqual && m.Matches("anything"):
			v.WarnInside(start, end, "name the metric", "the selector matches series of any name")
		case m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && !validMetricName(m.Value):
			v.WarnInside(start, end, "", fmt.Sprintf("%q is no classic metric name; older backends don't know it", m.Value))
		case equal && m.Name != model.MetricNameLabel && patternLike.MatchString(m.Value):
			v.WarnInside(start, end, fmt.Sprintf("did you mean %s=~%q?", m.Name, m.Value),
				fmt.Sprintf("%s compares with the text %q, not with a pattern", m.Name, m.Value))
		}
	}
	if s.Name == "" && !hasNameMatcher(s) {
		v.WarnInside(start, end, "name the metric", "the selector matches series of any name")
	}
}

func hasNameMatcher(s *parser.VectorSelector) bool {
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			return true
		}
	}
	return false
}
