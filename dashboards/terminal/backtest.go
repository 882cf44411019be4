package terminal

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

// Backtest writes the results of a backtest, SLO by SLO.
func Backtest(w io.Writer, r *backtest.Report, sc Screen) error {
	return writeBacktest(w, r, &screenDocument{page{screen: sc}})
}

// BacktestMarkdown writes the results of a backtest as Markdown, for a merge request.
func BacktestMarkdown(w io.Writer, r *backtest.Report) error {
	return writeBacktest(w, r, &markdown{})
}

func writeBacktest(w io.Writer, r *backtest.Report, d document) error {
	d.text(fmt.Sprintf("Backtest from %s to %s, %s", humanize.Minute(r.From), humanize.Minute(r.To), durationText(r.To.Sub(r.From))))
	results := map[string][]*backtest.TestResult{}
	for i := range r.Results {
		result := &r.Results[i]
		results[result.ID] = append(results[result.ID], result)
	}
	shown, notes := arrangeTested(r, results)
	for _, s := range shown {
		writeTested(d, r, s, results[s.ID])
	}
	if len(notes) > 0 {
		d.title("Not shown")
		for _, n := range notes {
			d.text(n)
		}
	}
	_, err := io.WriteString(w, d.String())
	return err
}

// arrangeTested puts the worst ten groups below their whole: those with the least budget
// left, then with the most pages.
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
		notes = append(notes, notShown(s.ID, len(of)-shownGroups, s.LeftOut)...)
	}
	return shown, notes
}

// writeTested writes the results of an SLO.
func writeTested(d document, r *backtest.Report, s *backtest.TestedSLO, results []*backtest.TestResult) {
	d.title(fmt.Sprintf("%s, %s %% over %s", s.ID, humanize.Objective(s.Objective), s.Window))
	if len(results) == 0 {
		d.text("No results: " + printable(s.Error) + ".")
		return
	}
	d.text(fmt.Sprintf("%s of %s %s were bad, %s good; %s of the time is known.",
		count(s.Bad), count(s.Total), s.Unit, plain(humanize.SLI(s.SLI, s.Objective)), plain(humanize.Percent(&s.Coverage))))
	d.picture(chart(r, s, results))
	d.grid(resultColumns(results)...)
	if len(results) == 1 {
		writeEpisodes(d, results[0].Episodes)
	}
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Objective == results[0].Objective {
			n++
		}
		writeIncidents(d, s.Unit, results[:n])
		results = results[n:]
	}
	suggested := "No objective is suggested: "
	if o := s.Suggestion.Objective; o != nil {
		suggested = fmt.Sprintf("The history supports %s %%: ", humanize.Objective(*o))
	}
	d.text(suggested + plain(s.Suggestion.Reason) + ".")
}

// resultColumns has a row for each objective and policy.
func resultColumns(results []*backtest.TestResult) []column {
	columns := []column{
		{head: "OBJECTIVE", right: true}, {head: "POLICY"}, {head: "PAGES", right: true}, {head: "A WEEK", right: true}, {head: "TICKETS", right: true},
		{head: "FALSE", right: true}, {head: "MISSED", right: true}, {head: "MEDIAN DETECTION", right: true}, {head: "BUDGET LEFT", right: true},
	}
	for _, of := range results {
		addRow(columns, humanize.Objective(of.Objective)+" %", of.Policy, count(of.Pages), perWeek(of.PagesPerWeek), count(of.Tickets),
			count(of.False), fmt.Sprintf("%d of %d", of.Missed, len(of.Incidents)), secondsText(of.Detection), humanize.Percent(of.Remaining))
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

// writeIncidents writes the incidents at an objective that took the most of the budget,
// and when each policy detected them.
func writeIncidents(d document, unit string, results []*backtest.TestResult) {
	all := results[0].Incidents
	worst := make([]int, len(all))
	for i := range worst {
		worst[i] = i
	}
	slices.SortStableFunc(worst, func(a, b int) int { return cmp.Compare(*all[b].Consumed, *all[a].Consumed) })
	worst = worst[:min(len(worst), shownIncidents)]
	slices.Sort(worst)
	if len(worst) == 0 {
		d.text(fmt.Sprintf("No incident at %s %% was significant: none took 1 %% of the budget, or chance explains its failures.", humanize.Objective(results[0].Objective)))
		return
	}
	columns := []column{{head: "INCIDENT AT " + humanize.Objective(results[0].Objective) + " %"}, {head: "LASTED", right: true}, {head: "BAD", right: true}, {head: "BUDGET", right: true}}
	for _, i := range worst {
		in := &all[i]
		addRow(columns, in.Start.Format("2006-01-02 15:04"), durationText(in.End.Sub(in.Start)), count(in.Bad), humanize.Percent(in.Consumed))
	}
	for _, of := range results {
		c := column{head: strings.ToUpper(of.Policy)}
		for _, i := range worst {
			c.cells = append(c.cells, detection(&of.Incidents[i]))
		}
		columns = append(columns, c)
	}
	d.grid(columns...)
	if each := plain(humanize.Percent(all[0].Consumed)); unit == "runs" && !slices.ContainsFunc(all, func(in backtest.Incident) bool { return in.Bad != 1 || plain(humanize.Percent(in.Consumed)) != each }) {
		d.text(fmt.Sprintf("%s took %s of the budget each.", humanize.Plural(len(all), "bad run"), each))
	}
	if more := len(all) - len(worst); more > 0 {
		d.text(fmt.Sprintf("%s not shown; see -o json.", humanize.Plural(more, "smaller incident")))
	}
}

// writeEpisodes writes the alerts that took the most of the budget.
func writeEpisodes(d document, all []backtest.Episode) {
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
		addRow(columns, e.Start.Format("2006-01-02 15:04"), fired, e.Severity, e.Tier, count(e.Bad), humanize.Percent(e.Consumed), humanize.BurnRate(e.PeakBurnRate))
	}
	d.grid(columns...)
	if more := len(all) - len(worst); more > 0 {
		d.text(fmt.Sprintf("%s not shown; see -o json.", humanize.Plural(more, "smaller alert")))
	}
	later := 0
	for _, e := range all {
		if e.GoodLater > e.Bad {
			later++
		}
	}
	if later > 0 {
		d.text(fmt.Sprintf("%d of %s fired for events most of which were counted as good afterwards: total counts them when they begin, good when they end. Count both at one time.", later, humanize.Plural(len(all), "alert")))
	}
}

// detection returns when a policy detected an incident, and the budget spent until then.
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

// heights contains the bars of burn rates below 1/4, 1/2, 1, 2, 4, 8, 16, and above.
var heights = []rune("▁▂▃▄▅▆▇█")

// chart draws the burn rate over time, and below it when each policy would have paged and
// ticketed at each objective.
func chart(r *backtest.Report, s *backtest.TestedSLO, results []*backtest.TestResult) []string {
	labels := []string{"burn rate"}
	rows := []string{heightsOf(s)}
	for _, of := range results {
		labels = append(labels, fmt.Sprintf("%s %% %s", humanize.Objective(of.Objective), of.Policy))
		rows = append(rows, marks(r, s, of))
	}
	_, lines := layOut([]column{{cells: labels}, {cells: rows}})
	each := durationText(r.To.Sub(r.From) / time.Duration(len(s.History)))
	for i := range lines {
		lines[i] = " " + lines[i]
	}
	return append(lines, fmt.Sprintf("  a column is %s: ▄ or more spends too fast, ! page, ~ ticket, ? not known", each))
}

// unknown reports whether most of a part is unknown.
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
