package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Header is the head of the table of Rows.
const Header = "| service | policy | pages | tickets | page after | ticket after | page ends after | ticket ends after | precision | recall |\n" +
	"|---|---|---|---|---|---|---|---|---|---|\n"

// Episode is a time in which an alert fires.
type Episode struct {
	Severity   string
	Start, End int // minutes; End is that of the 31 days while it is open
}

// Played contains the episodes of one run of a scenario.
type Played struct {
	Episodes []Episode
	Bad      []int // ends of the slots with bad requests in incidents
}

// SLO is that of the service, with a policy.
func (c Scenario) SLO(policy string) *slo.SLO {
	o, err := slo.ParseObjective("99.9")
	if err != nil {
		panic(err) // 99.9 is one
	}
	s := &slo.SLO{
		Service: "shop", Name: "availability", Objective: o, Window: slo.Rolling(30 * aDay * minute),
		Alerting: slo.Alerting{Policy: policy}, Exclusions: c.Exclude,
	}
	if c.Window.Length > 0 {
		s.Window = c.Window
	}
	return s
}

// Before is how many minutes before the 31 days there are, a day more than the
// window of the SLO.
func (c Scenario) Before() int { return int(c.SLO("").Window.Length/minute) + aDay }

// Play runs a scenario. It asks what fires, by severities, at the end of each slot
// from Before on; what is said of those before the 31 days is not counted.
func (c Scenario) Play(seed uint64, firing func(m int, slot timeline.Slot) []string) Played {
	source := rand.NewPCG(seed, 1)
	var out Played
	open := map[string]int{}
	for m := -c.Before(); m < Minutes; m++ {
		slot := c.slot(m, source)
		fires := firing(m, slot)
		if m < 0 {
			continue
		}
		if slot.Bad > 0 && c.incidentAt(m+1, 0) >= 0 {
			out.Bad = append(out.Bad, m+1)
		}
		for _, severity := range fires {
			if _, is := open[severity]; !is {
				open[severity] = len(out.Episodes)
				out.Episodes = append(out.Episodes, Episode{severity, m + 1, Minutes})
			}
		}
		for severity, i := range open {
			if !slices.Contains(fires, severity) {
				out.Episodes[i].End = m + 1
				delete(open, severity)
			}
		}
	}
	return out
}

// slot are the events of the minute that begins at m.
func (c Scenario) slot(m int, source rand.Source) timeline.Slot {
	ratio := c.Usual
	if m >= 0 && c.Fails != nil && c.Fails(m) > 0 {
		ratio = c.Fails(m)
	}
	slot := timeline.Slot{Total: distuv.Poisson{Lambda: c.Traffic((m%aDay + aDay) % aDay), Src: source}.Rand(), Known: true}
	if ratio > 0 && slot.Total > 0 {
		slot.Bad = distuv.Binomial{N: slot.Total, P: ratio, Src: source}.Rand()
	}
	if m >= 0 && c.Known != nil && !c.Known(m) {
		return timeline.Slot{}
	}
	more := c.Extra[m]
	slot.Total, slot.Bad = slot.Total+more[0], slot.Bad+more[1]
	return slot
}

// incidentAt is the incident that an instant is in, or for so long was; -1 for
// none.
func (c Scenario) incidentAt(minute, after int) int {
	return slices.IndexFunc(c.Incidents, func(i [2]int) bool { return minute > i[0] && minute <= i[1]+after })
}

// Tally sums up runs of a scenario.
type Tally struct {
	Pages, Tickets           []int // of each run
	ToPage, ToTicket         []int // minutes, of each incident with such an alert
	ToEnd, ToClose           []int // minutes from the last bad slot, of each page and each ticket
	Right, Wrong, Met, Unmet int   // alerts, and incidents
}

// Add adds the runs of another.
func (a *Tally) Add(b Tally) {
	a.Pages, a.Tickets = append(a.Pages, b.Pages...), append(a.Tickets, b.Tickets...)
	a.ToPage, a.ToTicket = append(a.ToPage, b.ToPage...), append(a.ToTicket, b.ToTicket...)
	a.ToEnd, a.ToClose = append(a.ToEnd, b.ToEnd...), append(a.ToClose, b.ToClose...)
	a.Right, a.Wrong, a.Met, a.Unmet = a.Right+b.Right, a.Wrong+b.Wrong, a.Met+b.Met, a.Unmet+b.Unmet
}

// Tally counts the alerts of one run. An alert is right when it begins in an
// incident or in the day after it, which it is about all the same.
func (c Scenario) Tally(p Played) Tally {
	var out Tally
	count := map[string]int{}
	first, found := map[string]map[int]int{slo.Page: {}, slo.Ticket: {}}, map[int]bool{}
	for _, e := range p.Episodes {
		count[e.Severity]++
		i := c.incidentAt(e.Start, aDay)
		if i < 0 {
			out.Wrong++
			continue
		}
		out.Right++
		found[i] = true
		if e.Severity == slo.Page {
			out.ToEnd = append(out.ToEnd, e.End-lastBad(p.Bad, e.End))
		} else {
			out.ToClose = append(out.ToClose, e.End-lastBad(p.Bad, e.End))
		}
		if _, is := first[e.Severity][i]; !is {
			first[e.Severity][i] = e.Start
		}
	}
	out.Pages, out.Tickets = []int{count[slo.Page]}, []int{count[slo.Ticket]}
	for i, in := range c.Incidents {
		begins := p.Bad[slices.IndexFunc(p.Bad, func(m int) bool { return m > in[0] })]
		if at, is := first[slo.Page][i]; is {
			out.ToPage = append(out.ToPage, at-begins)
		}
		if at, is := first[slo.Ticket][i]; is {
			out.ToTicket = append(out.ToTicket, at-begins)
		}
		if found[i] {
			out.Met++
		} else {
			out.Unmet++
		}
	}
	return out
}

// lastBad is the last of the slots that ends at or before an instant.
func lastBad(bad []int, end int) int {
	i, exact := slices.BinarySearch(bad, end)
	if exact {
		return end
	}
	return bad[i-1]
}

// Wrong says what one run by the default policy gives that it must not, "" for
// nothing. Tickets may come and go so many minutes late.
func (c Scenario) Wrong(got Tally, late int) string {
	var out []string
	wrong := func(is bool, format string, args ...any) {
		if is {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	between := func(n int, want [2]int) bool { return n >= want[0] && n <= want[1] }
	wrong(!between(got.Pages[0], c.Pages), "%d pages, not %v", got.Pages[0], c.Pages)
	wrong(!between(got.Tickets[0], c.Tickets), "%d tickets, not %v", got.Tickets[0], c.Tickets)
	wrong(c.Either && got.Pages[0]+got.Tickets[0] != 1, "a page and a ticket, or none")
	wrong(got.Unmet > 0, "%d incidents without an alert", got.Unmet)
	for _, minutes := range got.ToEnd {
		wrong(minutes > 15, "%d min to the end of a page", minutes)
	}
	for _, minutes := range got.ToClose {
		wrong(minutes > aDay+late && c.Usual < half, "%d min to the end of a ticket", minutes)
	}
	within := c.Within
	if c.By == slo.Ticket {
		within += late
	}
	took := map[string][]int{slo.Page: got.ToPage, slo.Ticket: got.ToTicket}[c.By]
	wrong(c.Within > 0 && len(took) != len(c.Incidents), "no %s", c.By)
	for _, minutes := range took {
		wrong(c.Within > 0 && minutes > within, "a %s after %d min", c.By, minutes)
	}
	return strings.Join(out, "; ")
}

// Row is a row of a table in Markdown.
func (a Tally) Row(c Scenario, policy string) string {
	ratio := func(part, rest int) string {
		if part+rest == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(part+rest))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", c.Name, policy, span(a.Pages, ""), span(a.Tickets, ""),
		span(a.ToPage, " min"), span(a.ToTicket, " min"), span(a.ToEnd, " min"), span(a.ToClose, " min"), ratio(a.Right, a.Wrong), ratio(a.Met, a.Unmet))
}

// span prints the least and the greatest of numbers.
func span(n []int, unit string) string {
	switch {
	case len(n) == 0:
		return "-"
	case slices.Min(n) == slices.Max(n):
		return fmt.Sprint(n[0], unit)
	}
	return fmt.Sprintf("%d to %d%s", slices.Min(n), slices.Max(n), unit)
}
