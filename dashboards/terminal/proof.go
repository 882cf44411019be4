package terminal

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// proofPage is the text of a proof.
type proofPage struct{ page }

// Proof writes how the numbers of an SLO are calculated.
func Proof(w io.Writer, p *explain.Proof, sc Screen) error {
	b := &proofPage{page{screen: sc}}
	s := &p.SLO
	over := s.Window
	if at := s.Budget.PeriodEnd; at != nil {
		over = fmt.Sprintf("the %s in %s, which ends at %s", s.Window, s.Spec.Window.Zone, humanize.Minute(*at))
	}
	b.line(noColour, fmt.Sprintf("%s: %s %% of the %s good over %s, at %s",
		s.ID, humanize.Objective(s.Objective), s.Unit(), over, humanize.Minute(p.EvaluatedAt)))
	source := cmp.Or(s.Source, "-")
	if s.Revision != "" {
		source += fmt.Sprintf(" at commit %.12s", s.Revision)
	}
	b.line(noColour, fmt.Sprintf("from %s, counted in the backend %s", source, s.Backend))
	for _, n := range p.Notes {
		b.line(yellow, "! "+printable(n))
	}
	b.window(p)
	b.excluded(&s.Excluded)
	if s.State != evaluator.StateQueryFailed {
		b.numbers(p)
		b.findings(p)
	}
	b.queries(p)
	for i := range p.Checks {
		b.check(&p.Checks[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (b *proofPage) window(p *explain.Proof) {
	b.title("Window")
	slots := count(p.Slots.Count) + " of a minute"
	if p.Slots.Quarters > 0 {
		slots += fmt.Sprintf(": %s quarters of an hour, of 15 each, and %s single ones", count(p.Slots.Quarters), count(p.Slots.Single))
	}
	samples := "none"
	if p.Samples.First != nil {
		samples = fmt.Sprintf("%s in %s series, from %s to %s", count(p.Samples.Count), count(p.Samples.Series),
			secondText(*p.Samples.First), secondText(*p.Samples.Last))
	}
	excluded := "none"
	if p.Slots.Excluded > 0 {
		excluded = fmt.Sprintf("%s slots, with %s %s, %s of them bad", count(p.Slots.Excluded), count(p.SLO.Excluded.Total), p.SLO.Unit(), count(p.SLO.Excluded.Bad))
	}
	b.grid(
		column{cells: []string{"from", "to", "slots", "excluded", "samples"}},
		column{cells: []string{humanize.Minute(p.Start), humanize.Minute(p.End), slots, excluded, samples}},
	)
}

// excluded writes what was excluded from the window, if anything.
func (b *proofPage) excluded(x *evaluator.Excluded) {
	if len(x.By) == 0 {
		return
	}
	b.title("Excluded from the window; if several exclude the same time, the first of them removes it")
	columns := []column{
		{head: "EVENTS", right: true}, {head: "BAD", right: true}, {head: "SLOTS", right: true}, {head: "TIME"}, {head: "REASON"}, {head: "TICKET"},
	}
	for _, e := range x.By {
		when := "recurring"
		if e.From != nil {
			when = humanize.Minute(*e.From) + " to " + humanize.Minute(*e.To)
		}
		addRow(columns, count(e.Total), count(e.Bad), count(e.Slots), when, printable(e.Reason), printable(cmp.Or(e.Ticket, "-")))
	}
	b.grid(columns...)
}

// word matches an input in a formula.
var word = regexp.MustCompile(`[a-z]+`)

func (b *proofPage) numbers(p *explain.Proof) {
	b.title("Numbers")
	columns := make([]column, 4)
	for _, step := range p.Arithmetic {
		inserted := word.ReplaceAllStringFunc(step.Formula, func(name string) string {
			if v, ok := step.Inputs[name]; ok {
				return proofNumber(name, &v, p.SLO.Objective)
			}
			return "-"
		})
		addRow(columns, strings.ReplaceAll(step.Name, "_", " "), step.Formula, "= "+inserted, "= "+proofNumber(step.Name, step.Value, p.SLO.Objective))
	}
	b.grid(columns...)
}

// proofNumber returns a number of a proof for people.
func proofNumber(name string, v *float64, objective float64) string {
	switch name {
	case "objective":
		return strconv.FormatFloat(objective, 'f', -1, 64)
	case "sli":
		return plain(humanize.SLI(v, objective))
	case "coverage", "consumed", "remaining", "consumed_so_far", "remaining_so_far":
		return plain(humanize.Percent(v))
	case "burn_rate":
		return plain(humanize.BurnRate(v))
	}
	if v == nil {
		return "-"
	}
	return count(*v)
}

// meanings explains the kinds of findings.
var meanings = map[counting.FindingKind]string{
	counting.FindReset:     "it fell because the process restarted: its value counts",
	counting.FindBirth:     "new beside what goes on: its value counts",
	counting.FindRebirth:   "back after a restart: its value counts",
	counting.FindAmbiguous: "may have begun from zero, or lost a part: NOT counted, because nothing proves it",
	counting.FindDip:       "lower for a moment, or samples of two replicas: nothing counts twice",
	counting.FindGap:       "scrapes are missing; the longest ",
}

func (b *proofPage) findings(p *explain.Proof) {
	b.title("More than plain increments, by series")
	counters := map[string]bool{}
	for _, c := range p.Checks {
		counters[c.Counter] = true
	}
	for _, k := range p.Findings.Kinds { // native histograms have no checks
		for name := range k.Events {
			counters[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(counters))
	columns := []column{{head: "FOUND", right: true}, {head: "KIND"}}
	for _, name := range names {
		columns = append(columns, column{head: strings.ToUpper(name), right: true})
	}
	columns = append(columns, column{head: "MEANING"})
	for _, k := range p.Findings.Kinds {
		if k.Count == 0 {
			continue
		}
		row := []string{count(k.Count), string(k.Kind)}
		for _, name := range names {
			events := "-"
			if v, ok := k.Events[name]; ok {
				events = count(v)
			}
			row = append(row, events)
		}
		means := meanings[k.Kind]
		if k.Kind == counting.FindGap {
			means += length(k.Longest)
		}
		addRow(columns, append(row, means)...)
	}
	if len(columns[0].cells) == 0 {
		b.line(noColour, "  none")
		return
	}
	b.grid(columns...)
	b.largest(p.Findings.List)
}

func length(seconds float64) string {
	return plain(humanize.Duration(time.Duration(math.Round(seconds)) * time.Second))
}

// shownFindings is how many findings people see.
const shownFindings = 10

// largest writes the findings with the most events, and the longest gaps.
func (b *proofPage) largest(list []counting.Finding) {
	list = slices.Clone(list)
	gap := func(f counting.Finding) bool { return f.Kind == counting.FindGap }
	slices.SortStableFunc(list, func(x, y counting.Finding) int {
		return cmp.Compare(y.Events+y.NotCounted+y.Seconds, x.Events+x.NotCounted+x.Seconds)
	})
	events := slices.DeleteFunc(slices.Clone(list), gap)
	gaps := slices.DeleteFunc(slices.Clone(list), func(f counting.Finding) bool { return !gap(f) })
	gaps = gaps[:min(len(gaps), max(shownFindings/2, shownFindings-len(events)))]
	shown := slices.Concat(events[:min(len(events), shownFindings-len(gaps))], gaps)
	slices.SortStableFunc(shown, func(x, y counting.Finding) int { return x.Time.Compare(y.Time) })
	title := "In detail"
	if len(list) > len(shown) {
		title = fmt.Sprintf("The %d largest", len(shown))
	}
	same := commonLabels(shown)
	b.title(title + ", of " + seriesText(same))
	var at, kind, size, series []string
	for _, f := range shown {
		rest := maps.Clone(f.Series)
		maps.DeleteFunc(rest, func(name, _ string) bool { _, common := same[name]; return common })
		at, kind, series = append(at, secondText(f.Time)), append(kind, string(f.Kind)), append(series, seriesText(rest))
		if gap(f) {
			size = append(size, length(f.Seconds))
		} else {
			size = append(size, count(f.Events+f.NotCounted))
		}
	}
	b.grid(column{head: "AT", cells: at}, column{head: "KIND", cells: kind},
		column{head: "EVENTS", right: true, cells: size}, column{head: "SERIES", cells: series})
}

// commonLabels returns the labels that all findings have in common. For a single finding,
// it is the name of the metric.
func commonLabels(findings []counting.Finding) map[string]string {
	same := maps.Clone(findings[0].Series)
	if len(findings) == 1 {
		return map[string]string{model.MetricNameLabel: same[model.MetricNameLabel]}
	}
	for _, f := range findings {
		maps.DeleteFunc(same, func(name, value string) bool { v, ok := f.Series[name]; return !ok || v != value })
	}
	return same
}

// seriesText returns a series as in PromQL.
func seriesText(series map[string]string) string {
	name := series[model.MetricNameLabel]
	rest := labels.FromMap(series).MatchLabels(false, model.MetricNameLabel)
	if rest.IsEmpty() {
		return name
	}
	return name + rest.String()
}

// queries writes the queries that were sent, each text once.
func (b *proofPage) queries(p *explain.Proof) {
	type sent struct {
		times, samples int
		first, last    time.Time
		failed         string
	}
	byText := map[string]*sent{}
	var texts []string
	samples := 0
	for _, q := range p.Queries {
		s := byText[q.Query]
		if s == nil {
			s = &sent{first: q.Time, last: q.Time}
			byText[q.Query] = s
			texts = append(texts, q.Query)
		}
		s.times++
		s.samples += q.Samples
		s.failed = cmp.Or(s.failed, q.Error)
		s.first = slices.MinFunc([]time.Time{s.first, q.Time}, time.Time.Compare)
		s.last = slices.MaxFunc([]time.Time{s.last, q.Time}, time.Time.Compare)
		samples += q.Samples
	}
	b.title(fmt.Sprintf("Queries: %s, answered by %s. Samples before the window are evidence, or for alerts", count(len(p.Queries)), samplesText(samples)))
	for _, text := range texts {
		s := byText[text]
		b.line(noColour, "  "+printable(text))
		at := "at " + humanize.Minute(s.first)
		if s.times > 1 {
			at = fmt.Sprintf("%s times, at %s to %s", count(s.times), humanize.Minute(s.first), humanize.Minute(s.last))
		}
		b.line(grey, "    "+at+": "+samplesText(s.samples))
		if s.failed != "" {
			b.line(yellow, "    "+printable(s.failed))
		}
	}
}

func samplesText(n int) string {
	if n == 1 {
		return "1 sample"
	}
	return count(n) + " samples"
}

// check compares the counts with a direct query.
func (b *proofPage) check(c *explain.Check) {
	b.title(fmt.Sprintf("Check of %s, by one query at %s", c.Counter, humanize.Minute(c.Time)))
	b.line(noColour, "  "+printable(c.Query))
	if c.Direct == nil {
		b.line(yellow, "  not available: "+printable(c.Unavailable))
		return
	}
	numbers := []float64{c.Counted, *c.Direct, *c.Difference}
	texts := []string{"counted from the samples", "answered by the backend", "difference"}
	for _, part := range c.Parts {
		numbers, texts = append(numbers, part.Events), append(texts, "  "+part.Name+": "+part.Text)
	}
	left := "  not explained"
	if c.RemainderShare != nil {
		share := math.Abs(*c.RemainderShare)
		left += ", " + plain(humanize.Percent(&share)) + " of what was counted"
	}
	numbers, texts = append(numbers, *c.Remainder), append(texts, left)
	decimals := 0
	for _, v := range numbers {
		if math.Abs(v-math.Round(v)) > 0.005 {
			decimals = 2
		}
	}
	cells := make([]string, len(numbers))
	for i, v := range numbers {
		cells[i] = plain(humanize.Fixed(v, decimals))
		if i >= 2 && v > 0 && strings.Trim(cells[i], "0.") != "" {
			cells[i] = "+" + cells[i]
		}
	}
	b.grid(column{right: true, cells: cells}, column{cells: texts})
}
