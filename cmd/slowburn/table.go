package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/slowburn-slo/slowburn/dashboards/web/triage"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// screen is what a table is written for.
type screen struct {
	width                    int    // in characters; 0 for any, as in a file
	red, yellow, grey, reset string // escape sequences, empty without colours
}

// screenOf is the screen behind a writer: colours and a width only when it is a
// terminal, and no colours when the user wants none (https://no-color.org).
func screenOf(w io.Writer, noColor bool) screen {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	var sc screen
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		sc.width = width
	}
	if !noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		sc.red, sc.yellow, sc.grey, sc.reset = "\x1b[31m", "\x1b[33m", "\x1b[90m", "\x1b[0m"
	}
	return sc
}

// printTable prints a line per SLO, the worst first.
func printTable(w io.Writer, r *evaluator.Report, sc screen) error {
	slos, notes := arrange(r)
	outages := triage.Outages(r)
	all := detail{bar: true, window: true, since: true, renewal: true, budget: true, objective: true}
	t := newTable(slos, r.EvaluatedAt, all)
	for _, leaveOut := range []*bool{&all.bar, &all.window, &all.since, &all.renewal, &all.budget, &all.objective} {
		if sc.width == 0 || t.width() <= sc.width {
			break
		}
		*leaveOut = false
		t = newTable(slos, r.EvaluatedAt, all)
	}
	if sc.width > 0 {
		t.shortenNames(sc.width)
	}
	for i, s := range slos {
		if outages[s.Backend].Explains(s) {
			t.notes[i] = "" // said once, below
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
		b.WriteString(sc.line(sc.yellow, "  "+n))
	}
	fmt.Fprintf(&b, "\nat %s%s%s\n", r.EvaluatedAt.UTC().Format("2006-01-02 15:04 MST"), sourcesOf(r), methodsOf(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// sourcesOf names the commits that are shown.
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

// products are the names of kinds of backends.
var products = map[string]string{"prometheus": "Prometheus", "victoriametrics": "VictoriaMetrics", "thanos": "Thanos", "mimir": "Mimir"}

// methods are what each method of counting reads.
var methods = map[string]string{evaluator.MethodRaw: "raw samples", evaluator.MethodAggregated: "sums of targets", evaluator.MethodEvaluated: "values of queries"}

// methodsOf tells how and where the events were counted.
func methodsOf(r *evaluator.Report) string {
	var ways []string
	for _, s := range r.SLOs {
		for _, b := range r.Backends {
			if b.Name != s.Backend || s.State == evaluator.StateQueryFailed {
				continue
			}
			way := plain(strings.TrimSpace(methods[s.Method] + " in " + cmp.Or(products[b.Kind], b.Kind) + " " + b.Version))
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

// The ranks of SLOs, the worst first.
const (
	rankPage = iota
	rankSpent
	rankTicket
	rankUnknown
	rankFine
)

func rank(s *evaluator.Status) int {
	fires := func(severity string) bool {
		return slices.ContainsFunc(s.Alerts, func(a evaluator.FiringAlert) bool { return a.Severity == severity })
	}
	switch {
	case fires(slo.Page):
		return rankPage
	case s.Budget.Remaining != nil && *s.Budget.Remaining <= 0:
		return rankSpent
	case fires(slo.Ticket):
		return rankTicket
	case s.State != evaluator.StateOK && s.State != evaluator.StateNoTraffic || s.Budget.Remaining == nil:
		return rankUnknown
	}
	return rankFine
}

// remaining is the budget left, for ordering; undefined comes first.
func remaining(s *evaluator.Status) float64 {
	if s.Budget.Remaining == nil {
		return -1e300
	}
	return *s.Budget.Remaining
}

// mark is a row's first character and colour.
func (sc screen) mark(s *evaluator.Status) (mark, colour string) {
	switch rank(s) {
	case rankPage, rankSpent:
		return "!", sc.red
	case rankTicket:
		return "~", sc.yellow
	case rankUnknown:
		return "?", sc.grey
	}
	return " ", ""
}

// detail is what a narrow screen has no room for.
type detail struct{ bar, window, since, renewal, budget, objective bool }

// table is columns of text. Behind the last column of a row is its note, which
// may be cut.
type table struct {
	columns []column
	notes   []string
}

type column struct {
	head  string
	right bool // aligned to the right, as numbers are
	cells []string
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
	add(window+"SLI", true, func(s *evaluator.Status) string { return doubt(s) + plain(humanize.SLI(own(s).SLI, s.Objective)) })
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
	add("ENDS IN", false, endsIn)
	if d.renewal && slices.ContainsFunc(slos, func(s *evaluator.Status) bool { return s.Budget.PeriodEnd != nil }) {
		add("NEW BUDGET IN", false, func(s *evaluator.Status) string { return newBudgetIn(s, now) })
	}
	add("ALERTS", false, func(s *evaluator.Status) string { return events(s, now, d.since) })
	for _, s := range slos {
		t.notes = append(t.notes, note(s))
	}
	return t
}

// The marks before an SLI that is not the whole truth.
const (
	markEstimated = "≈"
	markPartly    = "*"
	markDoubted   = "†"
)

// wellKnown is the share of a window that is known when nothing is said of it.
const wellKnown = 0.9

// doubt is the marks of an SLI.
func doubt(s *evaluator.Status) string {
	w, marks := own(s), ""
	if w.SLI == nil {
		return ""
	}
	if w.Coverage < wellKnown {
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

// graveDoubts are the doubts about a number that has no mark for them otherwise.
func graveDoubts(s *evaluator.Status) []evaluator.Doubt {
	var out []evaluator.Doubt
	for _, d := range s.Doubts {
		if kept := own(s).Coverage >= wellKnown; d.Code != evaluator.DoubtEstimated && (d.Code != evaluator.DoubtPartlyKnown || kept) {
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

// common is what all SLOs have in common that have it, if so.
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

func (c *column) width() int {
	w := len(c.head)
	for _, cell := range c.cells {
		w = max(w, utf8.RuneCountInString(cell))
	}
	return w
}

// width is that of the table without its notes.
func (t *table) width() int {
	w := 0
	for i := range t.columns {
		w += 2 + t.columns[i].width()
	}
	return w
}

func (t *table) write(b *strings.Builder, slos []*evaluator.Status, sc screen) {
	head, rows := rowsOf(t.columns)
	b.WriteString(sc.line("", " "+head))
	for n, s := range slos {
		mark, colour := sc.mark(s)
		b.WriteString(sc.line(colour, mark+rows[n]+t.notes[n]))
	}
}

// rowsOf lays out columns.
func rowsOf(columns []column) (head string, rows []string) {
	widths := make([]int, len(columns))
	for i := range columns {
		widths[i] = columns[i].width()
	}
	row := func(cell func(column) string) string {
		var text strings.Builder
		for i, c := range columns {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell(c)))
			if i > 0 {
				text.WriteString(" ")
			}
			if c.right {
				text.WriteString(" " + pad + cell(c))
			} else {
				text.WriteString(" " + cell(c) + pad)
			}
		}
		return strings.TrimRight(text.String(), " ")
	}
	for n := range columns[0].cells {
		rows = append(rows, row(func(c column) string { return c.cells[n] }))
	}
	return row(func(c column) string { return c.head }), rows
}

// line is a line that fits the screen.
func (sc screen) line(colour, text string) string {
	if runes := []rune(text); sc.width > 1 && len(runes) > sc.width {
		text = string(runes[:sc.width-1]) + "…"
	}
	if colour != "" {
		text = colour + text + sc.reset
	}
	return text + "\n"
}

// own is the SLO's own window, the last.
func own(s *evaluator.Status) evaluator.WindowStatus {
	if len(s.Windows) == 0 {
		return evaluator.WindowStatus{}
	}
	return s.Windows[len(s.Windows)-1]
}

// recent is the shortest window of at least an hour. An SLO's own is one, but for
// the one of a calendar period that has just begun.
func recent(s *evaluator.Status) evaluator.WindowStatus {
	shortest := own(s)
	for i, w := range s.Windows {
		if w.Seconds >= 3600 && (w.Seconds < shortest.Seconds || s.Budget.PeriodEnd != nil && shortest == own(s)) && i < len(s.Windows)-1 {
			shortest = w
		}
	}
	return shortest
}

func endsIn(s *evaluator.Status) string {
	switch at := s.Budget.ExhaustedInSeconds; {
	case s.Budget.Remaining == nil:
		return "-"
	case *s.Budget.Remaining <= 0:
		return "spent"
	case at == nil:
		return "-"
	default:
		return plain(humanize.Duration(time.Duration(*at * float64(time.Second)).Truncate(time.Minute)))
	}
}

// events is which alerts fire and what is the matter with the data.
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
		if a.Burns() && (a.Severity == slo.Page || rank(s) != rankPage) { // a page says it all
			add(a.Severity, &a.Since)
			older(a)
		}
	}
	switch s.State {
	case evaluator.StateOK:
	case evaluator.StateQueryFailed:
		add("query failed", nil) // now
	default:
		add(strings.ReplaceAll(string(s.State), "_", " "), s.StateSince)
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

// note is why there are no numbers, where the state does not tell.
func note(s *evaluator.Status) string {
	if s.StateReason == "" || s.StateSince != nil && s.State != evaluator.StateQueryFailed {
		return ""
	}
	return ": " + printable(s.StateReason)
}

// printable is what others say without what would move the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// plain is a figure in the characters of a keyboard, for grep and for
// terminals.
func plain(figure string) string {
	return strings.NewReplacer(humanize.Space, " ", humanize.Minus, "-", humanize.Dash, "-").Replace(figure)
}

// bar is a picture of the budget that is left; none when that is unknown. It is
// full or empty only when the budget is.
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
