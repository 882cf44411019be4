package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/dashboards/figures"
	"github.com/slowburn-slo/slowburn/dashboards/web/triage"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// alert is a firing alert, in the words that were sent.
type alert struct {
	Severity, Icon, Tier string
	Kind                 string // how it is painted: page or ticket
	Summary, Description string
	Since                *figures.Moment
	For                  string
	Before               string // " or before" of an alert that is older than what was read
	Windows              string
	Course               string // whether it goes on, or when it ends
}

// newAlerts are the alerts of an SLO, pages first.
func newAlerts(st *evaluator.Status, now time.Time) []alert {
	var out []alert
	for _, a := range st.Alerts {
		n := alert{
			Severity: a.Severity, Icon: "◆", Kind: alerting.Ticket, Tier: a.Tier, Since: figures.NewMoment(&a.Since, now),
			For: figures.Duration(max(now.Sub(a.Since), 0).Truncate(time.Minute)), Windows: strings.Join(a.Windows, " and "),
			Summary: cmp.Or(a.Summary, a.Name, a.Severity), Description: a.Description, Course: course(st, a, now),
		}
		if a.Older {
			n.Before, n.For = " or before", n.For+" or more"
		}
		if a.Severity == alerting.Page {
			n.Icon, n.Kind = "▲", alerting.Page
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b alert) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// present is how bad it is now, over the shortest window of the alert that fires or
// is about to.
type present struct {
	Share, Rate, Window, Allowed string
	Bad                          bool // more than is allowed
	Text                         string
}

// newPresent is nil when nothing fires by a burn rate or is about to.
func (s *server) newPresent(st *evaluator.Status, unit string) *present {
	name, text := "", ""
	if a := worstBurn(st); a != nil {
		name = a.Windows[len(a.Windows)-1]
	} else if b := s.order().Nearest(st); b != nil && !unknown(st) {
		name, text = b.Tier.Short.String(), "no alert fires yet; a "+b.Tier.Severity+" does at "+figures.BurnRate(&b.Tier.Factor)+" times"
	}
	i := slices.IndexFunc(st.Windows, func(w evaluator.WindowStatus) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	w, allowed := st.Windows[i], allowedRatio(st.Objective)
	p := &present{Share: "unknown", Window: w.Name, Allowed: figures.Share(allowed), Text: text}
	switch {
	case w.Coverage == 0:
	case w.Total <= 0 && w.Bad <= 0:
		p.Share = "no " + unit
	case w.Bad <= 0:
		p.Share = "nothing fails"
	default:
		share := min(w.Bad/max(w.Total, w.Bad), 1)
		p.Share, p.Bad = figures.Share(share)+" fail", share > allowed
		if w.BurnRate != nil {
			p.Rate = figures.BurnRate(w.BurnRate)
		}
	}
	return p
}

// worstBurn is the firing alert about the burn rate that is shown first.
func worstBurn(st *evaluator.Status) *evaluator.FiringAlert {
	var worst *evaluator.FiringAlert
	for i, a := range st.Alerts {
		if a.Burns() && (worst == nil || a.Severity == alerting.Page && worst.Severity != alerting.Page) {
			worst = &st.Alerts[i]
		}
	}
	return worst
}

// course says whether an alert about the burn rate goes on, or when it ends if
// nothing more fails. The status of an SLO that can't be read says nothing of now.
func course(st *evaluator.Status, a evaluator.FiringAlert, now time.Time) string {
	if !a.Burns() || unknown(st) || st.At.IsZero() || a.Until.IsZero() {
		return ""
	}
	until, last := a.Until, lastBad(st)
	calm := !last.IsZero() && last.Before(st.At.Add(-time.Minute))
	if a.Holds {
		short := slices.IndexFunc(st.Windows, func(w evaluator.WindowStatus) bool { return w.Name == a.Windows[len(a.Windows)-1] })
		if !calm || short < 0 {
			return "It goes on."
		}
		until = last.Add(time.Duration(st.Windows[short].Seconds)*time.Second + a.Until.Sub(st.At))
	}
	if soonest := st.At.Add(time.Minute); until.Before(soonest) {
		until = soonest
	}
	end := figures.NewMoment(&until, now)
	text := "It has stopped holding"
	if calm {
		text = "Nothing failed beyond what is allowed since " + figures.NewMoment(&last, now).Text
	}
	return text + "; the " + a.Severity + " ends about " + end.Text + " if it stays so."
}

// lastBad is the end of the newest part of the time around the alert in which more
// was bad than is allowed; zero when the newest part is unknown, or when there is none.
func lastBad(st *evaluator.Status) time.Time {
	allowed := allowedRatio(st.Objective)
	for i, b := range slices.Backward(st.Burning) {
		switch {
		case i == len(st.Burning)-1 && b.Coverage == 0:
			return time.Time{}
		case b.Bad > allowed*max(b.Total, b.Bad):
			return b.End
		}
	}
	return time.Time{}
}

// burningBadge names what is about to fire.
func burningBadge(b triage.Burn) string { return "Burning " + figures.BurnRate(&b.Rate) + "×" }
