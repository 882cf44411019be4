package alerting

import (
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// Windows that became less known than they were when an alert began end nothing: a
// backend that forgets a part of its data, and answers without it, makes bad events
// vanish.

const (
	// ownWindow is the key of the SLO's own window among those that are known.
	ownWindow = ""
	// fallen is by how much the coverage of a window must fall to be less known. A
	// backend that was down for a day of 30 keeps no ticket open.
	fallen = 0.05
)

// shares are the shares of windows that were known, by the names of the windows.
type shares map[string]float64

// sharesOf are the shares that are known of windows of an SLO, and of its own.
func sharesOf(s *evaluator.Status, names ...string) shares {
	out := shares{}
	for _, name := range names {
		if w := windowNamed(s, name); w != nil {
			out[name] = w.Coverage
		}
	}
	return out
}

// knownBy are the shares that are known of the windows that an alert is judged by.
func knownBy(s *evaluator.Status, f evaluator.FiringAlert) shares {
	switch {
	case f.Burns():
		return sharesOf(s, f.Windows...)
	case f.Name == slo.ForecastAlert && len(s.Windows) > 1:
		return sharesOf(s, ownWindow, s.Windows[len(s.Windows)-2].Name)
	case f.Name == slo.ExhaustedAlert || f.Name == slo.PolicyAlert:
		return sharesOf(s, ownWindow)
	}
	return nil
}

// windowNamed is a window of an SLO, nil where it has none of that name.
func windowNamed(s *evaluator.Status, name string) *evaluator.WindowStatus {
	for i := range s.Windows {
		if w := &s.Windows[i]; w.Name == name || name == ownWindow && i == len(s.Windows)-1 {
			return w
		}
	}
	return nil
}

// fell counts the windows that are less known now than they were.
func (k shares) fell(s *evaluator.Status) int {
	n := 0
	for name, was := range k {
		w := windowNamed(s, name)
		if w == nil {
			continue
		}
		lost := was - w.Coverage
		slots := lost * float64(w.Seconds) / 60
		if lost > fallen && slots > 2.5 || was >= knownEnough && w.Coverage < knownEnough && slots > 0.5 {
			n++ // the newest two slots may not be scraped yet
		}
	}
	return n
}

// uncertain reports whether the numbers of an SLO end an alert only for want of data:
// of those that the alert began by, a burn alert needs one window that is as well
// known, an alert about a budget needs all.
func (a Alert) uncertain(s *evaluator.Status) bool {
	fell := a.known.fell(s)
	if a.burns {
		return fell > 0 && fell == len(a.known)
	}
	start := s.Budget.PeriodStart
	return fell > 0 && (start == nil || !a.held.Before(*start)) // a new period ends the old one's
}

// keepKnown keeps what was known when an alert that goes on began.
func keepKnown(a, before Alert) Alert {
	if before.known != nil && a.StartsAt.Equal(before.StartsAt) {
		a.known = before.known
	}
	return a
}

// waits reports whether an alert that nothing confirms any more is held because too
// little is known to end it: a burn alert for an hour.
func (a Alert) waits(s *evaluator.Status, now time.Time) bool {
	return a.uncertain(s) && (!a.burns || now.Sub(a.held) <= holdFailed)
}
