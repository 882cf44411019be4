// Package expr reads the PromQL and MetricsQL of SLO files: selectors, expressions over
// $window, and numbers of events that are sums of counters. It finds which counters an
// expression is a linear form of, so that its events can be counted one by one, and points
// into the user's file where it can't be read.
package expr

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// PromQL parses expressions without what is experimental.
var PromQL = parser.NewParser(parser.Options{})

// WindowVariable stands for the range that slowburn chooses.
const WindowVariable = "$window"

// rateWindow is the range of what is evaluated for each slot.
const rateWindow = slo.Window(2 * time.Minute)

// maxQuery bounds a query in bytes. It is the limit of VictoriaMetrics, and the
// parsers need time by the square of it.
const maxQuery = yamlfile.MaxText

// query is an expression of a file.
type query struct {
	at       yamlfile.Value
	text     string
	expr     parser.Expr          // nil when only MetricsQL has it
	metrics  metricsql.Expr       // then
	refusal  error                // then: what PromQL has against it
	standIn  string               // a duration as long as $window, in its place
	ranges   map[parser.Node]bool // the nodes whose range is $window
	variable []int                // where $window stands in the text
	kind     string               // the type of the numbers in the file; "" for none
}

// parseQuery reads an expression. All that is wrong with it is reported at its
// place, and gives nil.
func parseQuery(v yamlfile.Value) *query {
	text := v.Text()
	if strings.TrimSpace(text) == "" {
		if v.IsScalar() {
			v.Errorf("", "the query is empty")
		}
		return nil
	}
	if len(text) > maxQuery { // which is an error
		return nil
	}
	if reportForeign(v, text) {
		return nil
	}
	q := &query{at: v, text: text, ranges: map[parser.Node]bool{}}
	expr, err := PromQL.ParseExpr(q.masked())
	switch {
	case err == nil:
		q.expr = expr
		if !q.findWindows() {
			return nil
		}
	case q.parseMetricsQL():
		q.refusal = err
	default:
		q.reportParse(err)
		return nil
	}
	return q
}

// masked is the text with a duration of the same length for each $window, so
// that positions stay what they are.
func (q *query) masked() string {
	for at := 0; ; {
		next := strings.Index(q.text[at:], WindowVariable)
		if next < 0 {
			break
		}
		q.variable = append(q.variable, at+next)
		at += next + len(WindowVariable)
	}
	for n := 999983; ; n -= 2 { // a prime that nobody writes
		q.standIn = strconv.Itoa(n) + "s"
		if !strings.Contains(q.text, q.standIn[:len(q.standIn)-1]) {
			return strings.ReplaceAll(q.text, WindowVariable, q.standIn)
		}
	}
}

// inRange is the query with a real range for each $window, as the parser prints it.
func (q *query) inRange() string {
	if q.expr == nil { // only MetricsQL can read it
		return strings.TrimSpace(strings.ReplaceAll(q.text, WindowVariable, rateWindow.String()))
	}
	for n := range q.ranges {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			n.Range = time.Duration(rateWindow)
		case *parser.SubqueryExpr:
			n.Range = time.Duration(rateWindow)
		}
	}
	return q.expr.String()
}

// findWindows notes the ranges that are $window, and reports each $window that
// is none.
func (q *query) findWindows() bool {
	stands, _ := time.ParseDuration(q.standIn)
	found := map[int]bool{}
	note := func(n parser.Node, length time.Duration, from, to int) {
		if at := strings.Index(q.text[from:to], WindowVariable); at >= 0 && length == stands {
			found[from+at], q.ranges[n] = true, true
		}
	}
	parser.Inspect(q.expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			note(n, n.Range, int(n.VectorSelector.PositionRange().End), int(n.EndPos))
		case *parser.SubqueryExpr:
			note(n, n.Range, int(n.Expr.PositionRange().End), int(n.EndPos))
		}
		return nil
	})
	for _, at := range q.variable {
		if !found[at] {
			q.at.ErrorInside(at, at+len(WindowVariable), "write it as a range, as in rate(x[$window])", "$window is a range and stands in brackets only")
		}
	}
	return len(found) == len(q.variable)
}

// reportParse reports what PromQL has against the text.
func (q *query) reportParse(err error) {
	var all parser.ParseErrors
	switch at := withTemplate.FindStringIndex(q.text); {
	case at != nil:
		q.at.ErrorInside(at[0], at[0]+len("WITH"), "write out what it stands for", "templates of MetricsQL are not read")
		return
	case !errors.As(err, &all):
		q.at.Errorf("", "PromQL: %s", err)
		return
	}
	slices.SortStableFunc(all, func(a, b parser.ParseErr) int { return cmp.Compare(a.PositionRange.Start, b.PositionRange.Start) })
	for _, e := range all {
		start := min(int(e.PositionRange.Start), len(strings.TrimRight(q.text, " \t\n")))
		message := strings.ReplaceAll(e.Err.Error(), q.standIn, WindowVariable)
		q.at.ErrorInside(start, max(start, int(e.PositionRange.End)), "", "PromQL: "+message)
	}
}

// warnMetricsQL warns that the query is not PromQL.
func (q *query) warnMetricsQL() {
	var all parser.ParseErrors
	why := q.refusal.Error()
	if errors.As(q.refusal, &all) && len(all) > 0 {
		why = all[0].Err.Error()
	}
	q.at.Warnf("PromQL says: "+strings.ReplaceAll(why, q.standIn, WindowVariable), "only VictoriaMetrics answers this query")
}

// ParseValues reads an expression that gives values at an instant. The labels
// by are those that its result must keep.
func ParseValues(v yamlfile.Value, by []string) string {
	q := parseQuery(v)
	switch {
	case q == nil:
		return ""
	case len(q.variable) > 0:
		at := q.variable[0]
		v.ErrorInside(at, at+len(WindowVariable), "write a range such as 5m", "$window is for numbers of events only")
		return ""
	case q.expr == nil:
		if !q.rangesWritten("[5m]") {
			return ""
		}
		q.warnMetricsQL()
	default:
		if t := q.expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
			q.reportAt(q.expr.PositionRange(), "", "expected an expression that gives values, found "+parser.DocumentedType(t))
			return ""
		}
		q.keeps(q.expr, by)
		return q.expr.String()
	}
	return strings.TrimSpace(q.text)
}
