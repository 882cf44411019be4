package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// blindFor is how long a backend can't be read before an alert begins.
	blindFor = 10 * time.Minute
	// holdFailed is how long an alert is held while the backend can't be read.
	holdFailed = time.Hour
)

// Completer completes the alerts of reports, one after another, so that the same alerts are
// shown and sent. It adds their words, alerts about the data, and alerts that are held
// because too little is known to end them. Its methods other than Restore belong to the
// goroutine that makes the reports.
type Completer struct {
	externalURL string
	at          time.Time                          // the instant of the report before
	firing      map[string][]evaluator.FiringAlert // in it, by the ids of SLOs
	unreadSince map[string]time.Time               // since when SLOs that were never read can't be read, by their ids
	restored    restored
}

// NewCompleter makes a Completer. externalURL is where the pages are, for links; it may
// be "".
func NewCompleter(externalURL string) *Completer { return &Completer{externalURL: externalURL} }

// TakeOver makes a Completer go on with the alerts of another one, whose reports have ended.
func (c *Completer) TakeOver(old *Completer) {
	c.at, c.firing, c.unreadSince = old.at, old.firing, old.unreadSince
}

// Complete completes the alerts of a report.
func (c *Completer) Complete(r *evaluator.Report) {
	now := r.EvaluatedAt
	if now.Before(c.at.Add(-clockStep)) { // what fired is of a clock that was wrong
		c.firing = nil
	}
	before := c.before(r)
	c.at, c.firing = now, missingGroups(before, r)
	blind, groups := c.blind(r, now), groupsOf(r)
	for i := range r.SLOs {
		s := &r.SLOs[i]
		alerts := slices.Clone(s.Alerts) // the loop keeps its own
		if a := noData(s, now, before[s.ID]); a != nil {
			alerts = append(alerts, *a)
		}
		if s.State == evaluator.StateQueryFailed && now.Sub(s.At) > holdFailed {
			alerts = nil
		}
		alerts = withHeld(s, alerts, before[s.ID], now)
		if len(alerts) > 0 {
			c.firing[s.ID] = slices.Clone(alerts)
		}
		for j := range alerts {
			if alerts[j].Waits == "" {
				alerts[j].Among = firingGroups(s, alerts[j], groups[s.Service+"/"+s.SLO])
			}
			alerts[j].Annotations = annotationsOf(s, alerts[j], c.externalURL)
		}
		if a := blind[s.Backend]; a != nil && unreadable(s) {
			alerts = append(alerts, *a)
		}
		for j := range alerts {
			a := &alerts[j]
			a.Summary, a.Description = a.Annotations["summary"], a.Annotations["description"]
		}
		if s.Alerts = alerts; alerts == nil {
			s.Alerts = []evaluator.FiringAlert{}
		}
	}
}

// noData returns the alert that an SLO has no data, nil while it does not fire. The time
// counts from the last sample or, without any, from when the SLO came. After excluded time
// it counts from zero again. An alert that fired before keeps its time, because a process
// that starts may be unable to find the last sample.
func noData(s *evaluator.Status, now time.Time, before []evaluator.FiringAlert) *evaluator.FiringAlert {
	n := s.Spec.Alerting.NoData
	if len(s.Group) > 0 || s.Missing == nil || s.Spec.Alerting.Severity(n.SeverityName()).Disabled {
		return nil
	}
	if s.State != evaluator.StateNoData {
		now = s.Missing.At // nothing begins while the data can't be read
	}
	since := s.Missing.Since.Add(n.After())
	for _, away := range s.Excluded.Spans {
		if since.After(away.From) && since.Before(away.To.Add(n.After())) && s.Missing.Since.Before(away.To) {
			since = away.To.Add(n.After())
		}
	}
	for _, b := range before {
		if b.Name == slo.NoDataAlert && b.Since.Before(since) && s.Missing.Never && s.State == evaluator.StateNoData {
			since = b.Since
		}
	}
	if since.After(now) {
		return nil
	}
	return &evaluator.FiringAlert{Name: slo.NoDataAlert, Severity: n.SeverityName(), Since: since, Windows: []string{}}
}

// noDataText returns the words of an alert that an SLO has no data.
func noDataText(s *evaluator.Status) (summary, description string) {
	text := "Since " + s.Missing.Since.UTC().Format(instantFormat) + " nothing is known of it"
	if s.Missing.Never {
		text = "Nothing was ever known of it"
	}
	return titleOf(s) + " has no data", fmt.Sprintf("%s: %s. No other alert of it can fire.", text, s.Missing.Reason)
}

// unreadable reports whether the backend of an SLO can't be read or lags.
func unreadable(s *evaluator.Status) bool {
	return s.State == evaluator.StateQueryFailed || s.State == evaluator.StateStale
}

// blind returns the alerts about backends that can't be read, by their names. For an SLO
// that was never read the time counts from when this process first tried.
func (c *Completer) blind(r *evaluator.Report, now time.Time) map[string]*evaluator.FiringAlert {
	type seen struct {
		all, failing int
		since        time.Time
		reason       string
		first        string // the first that fails, by its id
	}
	before := c.unreadSince
	c.unreadSince = map[string]time.Time{}
	backends := map[string]*seen{}
	for i := range r.SLOs {
		status := &r.SLOs[i]
		b := backends[status.Backend]
		if b == nil {
			b = &seen{}
			backends[status.Backend] = b
		}
		b.all++
		if !unreadable(status) {
			continue
		}
		since := c.restored.began(aboutBackend(status.Backend), now.Add(blindFor)).Add(-blindFor)
		if at, was := before[status.ID]; was {
			since = at
		}
		if status.StateSince != nil {
			since = *status.StateSince
		} else {
			c.unreadSince[status.ID] = since
		}
		if now.Sub(since) >= blindFor {
			b.first = cmp.Or(b.first, status.ID)
			if b.failing++; b.since.IsZero() || since.Before(b.since) {
				b.since, b.reason = since, status.StateReason
			}
		}
	}
	out := map[string]*evaluator.FiringAlert{}
	for name, b := range backends {
		if b.failing == 0 {
			continue
		}
		which := ""
		if b.failing < b.all {
			which = ", such as " + b.first
		}
		out[name] = &evaluator.FiringAlert{
			Name: slo.BlindAlert, Severity: slo.Ticket, Since: b.since.Add(blindFor), Windows: []string{},
			Annotations: map[string]string{
				"summary": fmt.Sprintf("slowburn can't see %d of %d SLOs of backend %s%s", b.failing, b.all, name, which),
				"description": fmt.Sprintf("For %s it can't tell how they do, and none of their alerts can begin: %s.",
					model.Duration(now.Sub(b.since).Truncate(time.Minute)), b.reason),
			},
		}
	}
	return out
}

// groupsOf returns the groups of SLOs, by the ids of the SLOs.
func groupsOf(r *evaluator.Report) map[string][]*evaluator.Status {
	out := map[string][]*evaluator.Status{}
	for i := range r.SLOs {
		if s := &r.SLOs[i]; len(s.Group) > 0 {
			whole := s.Service + "/" + s.SLO
			out[whole] = append(out[whole], s)
		}
	}
	return out
}

// namedGroups is how many groups are named in an alert of their whole.
const namedGroups = 3

// firingGroups returns how many groups of a whole fire with the same severity as its alert,
// and the worst of them, in words. It returns "" if none does.
func firingGroups(s *evaluator.Status, f evaluator.FiringAlert, groups []*evaluator.Status) string {
	if len(s.Group) > 0 || s.Groups == nil || !f.Burns() {
		return ""
	}
	type one struct {
		name string
		burn float64
	}
	var firing []one
	for _, g := range groups {
		if !slices.ContainsFunc(g.Alerts, func(a evaluator.FiringAlert) bool { return a.Burns() && a.Severity == f.Severity }) {
			continue
		}
		burn := 0.0
		if w := windowNamed(g, f.Windows[0]); w != nil && w.BurnRate != nil {
			burn = *w.BurnRate
		}
		var values []string
		for _, label := range s.Groups.By {
			values = append(values, g.Group[label])
		}
		firing = append(firing, one{strings.Join(values, "/"), burn})
	}
	if len(firing) == 0 {
		return ""
	}
	slices.SortFunc(firing, func(a, b one) int { return cmp.Or(cmp.Compare(b.burn, a.burn), cmp.Compare(a.name, b.name)) })
	var worst []string
	for _, g := range firing[:min(namedGroups, len(firing))] {
		worst = append(worst, g.name)
	}
	more := ""
	if len(firing) > namedGroups {
		more = " ..."
	}
	return fmt.Sprintf("%d of %d %ss: %s%s", len(firing), len(groups), strings.Join(s.Groups.By, "/"), strings.Join(worst, ", "), more)
}
