package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// alert is a firing alert, in the words of its notification.
type alert struct {
	Severity, Icon, Tier string
	Kind                 string // how it is painted: page or ticket
	Summary, Description string
	Since                *humanize.Moment
	For                  string
	Before               string // " or before", if the alert is older than the history
	Windows              string
	Course               string // whether it goes on, or when it ends
}

// newAlerts are the alerts of an SLO, pages first.
func newAlerts(st *evaluator.Status, now time.Time) []alert {
	var out []alert
	for _, a := range st.Alerts {
		n := alert{
			Severity: a.Severity, Icon: "◆", Kind: slo.Ticket, Tier: a.Tier, Since: humanize.NewMoment(&a.Since, now),
			For: ageText(now.Sub(a.Since)), Windows: strings.Join(a.Windows, " and "),
			Summary: cmp.Or(a.Summary, a.Name, a.Severity), Description: a.Description, Course: course(st, a, now),
		}
		if a.Older {
			n.Before, n.For = " or before", n.For+" or more"
		}
		if a.Severity == slo.Page {
			n.Icon, n.Kind = "▲", slo.Page
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b alert) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// ageText returns an age in minutes, or in seconds below a minute.
func ageText(d time.Duration) string {
	unit := time.Minute
	if d < unit {
		unit = time.Second
	}
	return humanize.Duration(d.Truncate(unit))
}

// present is how bad it is now, over the shortest window of the alert that fires or is about
// to fire. If the backend can't be read, it is how bad it was.
type present struct {
	When, Share, Rate, Allowed string
	Bad                        bool // more than is allowed, and now
	Text                       string
}

// newPresent returns nil when no alert about the burn rate fires or is about to fire.
func (s *server) newPresent(st *evaluator.Status, unit string, now time.Time) *present {
	name, text := "", ""
	if a := worstBurn(st); a != nil {
		name = a.Windows[len(a.Windows)-1]
	} else if b := s.order().Nearest(st); b != nil && !summary.IsUnknown(st) {
		name, text = b.Tier.Short.String(), "no alert fires yet; a "+b.Tier.Severity+" does at "+humanize.BurnRate(&b.Tier.Factor)+" times"
	}
	i := slices.IndexFunc(st.Windows, func(w evaluator.WindowStatus) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	w, allowed := st.Windows[i], summary.Allowed(st)
	name = w.Name
	if w.Coverage > 0 && w.Coverage < summary.WellKnown {
		name += " (" + humanize.Percent(&w.Coverage) + " known)"
	}
	p := &present{When: "Now, last " + name, Share: "unknown", Allowed: humanize.Share(allowed), Text: text}
	past, verb := outdated(st, now), " fail"
	last := calmSince(st)
	switch {
	case past:
		verb = " failed"
		p.When = "Last known, " + name + " until " + humanize.NewMoment(&w.End, now).Text
		p.Text = "nothing newer is known"
	case !last.IsZero() && w.Bad > 0:
		verb, p.Text = " failed", "within that since "+humanize.NewMoment(&last, now).Text
	}
	switch {
	case w.Coverage == 0:
	case w.Total <= 0 && w.Bad <= 0:
		p.Share = "no " + unit
	case w.Bad <= 0:
		p.Share = "nothing fails"
		if past {
			p.Share = "nothing failed"
		}
	default:
		share := min(w.Bad/max(w.Total, w.Bad), 1)
		p.Share, p.Bad = humanize.Share(share)+verb, share > allowed && !past
		if w.BurnRate != nil {
			p.Rate = humanize.BurnRate(w.BurnRate)
		}
	}
	return p
}

// worstBurn returns the firing alert about the burn rate that is shown first.
func worstBurn(st *evaluator.Status) *evaluator.FiringAlert {
	var worst *evaluator.FiringAlert
	for i, a := range st.Alerts {
		if a.Burns() && (worst == nil || a.Severity == slo.Page && worst.Severity != slo.Page) {
			worst = &st.Alerts[i]
		}
	}
	return worst
}

// course returns whether an alert about the burn rate goes on, or when it ends if nothing
// more fails.
func course(st *evaluator.Status, a evaluator.FiringAlert, now time.Time) string {
	switch {
	case !a.Burns() || a.Waits != "" || st.At.IsZero():
		return ""
	case outdated(st, now):
		return "Whether it goes on is not known."
	case a.Until.IsZero():
		return ""
	}
	until, last := a.Until, calmSince(st)
	calm := !last.IsZero()
	if a.Holds {
		short := slices.IndexFunc(st.Windows, func(w evaluator.WindowStatus) bool { return w.Name == a.Windows[len(a.Windows)-1] })
		if !calm || short < 0 {
			return "It goes on."
		}
		until = last.Add(time.Duration(st.Windows[short].Seconds)*time.Second - time.Minute + a.Until.Sub(st.At))
	}
	if soonest := st.At.Add(time.Minute); until.Before(soonest) {
		until = soonest
	}
	end := humanize.NewMoment(&until, now)
	text := "It has stopped holding"
	if calm {
		text = "Nothing failed beyond what is allowed since " + humanize.NewMoment(&last, now).Text
	}
	return text + "; the " + a.Severity + " ends about " + end.Text + " if it stays so."
}

// outdated reports whether an SLO's numbers are not those of now.
func outdated(st *evaluator.Status, now time.Time) bool {
	return summary.IsUnknown(st) || now.Sub(st.At) > lateAfter
}

// calmSince returns the end of the last bad time around the alert, if that is more than a
// minute before the numbers, else zero.
func calmSince(st *evaluator.Status) time.Time {
	if last := lastBad(st); last.Before(st.At.Add(-time.Minute)) {
		return last
	}
	return time.Time{}
}

// lastBad returns the end of the newest part of the time around the alert with more bad
// events than allowed. It is zero without one, or if a part after it is unknown.
func lastBad(st *evaluator.Status) time.Time {
	allowed := summary.Allowed(st)
	for _, b := range slices.Backward(st.Burning) {
		switch {
		case b.Coverage == 0:
			return time.Time{}
		case b.Bad > allowed*max(b.Total, b.Bad):
			return b.End
		}
	}
	return time.Time{}
}

// burningBadge returns the badge of an alert that is about to fire.
func burningBadge(b summary.Burn) string { return "Burning " + humanize.BurnRate(&b.Rate) + "×" }
