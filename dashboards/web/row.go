package web

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/chart"
	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// listRow is an SLO as the list and the head of its own page show it.
type listRow struct {
	*evaluator.Status
	Kind      string // how it is painted: page, ticket, spent, burning, unknown, doubt, idle, fine
	Mark      string // how its badge is painted: by the worst of a whole and its groups
	Icon      string
	Badge     string
	Since     *humanize.Moment // of the alert or the state in the badge
	Name      string           // the id without the service
	Href      string
	State     string // of the data, "" when it is fine
	Reason    string // of the state
	Objective string
	SLI       string
	Over      string // "30d" or "this month so far"
	Remaining string
	Meaning   string // "overspent" or "left"
	Bar       chart.Bar
	Burns     []burn
	Ends      string
	EndsTitle string
	Spark     chart.Sparkline
	Estimated bool       // the numbers are not exact
	Known     string     // of its window, "" when nearly all of it is
	Group     string     // the labels of a group, below its whole
	Fold      *groupList // the groups of a whole
}

// burn is a burn rate in the list.
type burn struct {
	Window, Text string
	Hot          bool   // above 1
	Firing       string // the severity of the alert that fires by this window, "" for none
}

func (s *server) listRow(st *evaluator.Status, now time.Time) listRow {
	name := strings.TrimPrefix(st.ID, st.Service+"/")
	r := listRow{
		Status:    st,
		Name:      name,
		Href:      s.prefix + st.Path(),
		Objective: humanize.Objective(st.Objective) + humanize.Space + "%",
		SLI:       humanize.SLI(st.Own().SLI, st.Objective),
		Over:      overText(st),
		Remaining: humanize.Percent(st.Budget.Remaining),
		Meaning:   "left",
		Burns:     burns(st),
		Estimated: !st.Exact && st.Own().SLI != nil,
		Known:     summary.Known(st),
	}
	if summary.IsOverspent(st) {
		r.Meaning = "overspent"
	}
	r.Kind, r.Icon, r.Badge = s.kindOf(st)
	r.Mark = r.Kind
	if a := shownAlert(st, r.Kind); a != nil {
		r.Since = humanize.NewMoment(&a.Since, now)
	}
	if st.State != evaluator.StateOK {
		r.State, r.Reason = stateName(st.State), st.StateReason
		if r.Badge == r.State {
			r.Since = humanize.NewMoment(st.StateSince, now)
		}
	}
	r.Bar = chart.NewBar(st)
	r.Ends, r.EndsTitle = summary.Lasts(&st.Budget), endsTitle(&st.Budget)
	r.Spark = chart.NewSparkline(st)
	return r
}

// overText returns the time of an SLO's numbers.
func overText(st *evaluator.Status) string {
	if st.Budget.PeriodEnd == nil {
		return st.Window
	}
	return "this " + st.Window + " so far"
}

// shownAlert returns the alert that a badge is about, nil without one.
func shownAlert(st *evaluator.Status, kind string) *evaluator.FiringAlert {
	i := slices.IndexFunc(st.Alerts, func(a evaluator.FiringAlert) bool {
		switch kind {
		case "page":
			return a.Severity == slo.Page
		case "spent":
			return a.Name == slo.ExhaustedAlert
		}
		return kind == "ticket"
	})
	if i < 0 {
		return nil
	}
	return &st.Alerts[i]
}

// kindOf returns the most important fact about an SLO: how it is painted, and a sign and a
// word that mean the same without colour.
func (s *server) kindOf(st *evaluator.Status) (kind, icon, badge string) {
	condition := s.order().Condition(st)
	switch {
	case condition == summary.Page:
		return "page", "▲", "Page"
	case condition == summary.Spent && !summary.IsUnknown(st):
		if summary.IsOverspent(st) {
			return "spent", "▼", "Overspent"
		}
		return "spent", "▼", "Spent"
	case len(st.Alerts) > 0:
		return "ticket", "◆", "Ticket"
	case summary.IsUnknown(st):
		return "unknown", "?", stateName(st.State)
	case condition == summary.Burning:
		return "burning", "△", burningBadge(*s.order().Nearest(st))
	case condition == summary.Doubtful:
		return "doubt", "±", stateName(st.State)
	case st.State == evaluator.StateNoTraffic:
		return "idle", "○", stateName(st.State)
	}
	return "fine", "✓", "OK"
}

// stateName returns a state of the data as a heading, such as "No data".
func stateName(s evaluator.State) string {
	words := summary.Words(s)
	return strings.ToUpper(words[:min(1, len(words))]) + words[min(1, len(words)):]
}

// endsTitle returns the basis of the time that a budget lasts.
func endsTitle(b *evaluator.Budget) string {
	basis := "at the burn rate so far"
	if b.Basis != "" {
		basis = "at the burn rate of the last " + b.Basis
	}
	span := "window"
	if b.PeriodEnd != nil {
		span = "period"
	}
	switch {
	case b.Remaining != nil && *b.Remaining <= 0:
		return "nothing of the budget is left"
	case b.Remaining == nil:
		return "unknown"
	case b.ExhaustedInSeconds == nil:
		return "the whole " + span + ", " + basis
	}
	return basis
}

// burns returns the burn rates over the long windows of the alert tiers, which are at least a
// 720th, a 120th, a 30th and a tenth of the SLO's window. The short windows are on the SLO's
// own page.
func burns(st *evaluator.Status) []burn {
	if len(st.Windows) == 0 {
		return nil
	}
	policy := slices.SortedFunc(slices.Values(st.Windows[:len(st.Windows)-1]),
		func(a, b evaluator.WindowStatus) int { return cmp.Compare(a.Seconds, b.Seconds) })
	whole := st.Own().Seconds
	if st.Spec != nil && !st.Spec.Window.IsRolling() {
		whole = int64(st.Spec.Window.Length.Duration() / time.Second)
	}
	var out []burn
	for _, part := range []int64{720, 120, 30, 10} {
		for _, w := range policy {
			if w.Seconds < whole/part {
				continue
			}
			if len(out) == 0 || out[len(out)-1].Window != w.Name {
				out = append(out, newBurn(st, w))
			}
			break
		}
	}
	return out
}

func newBurn(st *evaluator.Status, w evaluator.WindowStatus) burn {
	b := burn{Window: w.Name, Text: humanize.BurnRate(w.BurnRate), Hot: w.BurnRate != nil && *w.BurnRate > 1}
	for _, a := range st.Alerts {
		if b.Firing != slo.Page && slices.Contains(a.Windows, w.Name) {
			b.Firing = slo.Ticket
			if a.Severity == slo.Page {
				b.Firing = slo.Page
			}
		}
	}
	return b
}

// jsonNumber returns a number as in JSON, "" when it is undefined.
func jsonNumber(v *float64) string {
	if v == nil {
		return ""
	}
	format := byte('f')
	if a := math.Abs(*v); a != 0 && (a < 1e-6 || a >= 1e21) { // as encoding/json
		format = 'e'
	}
	return strconv.FormatFloat(*v, format, -1, 64)
}

// dataAttrs returns an SLO's numbers for tests and scripts, as in the JSON API. An undefined
// number is empty.
func dataAttrs(st *evaluator.Status) template.HTMLAttr {
	var b strings.Builder
	add := func(name, value string) {
		b.WriteString(` data-` + name + `="` + template.HTMLEscapeString(value) + `"`)
	}
	own := st.Own()
	add("slo-id", st.ID)
	add("state", string(st.State))
	add("objective", jsonNumber(&st.Objective))
	add("sli", jsonNumber(own.SLI))
	add("total", jsonNumber(&own.Total))
	add("bad", jsonNumber(&own.Bad))
	add("coverage", jsonNumber(&own.Coverage))
	add("allowed", jsonNumber(st.Budget.Allowed))
	add("consumed", jsonNumber(st.Budget.Consumed))
	add("remaining", jsonNumber(st.Budget.Remaining))
	add("exhausted-in-seconds", jsonNumber(st.Budget.ExhaustedInSeconds))
	for _, w := range st.Windows {
		if strings.Trim(w.Name, "0123456789abcdefghijklmnopqrstuvwxyz") == "" { // it may be part of an attribute's name
			add("burn-"+w.Name, jsonNumber(w.BurnRate))
		}
	}
	return template.HTMLAttr(b.String()) // #nosec G203 -- values are escaped, names are constants and checked
}
