package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// withHeld returns the firing alerts of an SLO, pages first, with those of the report before
// that the numbers can neither confirm nor end.
func withHeld(s *evaluator.Status, firing, before []evaluator.FiringAlert, now time.Time) []evaluator.FiringAlert {
	if len(firing) == 0 && len(before) == 0 {
		return firing
	}
	was := map[string]evaluator.FiringAlert{}
	for _, b := range before {
		was[alertKey(s, b)] = b
	}
	for i := range firing {
		f := &firing[i]
		f.Known = coverageNow(s, *f)
		if !f.Burns() {
			f.Held = s.At
		}
		k := alertKey(s, *f)
		b, goesOn := was[k]
		if goesOn && f.Older && b.Since.Before(f.Since) { // the one that read more history has the date
			f.Since = b.Since
		}
		if goesOn && b.Since.Equal(f.Since) {
			f.Known = b.Known
		}
		delete(was, k)
	}
	held := 0
	for _, k := range slices.Sorted(maps.Keys(was)) {
		f := was[k]
		if f.Waits = holdReason(s, f, now); f.Waits == "" {
			continue
		}
		f.Holds, f.Until, f.Among, f.Row = false, time.Time{}, "", 0
		firing = append(firing, f)
		held++
	}
	if held > 0 {
		slices.SortStableFunc(firing, func(a, b evaluator.FiringAlert) int { return cmp.Compare(a.Severity, b.Severity) })
	}
	return firing
}

// missingGroups returns the alerts of groups that a report lacks because too little of their
// whole is read to find them.
func missingGroups(before map[string][]evaluator.FiringAlert, r *evaluator.Report) map[string][]evaluator.FiringAlert {
	out := map[string][]evaluator.FiringAlert{}
	if len(before) == 0 {
		return out
	}
	byID := statuses(r)
	for id, alerts := range before {
		if byID[id] != nil || !mayBeFound(id, byID) {
			continue
		}
		alerts = slices.DeleteFunc(slices.Clone(alerts), func(a evaluator.FiringAlert) bool { return r.EvaluatedAt.Sub(a.Held) > holdFailed })
		if len(alerts) > 0 {
			out[id] = alerts
		}
	}
	return out
}

// holdReason returns why an alert that the numbers do not confirm is held, "" if it is over
// or was held for long enough. Any alert is held for an hour while history is being read or
// the backend can't be read. If too little is known, a burn alert is held for an hour, and
// one about a budget as long as that is so.
func holdReason(s *evaluator.Status, f evaluator.FiringAlert, now time.Time) string {
	failed, recent := s.State == evaluator.StateQueryFailed, now.Sub(f.Held) <= holdFailed
	switch {
	case f.Burns() && s.Excluded.Now && !failed, s.Spec.Alerting.Severity(f.Severity).Disabled, failed && !recent:
		return ""
	case failed:
		return "the backend can't be read: " + s.StateReason
	case recent && s.State == evaluator.StateWarming:
		return "the history that decides is still being read"
	case uncertain(s, f) && (recent || !f.Burns()):
		return "too little is known to end it: " + lostText(s, f)
	}
	return ""
}

// uncertain reports whether too little is known to end an alert. A burn alert can end if one
// of its windows is known as well as when it began, an alert about a budget only if all are.
func uncertain(s *evaluator.Status, f evaluator.FiringAlert) bool {
	fell := shares(f.Known).lessKnown(s, !f.Burns())
	if f.Burns() {
		return fell > 0 && fell == len(f.Known)
	}
	start := s.Budget.PeriodStart
	return fell > 0 && (start == nil || !f.Held.Before(*start)) // a new period ends the old one's
}

// lostText returns how much is known of those windows of an alert that are less known now.
func lostText(s *evaluator.Status, f evaluator.FiringAlert) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f.Known)) {
		if w := windowNamed(s, name); w != nil && w.Coverage < f.Known[name] {
			share := "nothing"
			if w.Coverage > 0 {
				share = humanize.Digits(100*w.Coverage, 3) + " %"
			}
			out = append(out, share+" of the last "+w.Name)
		}
	}
	return strings.Join(out, " and ") + ", less than when it began"
}

// heldText returns the words of an alert that is held.
func heldText(s *evaluator.Status, f evaluator.FiringAlert) (summary, description string) {
	was := "burned its error budget too fast"
	switch f.Name {
	case slo.ExhaustedAlert:
		was = "had spent its error budget"
	case slo.ForecastAlert:
		was = "was about to spend its error budget"
	case slo.PolicyAlert:
		was = "had less than " + belowText(f) + " of its error budget left"
	case slo.NoDataAlert:
		was = "had no data"
	}
	return titleOf(s) + " " + was + "; whether it is over is not known",
		fmt.Sprintf("The alert began %s. The numbers of now do not confirm it, and it is held because %s.", beganText(f), f.Waits)
}
