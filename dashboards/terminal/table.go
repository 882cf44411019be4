package terminal

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Table writes a line for each SLO, the worst first.
func Table(w io.Writer, r *evaluator.Report, sc Screen) error {
	slos, notes := arrange(r)
	outages := summary.Outages(r)
	all := detail{bar: true, window: true, since: true, renewal: true, budget: true, objective: true}
	t := newTable(slos, r.EvaluatedAt, all)
	for _, leaveOut := range []*bool{&all.bar, &all.window, &all.since, &all.renewal, &all.budget, &all.objective} {
		if sc.Width == 0 || t.width() <= sc.Width {
			break
		}
		*leaveOut = false
		t = newTable(slos, r.EvaluatedAt, all)
	}
	if sc.Width > 0 {
		t.shortenNames(sc.Width)
	}
	for i, s := range slos {
		if outages[s.Backend].Explains(s) {
			t.notes[i] = "" // a note below the table has it
		}
	}
	for _, name := range slices.Sorted(maps.Keys(outages)) {
		notes = append(notes, outageLine(outages[name], r.EvaluatedAt))
	}
	var b strings.Builder
	if len(slos) == 0 {
		b.WriteString("no SLOs\n")
	} else {
		t.write(&b, slos, sc)
	}
	for _, n := range append(notes, legend(slos)...) {
		b.WriteString(sc.line(yellow, "  "+n))
	}
	fmt.Fprintf(&b, "\nat %s%s%s\n", humanize.Minute(r.EvaluatedAt), sourcesOf(r), methodsOf(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// sourcesOf returns the commits that the SLOs are from.
func sourcesOf(r *evaluator.Report) string {
	var out strings.Builder
	seen := map[[2]string]bool{}
	for _, s := range r.SLOs {
		commit := [2]string{s.Source, s.Revision}
		if s.Revision != "" && !seen[commit] {
			seen[commit] = true
			fmt.Fprintf(&out, ", %s at commit %.12s", s.Source, s.Revision)
		}
	}
	return out.String()
}

// products contains the names of kinds of backends.
var products = map[string]string{"prometheus": "Prometheus", "victoriametrics": "VictoriaMetrics", "thanos": "Thanos", "mimir": "Mimir"}

// methodsOf returns how and where the events were counted.
func methodsOf(r *evaluator.Report) string {
	var ways []string
	for _, s := range r.SLOs {
		for _, b := range r.Backends {
			if b.Name != s.Backend || s.State == evaluator.StateQueryFailed {
				continue
			}
			way := plain(strings.TrimSpace(summary.Source(s.Method) + " in " + cmp.Or(products[b.Kind], b.Kind) + " " + b.Version))
			if !slices.Contains(ways, way) {
				ways = append(ways, way)
			}
		}
	}
	if len(ways) == 0 {
		return ""
	}
	return ", counted from " + strings.Join(ways, " and ")
}

// markOf returns a row's first character and its colour.
func markOf(s *evaluator.Status) (mark string, c colour) {
	switch (summary.Order{}).Condition(s) {
	case summary.Page, summary.Spent:
		return "!", red
	case summary.Ticket:
		return "~", yellow
	case summary.Unknown:
		return "?", grey
	}
	return " ", noColour
}

// detail chooses the parts of a table for which a narrow screen has no room.
type detail struct{ bar, window, since, renewal, budget, objective bool }

// table contains columns of text. The note of a row comes after its last column, and may
// be cut.
type table struct {
	columns []column
	notes   []string
}

func newTable(slos []*evaluator.Status, now time.Time, d detail) *table {
	t := &table{}
	add := func(head string, right bool, cell func(*evaluator.Status) string) {
		c := column{head: head, right: right}
		for _, s := range slos {
			c.cells = append(c.cells, cell(s))
		}
		t.columns = append(t.columns, c)
	}
	add("SERVICE", false, func(s *evaluator.Status) string { return s.Service })
	add("SLO", false, nameOf)
	if d.objective {
		add("OBJECTIVE", true, func(s *evaluator.Status) string { return plain(humanize.Objective(s.Objective) + " %") })
	}
	window, oneWindow := common(slos, func(s *evaluator.Status) string { return s.Window })
	if oneWindow {
		window += " "
	} else if window = ""; d.window {
		add("WINDOW", true, func(s *evaluator.Status) string { return s.Window })
	}
	add(window+"SLI", true, func(s *evaluator.Status) string { return doubt(s) + plain(humanize.SLI(s.Own().SLI, s.Objective)) })
	left := "LEFT"
	if d.budget {
		left = "BUDGET LEFT"
	}
	add(left, true, func(s *evaluator.Status) string { return plain(humanize.Percent(s.Budget.Remaining)) })
	if d.bar {
		add("", false, func(s *evaluator.Status) string { return bar(s.Budget.Remaining) })
	}
	burnWindow, oneBurn := common(slos, func(s *evaluator.Status) string { return recent(s).Name })
	add(strings.TrimSpace("BURN "+burnWindow), true, func(s *evaluator.Status) string {
		rate := plain(humanize.BurnRate(recent(s).BurnRate))
		if oneBurn || !d.window || recent(s).BurnRate == nil {
			return rate
		}
		return rate + " (" + recent(s).Name + ")"
	})
	add("ENDS IN", false, func(s *evaluator.Status) string { return plain(summary.Lasts(&s.Budget)) })
	if d.renewal && slices.ContainsFunc(slos, func(s *evaluator.Status) bool { return s.Budget.PeriodEnd != nil }) {
		add("NEW BUDGET IN", false, func(s *evaluator.Status) string { return newBudgetIn(s, now) })
	}
	add("ALERTS", false, func(s *evaluator.Status) string { return events(s, now, d.since) })
	for _, s := range slos {
		t.notes = append(t.notes, note(s))
	}
	return t
}

// The marks before an SLI that readers should not take as it is.
const (
	markEstimated = "≈"
	markPartly    = "*"
	markDoubted   = "†"
)

// doubt returns the marks of an SLI.
func doubt(s *evaluator.Status) string {
	w, marks := s.Own(), ""
	if w.SLI == nil {
		return ""
	}
	if w.Coverage < summary.WellKnown {
		marks += markPartly
	}
	if !s.Exact {
		marks += markEstimated
	}
	if len(graveDoubts(s)) > 0 {
		marks += markDoubted
	}
	return marks
}

// graveDoubts returns the doubts for which there is no mark of their own.
func graveDoubts(s *evaluator.Status) []evaluator.Doubt {
	var out []evaluator.Doubt
	for _, d := range s.Doubts {
		if kept := s.Own().Coverage >= summary.WellKnown; d.Code != evaluator.DoubtEstimated && (d.Code != evaluator.DoubtPartlyKnown || kept) {
			out = append(out, d)
		}
	}
	return out
}

// legend explains the marks that rows have.
func legend(slos []*evaluator.Status) []string {
	var out []string
	for _, mark := range [][2]string{
		{markPartly, "less than 90 % of the window is known; the numbers cover that part only"},
		{markEstimated, "estimated, not counted exactly"},
		{markDoubted, "may be wrong:"},
	} {
		if slices.ContainsFunc(slos, func(s *evaluator.Status) bool { return strings.Contains(doubt(s), mark[0]) }) {
			out = append(out, mark[0]+" "+mark[1])
		}
	}
	for _, s := range slos {
		for _, d := range graveDoubts(s) {
			out = append(out, "  "+s.ID+": "+printable(d.Message))
		}
	}
	return out
}

// common returns the text that all SLOs have which have any, if it is the same.
func common(slos []*evaluator.Status, of func(*evaluator.Status) string) (string, bool) {
	same := ""
	for _, s := range slos {
		text := of(s)
		if same != "" && text != "" && text != same {
			return "", false
		}
		same = cmp.Or(same, text)
	}
	return same, same != ""
}

// width returns the width of the table without its notes.
func (t *table) width() int {
	w := 0
	for i := range t.columns {
		w += 2 + t.columns[i].width()
	}
	return w
}

func (t *table) write(b *strings.Builder, slos []*evaluator.Status, sc Screen) {
	head, rows := layOut(t.columns)
	b.WriteString(sc.line(noColour, " "+head))
	for n, s := range slos {
		mark, c := markOf(s)
		b.WriteString(sc.line(c, mark+rows[n]+t.notes[n]))
	}
}

// recent returns the shortest window of at least an hour. The SLO's own window is one,
// unless it is a calendar period that has just begun.
func recent(s *evaluator.Status) evaluator.WindowStatus {
	shortest := s.Own()
	for i, w := range s.Windows {
		if w.Seconds >= 3600 && (w.Seconds < shortest.Seconds || s.Budget.PeriodEnd != nil && shortest == s.Own()) && i < len(s.Windows)-1 {
			shortest = w
		}
	}
	return shortest
}

// events returns the alerts that fire and the state of the data.
func events(s *evaluator.Status, now time.Time, withSince bool) string {
	var out []string
	add := func(what string, at *time.Time) {
		since := humanize.NewMoment(at, now)
		switch {
		case since != nil && withSince:
			what += " since " + since.Text
		case since != nil:
			what += " " + since.Text
		}
		out = append(out, what)
	}
	older := func(a evaluator.FiringAlert) {
		if last := len(out) - 1; a.Older && withSince {
			out[last] = strings.Replace(out[last], " since ", " since or before ", 1)
		}
	}
	for _, a := range s.Alerts {
		if a.Burns() && (a.Severity == slo.Page || !summary.Fires(s, slo.Page)) { // a ticket adds nothing to a page
			add(a.Severity, &a.Since)
			older(a)
		}
	}
	switch s.State {
	case evaluator.StateOK:
	case evaluator.StateQueryFailed:
		add(summary.Words(s.State), nil) // it failed now, whenever the numbers are from
	default:
		add(summary.Words(s.State), s.StateSince)
		if s.Cause != "" && withSince {
			out[len(out)-1] += " (" + s.Cause + ")"
		}
	}
	for _, a := range s.Alerts {
		if !a.Burns() {
			add(a.Name, &a.Since)
			older(a)
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

// note returns why there are no numbers, if the state alone does not show it.
func note(s *evaluator.Status) string {
	if s.StateReason == "" || s.StateSince != nil && s.State != evaluator.StateQueryFailed {
		return ""
	}
	return ": " + printable(s.StateReason)
}

// bar draws the budget that is left, and nothing when that is unknown. It is full or
// empty only when the budget is.
func bar(left *float64) string {
	const width = 10
	if left == nil {
		return ""
	}
	full := 0
	switch {
	case *left >= 1:
		full = width
	case *left > 0:
		full = min(max(int(math.Round(*left*width)), 1), width-1)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
