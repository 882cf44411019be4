package expr

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
)

// withTemplate begins templates of MetricsQL, which its parser writes out: a few
// lines of them can be more than any memory holds.
var withTemplate = regexp.MustCompile(`(?i)\bwith\s*\(`)

// templates are functions that it writes out, twice as long at each use. A few
// do no harm.
var templates = regexp.MustCompile(`(?i)\b(ru|ttf|range_median|alias)\s*\(`)

const maxTemplates = 4

// parseMetricsQL reads the text as MetricsQL and reports whether it is that.
func (q *query) parseMetricsQL() bool {
	if withTemplate.MatchString(q.text) || len(templates.FindAllStringIndex(q.text, maxTemplates+1)) > maxTemplates {
		return false
	}
	for _, at := range q.variable {
		before := strings.TrimRight(q.text[:at], " \t\r\n")
		after := strings.TrimLeft(q.text[at+len(WindowVariable):], " \t\r\n")
		if !strings.HasSuffix(before, "[") || !strings.HasPrefix(after, "]") && !strings.HasPrefix(after, ":") {
			return false
		}
	}
	e, err := metricsql.Parse(strings.ReplaceAll(q.text, WindowVariable, q.standIn))
	if err != nil {
		return false
	}
	q.metrics = e
	return true
}

// rollups calls f for each function over a range, and with what is its range,
// "" when it has none.
func (q *query) rollups(f func(call *metricsql.FuncExpr, window string)) {
	metricsql.VisitAll(q.metrics, func(e metricsql.Expr) {
		call, ok := e.(*metricsql.FuncExpr)
		if !ok {
			return
		}
		if at := metricsql.GetRollupArgIdx(call); at >= 0 && at < len(call.Args) {
			window := ""
			if r, ok := call.Args[at].(*metricsql.RollupExpr); ok && r.Window != nil {
				window = string(r.Window.AppendString(nil))
			}
			f(call, window)
		}
	})
}

// rangesWritten reports as an error each function over a range that is not
// written: what MetricsQL takes for it depends on who asks.
func (q *query) rangesWritten(example string) bool {
	ok := true
	q.rollups(func(call *metricsql.FuncExpr, window string) {
		name := strings.ToLower(call.Name)
		if window != "" || strings.HasPrefix(name, "timestamp") || name == "default_rollup" {
			return
		}
		ok = false
		q.at.ErrorInside(q.place(call.Name), q.place(call.Name)+len(call.Name), fmt.Sprintf("write %s(x%s)", call.Name, example),
			fmt.Sprintf("%s() is without a range", call.Name))
	})
	return ok
}

// place is where a function stands in the text, as far as that is known: the
// parser of MetricsQL keeps no positions.
func (q *query) place(name string) int {
	at := regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(name) + `\s*\(`).FindStringIndex(q.text)
	if at == nil {
		return 0
	}
	return at[0]
}
