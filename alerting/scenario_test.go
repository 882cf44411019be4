package alerting

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// scenario is a simulated service, whose SLO is 99.9 % over 30 d, for 31 days
// after a month in which it failed as usual. Times are minutes since the 31 days
// began, at midnight.
type scenario struct {
	name      string
	window    slo.Period               // 30 d unless it is set
	traffic   func(minute int) float64 // requests a minute
	usual     float64                  // ratio of requests that fail by themselves
	fails     func(minute int) float64 // ratio of requests that fail otherwise; 0 for as usual
	incidents [][2]int                 // from, to: when somebody should know
	known     func(minute int) bool    // nil for always
	extra     map[int][2]float64       // requests, and bad ones, on top of a minute
	exclude   []slo.Exclusion

	// What each seed must give by the default policy.
	pages, tickets [2]int // from, to
	either         bool   // one page or one ticket, not both
	within         int    // minutes from the end of the first bad slot of each incident to an alert; 0 for none asked
	by             string // the severity of that alert
}

const (
	simulated = 31 * 24 * 60
	aDay      = 24 * 60
)

// steady is traffic of so many requests a second.
func steady(perSecond float64) func(int) float64 {
	return func(int) float64 { return perSecond * 60 }
}

// diurnal is traffic between 0.5 requests a second at midnight and 80 at noon.
func diurnal(minute int) float64 {
	return 60 * (0.5 + 79.5*(1-math.Cos(2*math.Pi*float64(minute)/aDay))/2)
}

// during is a ratio from one minute to another.
func during(ratio float64, from, to int) func(int) float64 {
	return func(m int) float64 {
		if m >= from && m < to {
			return ratio
		}
		return 0
	}
}

// nightly is a ratio between two hours of each day from one day to another. The
// hours may be on both sides of midnight.
func nightly(ratio float64, fromHour, toHour, fromDay, toDay int) func(int) float64 {
	return func(m int) float64 {
		hour, day := m%aDay/60, m/aDay
		in := hour >= fromHour && hour < toHour
		if fromHour > toHour {
			in = hour >= fromHour || hour < toHour
		}
		if in && day >= fromDay && day < toDay {
			return ratio
		}
		return 0
	}
}

// at3 is 3 in the morning of a day.
func at3(day int) int { return day*aDay + 3*60 }

// scenarios are those of steady traffic, of little traffic, of nights, of what goes
// on for long, and of what is no incident.
func scenarios() []scenario {
	return slices.Concat(steadyScenarios(), quietScenarios(), longScenarios(), falseScenarios())
}

// Ratios of what 99.9 % allows.
const (
	tenth = 0.0001
	half  = 0.0005
)

// incident is one at 3 in the morning of the 16th day.
func incident(minutes int) [][2]int { return [][2]int{{at3(15), at3(15) + minutes}} }

func steadyScenarios() []scenario {
	hit := func(name string, ratio float64, minutes, within int) scenario {
		return scenario{
			name: "40/s, " + name, traffic: steady(40), usual: tenth, fails: during(ratio, at3(15), at3(15)+minutes), incidents: incident(minutes),
			pages: [2]int{1, 1}, tickets: [2]int{0, 1}, within: within, by: Page,
		}
	}
	slow := hit("0.5 % fail for 2 d", 0.005, 2*aDay, 15*60)
	slow.by, slow.pages, slow.tickets = Ticket, [2]int{}, [2]int{1, 1}
	flapping := hit("20 % fail for 5 min of each 10 for 3 h", 0.2, 180, 10)
	on := flapping.fails
	flapping.fails = func(m int) float64 { return on(m) * float64(1-m%10/5) }
	return []scenario{
		hit("all fail for 30 min", 1, 30, 2), hit("10 % fail for 1 h", 0.1, 60, 10), hit("2 % fail for 2 h", 0.02, 120, 45), slow, flapping,
		{
			name: "10/s, 90 % of a burst fail within 20 s, 3 % of the budget", traffic: steady(10), usual: tenth, incidents: incident(1),
			extra: map[int][2]float64{at3(15): {864, 778}}, pages: [2]int{0, 1}, tickets: [2]int{0, 1}, either: true,
		},
	}
}

func quietScenarios() []scenario {
	small := steady(72.0 / 3600)
	night := [][2]int{{15*aDay + 60, 15*aDay + 90}}
	return []scenario{
		{name: "72/h, half of what is allowed fails", traffic: small, usual: half},
		{name: "72/h, all fail for 1 h", traffic: small, usual: half, fails: during(1, at3(15), at3(15)+60), incidents: incident(60),
			pages: [2]int{1, 1}, tickets: [2]int{0, 1}, within: 10, by: Page},
		{name: "72/h, 1 in 10 fails for 1 d", traffic: small, usual: half, fails: during(0.1, at3(15), at3(16)), incidents: incident(aDay),
			pages: [2]int{1, 24}, tickets: [2]int{1, 1}, within: 120, by: Page},
		{name: "0.5 to 80/s, 1 % fails from 22 to 4", traffic: diurnal, fails: nightly(0.01, 22, 4, 0, 31)},
		{name: "0.5 to 80/s, 1.27 % fails from 22 to 4, 1.5 % of the budget", traffic: diurnal, fails: nightly(0.0127, 22, 4, 0, 31)},
		{name: "0.5 to 80/s, all fail from 1:00 to 1:30", traffic: diurnal, usual: tenth, fails: during(1, night[0][0], night[0][1]), incidents: night,
			pages: [2]int{1, 1}, tickets: [2]int{0, 1}, within: 15, by: Page},
	}
}

func longScenarios() []scenario {
	weeks := [][2]int{{at3(5) - 60, at3(25)}} // of nights whose hour begins at 2
	trickle := func(name string, perSecond float64) scenario {
		return scenario{name: name + ", 1.2 times what is allowed fails for 3 weeks", traffic: steady(perSecond), usual: tenth,
			fails: during(0.0012, weeks[0][0], weeks[0][1]), incidents: weeks, tickets: [2]int{1, 1}}
	}
	return []scenario{
		trickle("40/s", 40), trickle("5/s", 5), trickle("1/s", 1),
		{name: "40/s, as much in one hour of each night", traffic: steady(40), fails: nightly(0.0288, 2, 3, 5, 26), incidents: weeks,
			pages: [2]int{21, 21}, tickets: [2]int{1, 1}}, // each hour takes 4 % of the budget, at 28.8 times the rate
	}
}

func falseScenarios() []scenario {
	from := (begin + evaluator.Minute(at3(15))).Time()
	unseen := func(minutes int) func(int) bool {
		return func(m int) bool { return m < at3(15) || m >= at3(15)+minutes }
	}
	return []scenario{
		{name: "40/s, as usual", traffic: steady(40), usual: tenth},
		{name: "40/s, a deploy each 4 h fails 5 % for 10 s", traffic: steady(40), usual: tenth, fails: func(m int) float64 {
			if m%240 == 100 {
				return 0.05 / 6
			}
			return 0
		}},
		{name: "40/s, all fail for 1 h that is excluded", traffic: steady(40), usual: tenth, fails: during(1, at3(15), at3(15)+60),
			exclude: []slo.Exclusion{{From: from, To: from.Add(time.Hour)}}},
		{name: "40/s, nothing is known for 2 h", traffic: steady(40), usual: tenth, known: unseen(120)},
		{name: "40/s, no scrapes for 20 min, then their counts", traffic: steady(40), usual: tenth, known: unseen(20),
			extra: map[int][2]float64{at3(15) + 20: {48000, 5}}},
		{name: "40/s, no scrapes for 20 min, in which 10 % fail", traffic: steady(40), usual: tenth, known: unseen(20), incidents: [][2]int{{at3(15) + 20, at3(15) + 21}},
			extra: map[int][2]float64{at3(15) + 20: {48000, 4800}}, pages: [2]int{1, 1}, tickets: [2]int{0, 1}, within: 1, by: Page},
	}
}

// observed is an episode of an alert.
type observed struct {
	severity   string
	start, end int // minutes; end is that of the 31 days while it is open
}

// played is what one run of a scenario gives.
type played struct {
	episodes []observed
	bad      []int // ends of the slots with bad requests in incidents
}

// play evaluates a scenario minute by minute, as a process that is up.
func (c scenario) play(t testing.TB, policy string, seed uint64) played {
	t.Helper()
	s := &slo.SLO{
		Service: "shop", Name: "availability", Objective: objective(t, "99.9"), Window: slo.Rolling(30 * day),
		Alerting: slo.Alerting{Policy: policy}, Exclusions: c.exclude,
	}
	if c.window.Length > 0 {
		s.Window = c.window
	}
	before := int((s.Window.Length + day) / minute)
	source, judge := rand.NewPCG(seed, 1), BuiltIn().NewJudge()
	line := evaluator.NewTimeline(begin - evaluator.Minute(before))
	var out played
	open := map[string]int{}
	for m := -before; m < simulated; m++ {
		slot := c.slot(m, source)
		if line.Append(slot); m < 0 {
			continue
		}
		if slot.Bad > 0 && c.incidentAt(m+1, 0) >= 0 {
			out.bad = append(out.bad, m+1)
		}
		firing := map[string]bool{}
		for _, f := range judge(s, line.Without(s), line.End()) {
			firing[f.Severity] = true
			if _, is := open[f.Severity]; !is {
				open[f.Severity] = len(out.episodes)
				out.episodes = append(out.episodes, observed{f.Severity, m + 1, simulated})
			}
		}
		for severity, i := range open {
			if !firing[severity] {
				out.episodes[i].end = m + 1
				delete(open, severity)
			}
		}
	}
	return out
}

// slot are the events of the minute that begins at m.
func (c scenario) slot(m int, source rand.Source) evaluator.Slot {
	ratio := c.usual
	if m >= 0 && c.fails != nil && c.fails(m) > 0 {
		ratio = c.fails(m)
	}
	slot := evaluator.Slot{Total: distuv.Poisson{Lambda: c.traffic((m%aDay + aDay) % aDay), Src: source}.Rand(), Known: true}
	if ratio > 0 && slot.Total > 0 {
		slot.Bad = distuv.Binomial{N: slot.Total, P: ratio, Src: source}.Rand()
	}
	if m >= 0 && c.known != nil && !c.known(m) {
		return evaluator.Slot{}
	}
	more := c.extra[m]
	slot.Total, slot.Bad = slot.Total+more[0], slot.Bad+more[1]
	return slot
}

// incidentAt is the incident that an instant is in, or for so long was; -1 for
// none.
func (c scenario) incidentAt(minute, after int) int {
	return slices.IndexFunc(c.incidents, func(i [2]int) bool { return minute > i[0] && minute <= i[1]+after })
}

// TestScenarios plays each with several seeds, holds what the default policy gives
// against what it must, and what both policies give against docs/alerting.md.
func TestScenarios(t *testing.T) {
	all := scenarios()
	rows := make([][]string, len(all))
	t.Run("play", func(t *testing.T) {
		for i, c := range all {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				for _, policy := range []string{"classic", DefaultPolicy} {
					var row tally
					for seed := range uint64(5) {
						p := c.play(t, policy, seed)
						one := c.tally(p)
						if row.add(one); policy == DefaultPolicy {
							c.check(t, one, fmt.Sprintf("seed %d: %v", seed, p.episodes))
						}
					}
					rows[i] = append(rows[i], row.text(c, policy))
				}
			})
		}
	})
	table := "| service | policy | pages | tickets | page after | ticket after | page ends after | ticket ends after | precision | recall |\n|---|---|---|---|---|---|---|---|---|---|\n" +
		strings.Join(slices.Concat(rows...), "")
	golden(t, "../docs/alerting.md", "scenarios", table)
}

// TestPoliciesScale: an outage and nothing at all, over other windows.
func TestPoliciesScale(t *testing.T) {
	month, err := slo.NewCalendar(slo.Month, "Europe/Berlin")
	require.NoError(t, err)
	for _, window := range []slo.Period{slo.Rolling(day), slo.Rolling(7 * day), slo.Rolling(90 * day), slo.Rolling(365 * day), month} {
		c := scenario{window: window, traffic: steady(40), usual: tenth, fails: during(1, at3(15), at3(15)+30), incidents: incident(30)}
		p := c.play(t, DefaultPolicy, 1)
		got := c.tally(p)
		require.Equal(t, []int{1}, got.pages, "%s: %v", window, p.episodes)
		require.LessOrEqual(t, got.toPage[0], 5, window)
		require.LessOrEqual(t, got.tickets[0], 1, window)
		require.Zero(t, got.wrong, window)
	}
}

// tally is what runs of a scenario give.
type tally struct {
	pages, tickets           []int // of each run
	toPage, toTicket         []int // minutes, of each incident with such an alert
	toEnd, toClose           []int // minutes from the last bad slot, of each page and each ticket
	right, wrong, met, unmet int   // alerts, and incidents
}

func (a *tally) add(b tally) {
	a.pages, a.tickets = append(a.pages, b.pages...), append(a.tickets, b.tickets...)
	a.toPage, a.toTicket = append(a.toPage, b.toPage...), append(a.toTicket, b.toTicket...)
	a.toEnd, a.toClose = append(a.toEnd, b.toEnd...), append(a.toClose, b.toClose...)
	a.right, a.wrong, a.met, a.unmet = a.right+b.right, a.wrong+b.wrong, a.met+b.met, a.unmet+b.unmet
}

// tally counts the alerts of one run. An alert is right when it begins in an
// incident or in the day after it, which it is about all the same.
func (c scenario) tally(p played) tally {
	var out tally
	count := map[string]int{}
	first, found := map[string]map[int]int{Page: {}, Ticket: {}}, map[int]bool{}
	for _, e := range p.episodes {
		count[e.severity]++
		i := c.incidentAt(e.start, aDay)
		if i < 0 {
			out.wrong++
			continue
		}
		out.right++
		found[i] = true
		if e.severity == Page {
			out.toEnd = append(out.toEnd, e.end-lastBad(p.bad, e.end))
		} else {
			out.toClose = append(out.toClose, e.end-lastBad(p.bad, e.end))
		}
		if _, is := first[e.severity][i]; !is {
			first[e.severity][i] = e.start
		}
	}
	out.pages, out.tickets = []int{count[Page]}, []int{count[Ticket]}
	for i, in := range c.incidents {
		begins := p.bad[slices.IndexFunc(p.bad, func(m int) bool { return m > in[0] })]
		if at, is := first[Page][i]; is {
			out.toPage = append(out.toPage, at-begins)
		}
		if at, is := first[Ticket][i]; is {
			out.toTicket = append(out.toTicket, at-begins)
		}
		if found[i] {
			out.met++
		} else {
			out.unmet++
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

// check holds one run by the default policy against what it must give.
func (c scenario) check(t *testing.T, got tally, why string) {
	t.Helper()
	require.GreaterOrEqual(t, got.pages[0], c.pages[0], "pages; "+why)
	require.LessOrEqual(t, got.pages[0], c.pages[1], "pages; "+why)
	require.GreaterOrEqual(t, got.tickets[0], c.tickets[0], "tickets; "+why)
	require.LessOrEqual(t, got.tickets[0], c.tickets[1], "tickets; "+why)
	require.False(t, c.either && got.pages[0]+got.tickets[0] != 1, why)
	require.Zero(t, got.unmet, "incidents without an alert; "+why)
	for _, minutes := range got.toEnd {
		require.LessOrEqual(t, minutes, 15, "to the end of the page; "+why)
	}
	for _, minutes := range got.toClose {
		require.True(t, minutes <= aDay || c.usual == half, "%d to the end of the ticket; %s", minutes, why)
	}
	took := map[string][]int{Page: got.toPage, Ticket: got.toTicket}[c.by]
	require.True(t, c.within == 0 || len(took) == len(c.incidents), why)
	for _, minutes := range took {
		require.LessOrEqual(t, minutes, c.within, why)
	}
}

func (a tally) text(c scenario, policy string) string {
	ratio := func(part, rest int) string {
		if part+rest == 0 {
			return "-"
		}
		return share(float64(part) / float64(part+rest))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", c.name, policy, span(a.pages, ""), span(a.tickets, ""),
		span(a.toPage, " min"), span(a.toTicket, " min"), span(a.toEnd, " min"), span(a.toClose, " min"), ratio(a.right, a.wrong), ratio(a.met, a.unmet))
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

var update = flag.Bool("update", false, "write what documents hold of measurements")

// golden holds a part of a document, between two comments, against text.
func golden(t *testing.T, file, part, text string) {
	t.Helper()
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	begins, ends := "<!-- "+part+" -->\n", "<!-- end of "+part+" -->"
	head, rest, ok := strings.Cut(string(page), begins)
	require.True(t, ok, begins)
	old, tail, ok := strings.Cut(rest, ends)
	require.True(t, ok, ends)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(head+begins+text+ends+tail), 0o600))
		return
	}
	require.Equal(t, text, old, "go test ./alerting -run TestScenarios -update writes it")
}
