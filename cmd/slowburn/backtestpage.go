package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/alerting/backtest"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// paper is what the results of a backtest are written on, for a terminal or for a
// merge request.
type paper interface {
	title(text string)
	text(text string)
	picture(lines []string)
	grid(columns ...column)
	String() string
}

// printBacktest prints the results of a backtest, SLO by SLO.
func printBacktest(w io.Writer, r *backtest.Report, p paper) error {
	p.text("Backtest " + periodText(r))
	results := map[string][]*backtest.TestResult{}
	for i := range r.Results {
		of := &r.Results[i]
		results[of.ID] = append(results[of.ID], of)
	}
	shown, notes := arrangeTested(r, results)
	for _, s := range shown {
		printTested(p, r, s, results[s.ID])
	}
	if len(notes) > 0 {
		p.title("Not shown")
		for _, n := range notes {
			p.text(n)
		}
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// arrangeTested puts groups below their whole, the worst ten of them: those with
// the least budget left, and then with the most pages.
func arrangeTested(r *backtest.Report, results map[string][]*backtest.TestResult) (shown []*backtest.TestedSLO, notes []string) {
	groups := map[string][]*backtest.TestedSLO{}
	for i := range r.SLOs {
		if s := &r.SLOs[i]; len(s.Group) > 0 {
			groups[s.Service+"/"+s.SLO] = append(groups[s.Service+"/"+s.SLO], s)
		}
	}
	least := func(s *backtest.TestedSLO) (left float64, pages int) {
		left = 1
		for _, of := range results[s.ID] {
			pages = max(pages, of.Pages)
			if of.Remaining != nil {
				left = min(left, *of.Remaining)
			}
		}
		return left, pages
	}
	for i := range r.SLOs {
		s := &r.SLOs[i]
		if len(s.Group) > 0 {
			continue
		}
		of := groups[s.ID]
		slices.SortStableFunc(of, func(a, b *backtest.TestedSLO) int {
			leftA, pagesA := least(a)
			leftB, pagesB := least(b)
			return cmp.Or(cmp.Compare(leftA, leftB), cmp.Compare(pagesB, pagesA))
		})
		shown = append(append(shown, s), of[:min(len(of), shownGroups)]...)
		if more := len(of) - shownGroups; more > 0 {
			notes = append(notes, fmt.Sprintf("%s of %s; -o json has them", plural(more, "group"), s.ID))
		}
		if s.LeftOut > 0 {
			notes = append(notes, fmt.Sprintf("%s of %s, beyond the limit", plural(s.LeftOut, "group"), s.ID))
		}
	}
	return shown, notes
}

// printTested prints what is to say of an SLO.
func printTested(p paper, r *backtest.Report, s *backtest.TestedSLO, results []*backtest.TestResult) {
	p.title(fmt.Sprintf("%s, %s %% over %s", s.ID, humanize.Objective(s.Objective), s.Window))
	if len(results) == 0 {
		p.text("No results: " + printable(s.Error) + ".")
		return
	}
	p.text(fmt.Sprintf("%s of %s %s were bad, %s good; %s of the time is known.",
		count(s.Bad), count(s.Total), s.Unit, plain(humanize.SLI(s.SLI, s.Objective)), plain(humanize.Percent(&s.Coverage))))
	p.picture(chart(r, s, results))
	p.grid(summary(results)...)
	if len(results) == 1 {
		printEpisodes(p, results[0].Episodes)
	}
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Objective == results[0].Objective {
			n++
		}
		printIncidents(p, s.Unit, results[:n])
		results = results[n:]
	}
	suggested := "No objective is suggested: "
	if o := s.Suggestion.Objective; o != nil {
		suggested = fmt.Sprintf("The history supports %s %%: ", humanize.Objective(*o))
	}
	p.text(suggested + plain(s.Suggestion.Reason) + ".")
}

// summary has a row for each objective and policy.
func summary(results []*backtest.TestResult) []column {
	columns := []column{
		{head: "OBJECTIVE", right: true}, {head: "POLICY"}, {head: "PAGES", right: true}, {head: "A WEEK", right: true}, {head: "TICKETS", right: true},
		{head: "FALSE", right: true}, {head: "MISSED", right: true}, {head: "MEDIAN DETECTION", right: true}, {head: "BUDGET LEFT", right: true},
	}
	for _, of := range results {
		for i, cell := range []string{
			humanize.Objective(of.Objective) + " %", of.Policy, count(of.Pages), perWeek(of.PagesPerWeek), count(of.Tickets),
			count(of.False), fmt.Sprintf("%d of %d", of.Missed, len(of.Incidents)), secondsText(of.Detection), humanize.Percent(of.Remaining),
		} {
			columns[i].cells = append(columns[i].cells, plain(cell))
		}
	}
	return columns
}

func perWeek(v *float64) string {
	if v == nil {
		return "-"
	}
	return humanize.Fixed(*v, 1)
}

// shownIncidents is how many incidents of an objective people see.
const shownIncidents = 10

// printIncidents prints the incidents at an objective that took the most of the
// budget, with what each policy says of them.
func printIncidents(p paper, unit string, results []*backtest.TestResult) {
	all := results[0].Incidents
	worst := make([]int, len(all))
	for i := range worst {
		worst[i] = i
	}
	slices.SortStableFunc(worst, func(a, b int) int { return cmp.Compare(*all[b].Consumed, *all[a].Consumed) })
	worst = worst[:min(len(worst), shownIncidents)]
	slices.Sort(worst)
	if len(worst) == 0 {
		p.text(fmt.Sprintf("No incident took 1 %% of the budget of %s %%.", humanize.Objective(results[0].Objective)))
		return
	}
	columns := []column{{head: "INCIDENT AT " + humanize.Objective(results[0].Objective) + " %"}, {head: "LASTED", right: true}, {head: "BAD", right: true}, {head: "BUDGET", right: true}}
	for _, i := range worst {
		in := &all[i]
		for c, cell := range []string{in.Start.Format("2006-01-02 15:04"), durationText(in.End.Sub(in.Start)), count(in.Bad), plain(humanize.Percent(in.Consumed))} {
			columns[c].cells = append(columns[c].cells, cell)
		}
	}
	for _, of := range results {
		c := column{head: strings.ToUpper(of.Policy)}
		for _, i := range worst {
			c.cells = append(c.cells, detection(&of.Incidents[i]))
		}
		columns = append(columns, c)
	}
	p.grid(columns...)
	if each := plain(humanize.Percent(all[0].Consumed)); unit == "runs" && !slices.ContainsFunc(all, func(in backtest.Incident) bool { return in.Bad != 1 || plain(humanize.Percent(in.Consumed)) != each }) {
		p.text(fmt.Sprintf("%s took %s of the budget each.", plural(len(all), "bad run"), each))
	}
	if more := len(all) - len(worst); more > 0 {
		p.text(fmt.Sprintf("%s not shown; see -o json.", plural(more, "smaller incident")))
	}
}

// printEpisodes prints the alerts that took the most of the budget.
func printEpisodes(p paper, all []backtest.Episode) {
	if len(all) == 0 {
		return
	}
	worst := slices.Clone(all)
	slices.SortStableFunc(worst, func(a, b backtest.Episode) int { return cmp.Compare(b.Bad, a.Bad) })
	worst = worst[:min(len(worst), shownIncidents)]
	slices.SortStableFunc(worst, func(a, b backtest.Episode) int { return a.Start.Compare(b.Start) })
	columns := []column{{head: "ALERT SINCE"}, {head: "FIRED", right: true}, {head: "SEVERITY"}, {head: "TIER"}, {head: "BAD", right: true}, {head: "BUDGET", right: true}, {head: "PEAK BURN", right: true}}
	for _, e := range worst {
		fired := "still"
		if e.End != nil {
			fired = durationText(e.End.Sub(e.Start))
		}
		for i, cell := range []string{e.Start.Format("2006-01-02 15:04"), fired, e.Severity, e.Tier, count(e.Bad), humanize.Percent(e.Consumed), humanize.BurnRate(e.PeakBurnRate)} {
			columns[i].cells = append(columns[i].cells, plain(cell))
		}
	}
	p.grid(columns...)
	if more := len(all) - len(worst); more > 0 {
		p.text(fmt.Sprintf("%s not shown; see -o json.", plural(more, "smaller alert")))
	}
	later := 0
	for _, e := range all {
		if e.GoodLater > e.Bad {
			later++
		}
	}
	if later > 0 {
		p.text(fmt.Sprintf("%d of %s fired for events most of which were counted as good afterwards: total counts them when they begin, good when they end. Count both at one time.", later, plural(len(all), "alert")))
	}
}

// detection is what a policy says of an incident, and what that had taken by then.
func detection(in *backtest.Incident) string {
	switch {
	case in.Detection == nil && in.Open:
		return "still going on"
	case in.Detection == nil:
		return "missed"
	}
	after := "at once"
	switch {
	case in.Before != nil && *in.Before == 0:
		return in.Severity + " fires already"
	case *in.Detection > 0:
		after = "after " + secondsText(in.Detection)
	}
	return fmt.Sprintf("%s %s, %s", in.Severity, after, plain(humanize.Percent(in.Before)))
}

func secondsText(v *float64) string {
	if v == nil {
		return "-"
	}
	return durationText(time.Duration(*v) * time.Second)
}

func durationText(d time.Duration) string { return plain(humanize.Duration(d)) }

// heights are those of burn rates below 1/4, 1/2, 1, 2, 4, 8, 16, and above.
var heights = []rune("▁▂▃▄▅▆▇█")

// chart draws the burn rate by time, and below it when each policy would have paged
// and ticketed at each objective.
func chart(r *backtest.Report, s *backtest.TestedSLO, results []*backtest.TestResult) []string {
	labels := []string{"burn rate"}
	rows := []string{heightsOf(s)}
	for _, of := range results {
		labels = append(labels, fmt.Sprintf("%s %% %s", humanize.Objective(of.Objective), of.Policy))
		rows = append(rows, marks(r, s, of))
	}
	_, lines := rowsOf([]column{{cells: labels}, {cells: rows}})
	each := durationText(r.To.Sub(r.From) / time.Duration(len(s.History)))
	for i := range lines {
		lines[i] = " " + lines[i]
	}
	return append(lines, fmt.Sprintf("  a column is %s: ▄ or more spends too fast, ! page, ~ ticket, ? not known", each))
}

// unknown reports whether most of a part is.
func unknown(sum timeline.Sum) bool { return sum.Coverage() < 0.5 }

func heightsOf(s *backtest.TestedSLO) string {
	var out strings.Builder
	for _, sum := range s.History {
		if unknown(sum) {
			out.WriteByte('?')
			continue
		}
		rate, i := slo.BadShare(sum.Bad, sum.Total)/(1-s.Objective), 0
		for limit := 0.25; rate >= limit && i < len(heights)-1; limit *= 2 {
			i++
		}
		out.WriteRune(heights[i])
	}
	return out.String()
}

func marks(r *backtest.Report, s *backtest.TestedSLO, of *backtest.TestResult) string {
	var out strings.Builder
	for _, sum := range s.History {
		mark := "·"
		if unknown(sum) {
			mark = "?"
		}
		for _, e := range of.Episodes {
			end := r.To
			if e.End != nil {
				end = *e.End
			}
			switch {
			case !e.Start.Before(sum.End.Time().Add(time.Minute)) || !end.After(sum.Start.Time()):
			case e.Severity == slo.Page:
				mark = "!"
			case mark != "!":
				mark = "~"
			}
		}
		out.WriteString(mark)
	}
	return out.String()
}

// backtestPage is text for a terminal.
type backtestPage struct{ proofPage }

func (b *backtestPage) text(text string) { b.line("", text) }

func (b *backtestPage) picture(lines []string) {
	for _, l := range lines {
		b.line("", l)
	}
	b.WriteByte('\n')
}

func (b *backtestPage) grid(columns ...column) {
	b.proofPage.grid(columns...)
	b.WriteByte('\n')
}

// markdown is text for a merge request.
type markdown struct{ strings.Builder }

// escaped keeps what others wrote from being markup.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`).Replace(printable(text))
}

func (m *markdown) title(text string) { fmt.Fprintf(m, "### %s\n\n", escaped(text)) }

func (m *markdown) text(text string) { fmt.Fprintf(m, "%s\n\n", escaped(text)) }

func (m *markdown) picture(lines []string) {
	fmt.Fprintf(m, "```text\n%s\n```\n\n", strings.Join(lines, "\n"))
}

func (m *markdown) grid(columns ...column) {
	row := func(cell func(column) string) {
		for _, c := range columns {
			fmt.Fprintf(m, "| %s ", escaped(cell(c)))
		}
		m.WriteString("|\n")
	}
	row(func(c column) string { return strings.ToLower(c.head) })
	for _, c := range columns {
		if m.WriteString("|---"); c.right {
			m.WriteByte(':')
		}
	}
	m.WriteString("|\n")
	for i := range columns[0].cells {
		row(func(c column) string { return c.cells[i] })
	}
	m.WriteByte('\n')
}
