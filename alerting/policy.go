// Package alerting decides when to wake somebody: alert policies, and the judge that
// applies them to the timeline of an SLO. Package notify posts what fires, backtest
// applies policies to the past, and rules writes the rule files that let a Prometheus
// judge.
//
// It imports slo, slo/humanize, evaluator and evaluator/timeline, and config/yamlfile for
// names that are nearly right.
package alerting

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Policy decides when to wake somebody, as data. An alert of a severity fires while any
// tier of it does.
type Policy struct {
	Name  string
	Tiers []Tier // as they are for an SLO over 30 d
}

// Tier is one line of a policy. It begins when the burn rates over both of its
// windows are above its factor and the guards hold, and goes on while they are
// above Reset: guards are asked once.
type Tier struct {
	Name, Severity string  // "fast", "page"
	Factor         float64 // burn rate
	BadShare       float64 // ratio of bad events, in place of a factor; its windows don't scale
	Runs           int     // bad runs in a row, in place of a factor; it goes on until the next good run
	Long, Short    slo.Window
	Reset          float64       // burn rate; that of the factor where it is 0
	For            time.Duration // for which it must hold before it fires
	KeepFiringFor  time.Duration // for which it goes on when it no longer holds

	MinBad       float64 // guard: bad events in the long window
	MinBudget    float64 // guard: bad events in the long window, as a ratio of what the SLO's own window allows
	Significance float64 // guard: probability; see BeyondChance. 0 asks for none
}

// Policies contains the policies that SLOs can choose, by name.
type Policies map[string]Policy

// BuiltIn returns the policies that exist without any configuration.
func BuiltIn() Policies {
	return Policies{"classic": Classic(), slo.DefaultPolicy: Default(), slo.JobsPolicy: Jobs()}
}

const (
	minute = slo.Window(time.Minute)
	hour   = 60 * minute
	day    = 24 * hour
)

// Classic returns the multiwindow, multi-burn-rate policy of the SRE workbook
// (chapter 5, "Alerting on SLOs").
func Classic() Policy {
	return Policy{"classic", []Tier{
		{Name: "fast", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute},
		{Name: "slow", Severity: slo.Page, Factor: 6, Long: 6 * hour, Short: 30 * minute},
		{Name: "daily", Severity: slo.Ticket, Factor: 3, Long: day, Short: 2 * hour},
		{Name: "trend", Severity: slo.Ticket, Factor: 1, Long: 3 * day, Short: 6 * hour},
	}}
}

// Default returns the classic policy for traffic that is neither even nor heavy.
//
//   - fast, slow and daily also demand evidence, and half of the budget that their
//     window takes at their factor with even traffic: 1 of 720 hours at 14.4 takes 2 %.
//   - slow has a shorter short window, so that its page ends 15 min after the last
//     bad slot, as those of the other tiers do.
//   - outage needs no weight: nearly everything failed for 5 min.
//   - trickle takes the place of trend. Its windows hold whole days, so failures of every
//     night are one alert. Its low reset makes one ticket of a service at its limit.
func Default() Policy {
	return Policy{slo.DefaultPolicy, []Tier{
		{Name: "fast", Severity: slo.Page, Factor: 14.4, Long: hour, Short: 5 * minute,
			KeepFiringFor: 10 * time.Minute, MinBudget: 0.01, Significance: 1e-5},
		{Name: "slow", Severity: slo.Page, Factor: 6, Long: 6 * hour, Short: 15 * minute, MinBudget: 0.025, Significance: 1e-5},
		{Name: "outage", Severity: slo.Page, BadShare: outageShare, Long: 5 * minute, Short: 5 * minute,
			KeepFiringFor: 10 * time.Minute, MinBad: 5, Significance: 1e-5},
		{Name: "daily", Severity: slo.Ticket, Factor: 3, Long: day, Short: 2 * hour, MinBudget: 0.05, Significance: 1e-4},
		{Name: "trickle", Severity: slo.Ticket, Factor: 1, Long: 3 * day, Short: day, Reset: 0.75, MinBudget: 0.05, Significance: 1e-4},
	}}
}

// Jobs returns the policy for runs of jobs, which are too few for a rate. One that is
// missed or fails is a ticket, two in a row are a page, until the next good one.
func Jobs() Policy {
	return Policy{slo.JobsPolicy, []Tier{
		{Name: "again", Severity: slo.Page, Runs: 2},
		{Name: "missed", Severity: slo.Ticket, Runs: 1},
	}}
}

// outageShare is the ratio of bad events that counts as a total outage. It replaces
// factors that no share of bad events can reach.
const outageShare = 0.95

// policyWindow is the window of an SLO for which policies are written.
const policyWindow = 30 * day

// Tiers returns the tiers of an SLO, by its policy. Factors stay as they are. A long
// window becomes the same part of the SLO's window as it is of 30 d, a short window the
// same part of the long one, both rounded up to a window of ladder. Calendar windows use
// their nominal length. A tier whose long window exceeds a quarter of the SLO's own is
// dropped, because the budget shows the same.
//
// If rounding gives two tiers of a severity the same windows, only the more sensitive one
// is kept. Tiers with a share of bad events keep the windows that they are written with.
// If no window is long enough, a tier demands as much less of the budget.
//
// A short window should hold four scrapes or more. The scrape interval is unknown here, so
// the lower bound is 5 m, which is enough for scrapes up to 75 s apart. No window is
// shorter than a time slice, because most such windows would hold none.
func (p Policies) Tiers(s *slo.SLO) []Tier {
	var tiers []Tier
	for _, t := range p.Chosen(s).Tiers {
		if t = t.scaled(s, leastWindow(s)); t.dropped(s) {
			continue
		}
		if !slices.ContainsFunc(tiers, func(u Tier) bool { return u.covers(t) }) {
			tiers = append(slices.DeleteFunc(tiers, t.covers), t)
		}
	}
	return tiers
}

// covers reports whether a tier fires whenever another does.
func (t Tier) covers(u Tier) bool {
	return t.Runs == u.Runs && u.Severity == t.Severity && u.Long == t.Long && u.Short == t.Short &&
		t.Factor <= u.Factor && t.Reset <= u.Reset && t.For <= u.For && t.KeepFiringFor >= u.KeepFiringFor &&
		t.MinBad <= u.MinBad && t.MinBudget <= u.MinBudget &&
		(t.Significance == 0 || u.Significance > 0 && t.Significance >= u.Significance)
}

// leastWindow returns the shortest window that the tiers of an SLO can have, so that each
// holds an event.
func leastWindow(s *slo.SLO) slo.Window {
	if s.Slice != nil {
		return s.Slice.Length
	}
	return slo.Window(runInterval(s))
}

// runInterval returns the time between two runs of a job, 0 if the SLO has none. A
// worst_of of jobs has that of its most frequent job.
func runInterval(s *slo.SLO) time.Duration {
	switch i := s.Indicator.(type) { // its Measure would compile patterns, in each cycle
	case slo.JobRuns:
		runs, _ := i.Numbers.(slo.Runs)
		return runs.Every
	case *slo.WorstOf:
		var intervals []time.Duration
		for _, part := range i.Parts {
			intervals = append(intervals, runInterval(part))
		}
		return slices.Min(intervals)
	}
	return 0
}

// dropped reports whether an SLO does not have a tier that was scaled for it.
func (t Tier) dropped(s *slo.SLO) bool {
	if t.Runs > 0 {
		return s.Unit() != slo.UnitRuns
	}
	return t.Long > s.Window.Length/4 && t.BadShare == 0
}

// scaled returns a tier for an SLO, with windows that are at least so long.
func (t Tier) scaled(s *slo.SLO, least slo.Window) Tier {
	switch {
	case t.Runs > 0:
		t.Factor = s.Objective.BurnRate(outageShare, 1)
		t.Long = scaleWindow(max(least*slo.Window(t.Runs), day), minute, minute)
		t.Short = t.Long
	case t.BadShare > 0:
		t.Factor = s.Objective.BurnRate(t.BadShare, 1)
		t.Long, t.Short = max(t.Long, least), max(t.Short, least)
	default:
		long := max(scaleWindow(s.Window.Length, t.Long, policyWindow), scaleWindow(least, minute, minute))
		t.MinBudget *= min(1, ratio(long, s.Window.Length)/ratio(t.Long, policyWindow))
		t.Long, t.Short = long, max(scaleWindow(long, t.Short, t.Long), scaleWindow(least, minute, minute))
		t.Factor = reachable(t.Factor, s.Objective)
	}
	if t.Reset == 0 || t.Reset > t.Factor {
		t.Reset = t.Factor
	}
	return t
}

// Chosen returns the policy of an SLO. One that names none, or one that Check reports as
// unknown, has the policy of runs or the default one.
func (p Policies) Chosen(s *slo.SLO) Policy {
	if own, ok := p[s.Alerting.Policy]; ok {
		return own
	}
	if jobs, ok := p[slo.JobsPolicy]; ok && s.Alerting.Policy == "" && s.Unit() == slo.UnitRuns {
		return jobs
	}
	return p[slo.DefaultPolicy]
}

// Windows returns the windows to publish for an SLO: those of its tiers, each once and
// ascending, with the SLO's own window last.
func (p Policies) Windows(s *slo.SLO) []slo.Window { return Windows(p.Tiers(s), s.Window.Length) }

// Windows returns all windows of tiers, each once and ascending, with w, the SLO's own
// window, last.
func Windows(tiers []Tier, w slo.Window) []slo.Window {
	var out []slo.Window
	for _, t := range tiers {
		out = append(out, t.Long, t.Short)
	}
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(x slo.Window) bool { return x == w })
	return append(out, w)
}

// Blind returns the names of the tiers of an SLO whose windows are shorter than the
// shortest that has burn rates.
func (p Policies) Blind(s *slo.SLO, least time.Duration) []string {
	var out []string
	for _, t := range p.Tiers(s) {
		if t.Long.Duration() < least {
			out = append(out, t.Name)
		}
	}
	return out
}

// PageWindow returns the longest window that pages for an SLO. Without events for so
// long, it has no traffic.
func (p Policies) PageWindow(s *slo.SLO) slo.Window { return PageWindow(p.Tiers(s)) }

// PageWindow returns the longest window of tiers that page. It is an hour, which each
// SLO's window holds, if none does.
func PageWindow(tiers []Tier) slo.Window {
	longest := slo.Window(0)
	for _, t := range tiers {
		if t.Severity == slo.Page {
			longest = max(longest, t.Long)
		}
	}
	if longest == 0 {
		return hour
	}
	return longest
}

// ladder returns the windows of policies. Longer ones become the last.
func ladder() []slo.Window {
	return []slo.Window{
		5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 6 * hour, 12 * hour, day, 3 * day, 7 * day,
	}
}

// scaleWindow returns w*n/of, rounded up to a window of ladder.
func scaleWindow(w, n, of slo.Window) slo.Window {
	steps := ladder()
	for _, s := range steps {
		if seconds(s)*seconds(of) >= seconds(w)*seconds(n) {
			return s
		}
	}
	return steps[len(steps)-1]
}

func ratio(w, of slo.Window) float64 { return float64(seconds(w)) / float64(seconds(of)) }

func seconds(w slo.Window) int64 { return int64(w.Duration() / time.Second) }

// reachable returns the factor. If even the failure of all events burns no faster,
// factor*(1-o) >= 1, it returns the burn rate of a total outage.
func reachable(factor float64, o slo.Objective) float64 {
	if factor >= o.BurnRate(1, 1) {
		return o.BurnRate(outageShare, 1)
	}
	return factor
}

// Names returns the names of the policies, sorted.
func (p Policies) Names() string {
	return strings.Join(slices.Sorted(maps.Keys(p)), ", ")
}
