// Package alerting says when to wake somebody: alert policies, the rule files
// that let a Prometheus do the same work, and the state of alerts.
//
// A use, from one SLO to the rule file that records and alerts on it:
//
//	text, err := alerting.RuleFile("checkout.yaml", slos, alerting.RuleOptions{Alerts: true})
package alerting

import (
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// The severities of alerts: a page wakes somebody, a ticket waits for the
// working day.
const (
	Page   = "page"
	Ticket = "ticket"
)

// Tier is one line of an alert policy. It holds while the burn rates over both
// of its windows are above its factor.
type Tier struct {
	Name, Severity string  // "fast", "page"
	Factor         float64 // burn rate
	Long, Short    slo.Window
}

// outageShare is the share of bad events that counts as a total outage, in
// percent. It stands in for factors that no share of bad events can reach.
const outageShare = 95

// Classic is the multiwindow, multi-burn-rate policy of the SRE workbook
// (chapter 5, "Alerting on SLOs") for an SLO over w. Long windows are a fixed
// part of w and short ones a twelfth of the long, both rounded up to a window
// of ladder. A tier whose long window exceeds a quarter of w is dropped: what
// it says, the budget says already.
//
// Tiers of one severity with the same windows are one: their alert is the OR
// of both, which is the tier with the lower factor.
//
// A short window should hold four scrapes or more. Rules can't know the
// interval of scraping, so here its lower bound is 5 m alone, which is enough
// for scrapes up to 75 s apart.
func Classic(w slo.Window, o slo.Objective) []Tier { return classic(w, o, 0) }

// classic are the tiers whose windows are at least so long.
func classic(w slo.Window, o slo.Objective, least slo.Window) []Tier {
	shares := []struct {
		name, severity string
		factor         float64
		part           int64 // the long window is w/part
	}{
		{"fast", Page, 14.4, 720},
		{"slow", Page, 6, 120},
		{"daily", Ticket, 3, 30},
		{"trend", Ticket, 1, 10},
	}
	var tiers []Tier
	for _, s := range shares {
		long := max(part(w, s.part), part(least, 1))
		if long > w/4 {
			continue
		}
		t := Tier{s.name, s.severity, reachable(s.factor, o), long, max(part(long, 12), part(least, 1))}
		same := slices.IndexFunc(tiers, func(u Tier) bool {
			return u.Severity == t.Severity && u.Long == t.Long && u.Short == t.Short
		})
		switch {
		case same < 0:
			tiers = append(tiers, t)
		case t.Factor < tiers[same].Factor:
			tiers[same] = t
		}
	}
	return tiers
}

// Tiers are those of the classic policy for an SLO. A window that is shorter than
// a slice holds one now and then, and no slice most of the time: where time slices
// are counted none is.
func Tiers(s *slo.SLO) []Tier {
	if s.Slice == nil {
		return Classic(s.Window.Length, s.Objective)
	}
	return classic(s.Window.Length, s.Objective, s.Slice.Length)
}

// Windows are all windows of the tiers, each once and ascending, with w, the
// SLO's own window, last.
func Windows(tiers []Tier, w slo.Window) []slo.Window {
	var out []slo.Window
	for _, t := range tiers {
		out = append(out, t.Long, t.Short)
	}
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(x slo.Window) bool { return x == w })
	return append(out, w)
}

// PageWindow is the longest window of the classic policy that pages. When
// nothing happened for so long, an SLO has no traffic.
func PageWindow(s *slo.SLO) slo.Window { return pageWindow(Tiers(s)) }

func pageWindow(tiers []Tier) slo.Window {
	longest := slo.Window(0)
	for _, t := range tiers {
		if t.Severity == Page {
			longest = max(longest, t.Long)
		}
	}
	return longest
}

// ladder are the windows of policies. What is longer than the last becomes it.
func ladder() []slo.Window {
	const minute, hour, day = slo.Window(time.Minute), slo.Window(time.Hour), slo.Window(24 * time.Hour)
	return []slo.Window{
		5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 6 * hour, 12 * hour, day, 3 * day, 7 * day,
	}
}

// part is w/n, rounded up to a window of ladder.
func part(w slo.Window, n int64) slo.Window {
	steps := ladder()
	for _, s := range steps {
		if s*slo.Window(n) >= w {
			return s
		}
	}
	return steps[len(steps)-1]
}

// reachable is the factor, or the burn rate of a total outage where even the
// failure of all events burns no faster than the factor: factor*(1-o) >= 1.
func reachable(factor float64, o slo.Objective) float64 {
	if factor >= o.BurnRate(1, 1) {
		return o.BurnRate(outageShare, 100)
	}
	return factor
}
