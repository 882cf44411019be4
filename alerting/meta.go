package alerting

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// blindFor is how long a backend can't be read before that is an alert.
	blindFor = 10 * time.Minute
	// rejectedFor is how long files have errors before that is an alert: who has
	// just written them sees it, and corrects it.
	rejectedFor = 10 * time.Minute
	// knownEnough is the share of the SLO's own window that must be known for
	// alerts about its budget: what is new has no budget yet that could be spent.
	knownEnough = 0.5
	// recovered is by how much more must remain of a budget for it to be no longer
	// spent, or no longer less than was agreed on.
	recovered = 0.01
	// relaxed is what the forecast must fall to, as a share of what begins it.
	relaxed = 0.8
)

// about are the alerts about the data and the budget of an SLO, by their keys. Those
// that fired before go on by less than they begin by.
func about(s *evaluator.Status, before map[string]Alert, now time.Time, externalURL string) map[string]Alert {
	out := map[string]Alert{}
	add := func(name, severity string, since time.Time, labels, annotations map[string]string) {
		if s.Spec.Alerting.Severity(severity).Disabled {
			return
		}
		a := Alert{
			Labels: s.Spec.Alerting.LabelsOver(s.Labels, severity), Annotations: annotations, StartsAt: since,
			GeneratorURL: pageOf(s.Path(), externalURL), page: severity == Page,
		}
		maps.Copy(a.Labels, s.Group)
		maps.Copy(a.Labels, labels)
		maps.Copy(a.Labels, map[string]string{"alertname": name, "slo_id": s.ID, "slo_service": s.Service, "slo": s.SLO})
		for name, text := range map[string]string{"runbook_url": s.Links["runbook"], "slo_url": a.GeneratorURL} {
			if text != "" {
				a.Annotations[name] = text
			}
		}
		switch {
		case name == slo.ForecastAlert:
			a.known = sharesOf(s, ownWindow, s.Windows[len(s.Windows)-2].Name)
		case name == slo.ExhaustedAlert || name == slo.PolicyAlert:
			a.known = sharesOf(s, ownWindow)
		}
		k := metaKey(s.ID, name, labels["remaining_below"])
		if was, is := before[k]; is {
			a.StartsAt = was.StartsAt
			a = keepKnown(a, was)
		}
		if share, known := a.known[ownWindow]; known {
			a.Annotations[coverageAnnotation] = digits(share, 4)
		}
		out[k] = a
	}
	_, fires := before[metaKey(s.ID, slo.NoDataAlert, "")]
	noData(s, fires, now, add)
	if !sees(s) || s.Budget.Remaining == nil || s.Windows[len(s.Windows)-1].Coverage < knownEnough {
		return out
	}
	at, remaining := seenAt(s), *s.Budget.Remaining
	_, exhausted := before[metaKey(s.ID, slo.ExhaustedAlert, "")]
	if remaining <= 0 || exhausted && remaining <= recovered {
		add(slo.ExhaustedAlert, Ticket, at, nil, map[string]string{
			"summary":     titleOf(s) + " has spent its error budget",
			"description": fmt.Sprintf("%s of the %s budget is left. The ticket stays open until more than %s is.", leftOf(remaining), s.Window, Share(recovered)),
		})
	} else if when, soon := forecast(s, before); soon {
		add(slo.ForecastAlert, Ticket, at, nil, map[string]string{
			"summary": fmt.Sprintf("%s will have spent its error budget %s", titleOf(s), when),
			"description": fmt.Sprintf("%s of the %s budget is left; at the rate of the last %s nothing will be.",
				leftOf(remaining), s.Window, s.Windows[len(s.Windows)-2].Name),
		})
	}
	for _, step := range slices.Backward(s.Policy) { // the strictest that applies
		below := digits(step.RemainingBelow*100, 10) + "%"
		_, was := before[metaKey(s.ID, slo.PolicyAlert, below)]
		if step.Active || was && remaining <= step.RemainingBelow+recovered {
			add(slo.PolicyAlert, Ticket, at, map[string]string{"remaining_below": below}, map[string]string{
				"summary":     titleOf(s) + ": " + step.Action,
				"description": fmt.Sprintf("%s of the %s budget is left; it was agreed on for less than %s.", leftOf(remaining), s.Window, below),
			})
			break
		}
	}
	return out
}

// leftOf is a share of the budget at the beginning of a sentence.
func leftOf(remaining float64) string {
	if remaining <= 0 {
		return "Nothing (" + Share(remaining) + ")"
	}
	return Share(remaining)
}

// adder adds an alert to those that fire.
type adder func(name, severity string, since time.Time, labels, annotations map[string]string)

// noData adds the alert that nothing is known of an SLO. Of one that never had data
// it is told at once: there is no time at which that began. What is missed in excluded
// time only is missed by nobody.
func noData(s *evaluator.Status, fires bool, now time.Time, add adder) {
	if len(s.Group) > 0 || s.State != evaluator.StateNoData || s.Excluded.Now && !fires {
		return
	}
	n := s.Spec.Alerting.NoData
	since, text := now, "Nothing was ever known of it"
	if s.StateSince != nil {
		since = *s.StateSince
		if n := len(s.Excluded.Spans); n > 0 && !fires && s.Excluded.Spans[n-1].To.After(since) {
			since = s.Excluded.Spans[n-1].To
		}
		if since = since.Add(n.After()); since.After(now) {
			return
		}
		text = "Since " + s.StateSince.UTC().Format(instant) + " nothing is known of it"
	}
	add(slo.NoDataAlert, n.SeverityName(), since, map[string]string{"backend": s.Backend}, map[string]string{
		"summary":     titleOf(s) + " has no data",
		"description": fmt.Sprintf("%s: %s. No other alert of it can fire.", text, s.StateReason),
		"reason":      s.StateReason,
	})
}

// forecast asks whether a time like the last one as long as the longest window of the
// policy takes all that is left of the budget, and says when. The rates of the last
// hours would spend it each night of a service that fails a little in its quiet hours.
// While a burn alert fires it says so itself, but what fired before goes on: each page
// would end it and make another ticket of it. A calendar budget that starts anew
// before that has less time.
func forecast(s *evaluator.Status, before map[string]Alert) (when string, soon bool) {
	_, fires := before[metaKey(s.ID, slo.ForecastAlert, "")]
	if len(s.Alerts) > 0 && !fires || len(s.Windows) < 2 {
		return "", false
	}
	long := s.Windows[len(s.Windows)-2]
	if long.BurnRate == nil || long.Coverage < knownEnough {
		return "", false
	}
	coming, when := time.Duration(long.Seconds)*time.Second, "in "+long.Name
	if end := s.Budget.PeriodEnd; end != nil && end.Sub(seenAt(s)) < coming {
		coming, when = end.Sub(seenAt(s)), "before it starts anew at "+end.UTC().Format(instant)
	}
	takes := *long.BurnRate * float64(coming) / float64(s.Spec.Window.Length)
	left := *s.Budget.Remaining
	if fires {
		left *= relaxed
	}
	return when, takes >= left
}

// sees reports whether the numbers of an SLO are those of now.
func sees(s *evaluator.Status) bool {
	return len(s.Windows) > 0 && (s.State == evaluator.StateOK || s.State == evaluator.StateNoTraffic)
}

// metaKey is what tells an alert about data or budget from others.
func metaKey(id, name, step string) string { return id + " " + name + " " + step }

// blind are the alerts about backends that can't be read, one each. An SLO that was
// never read can't be seen since this process first said so.
func (s *Sender) blind(r *evaluator.Report, now time.Time) map[string]Alert {
	type seen struct {
		all, failing int
		since        time.Time
		reason       string
		first        string // the first that fails, by its id
	}
	before := s.unseen
	s.unseen = map[string]time.Time{}
	backends := map[string]*seen{}
	for i := range r.SLOs {
		status := &r.SLOs[i]
		b := backends[status.Backend]
		if b == nil {
			b = &seen{}
			backends[status.Backend] = b
		}
		b.all++
		if status.State != evaluator.StateQueryFailed && status.State != evaluator.StateStale {
			continue
		}
		since := now
		if at, was := before[status.ID]; was {
			since = at
		}
		if status.StateSince != nil {
			since = *status.StateSince
		} else {
			s.unseen[status.ID] = since
		}
		if now.Sub(since) >= blindFor {
			b.first = cmp.Or(b.first, status.ID)
			if b.failing++; b.since.IsZero() || since.Before(b.since) {
				b.since, b.reason = since, status.StateReason
			}
		}
	}
	out := map[string]Alert{}
	for name, b := range backends {
		if b.failing == 0 {
			continue
		}
		which := ""
		if b.failing < b.all {
			which = ", such as " + b.first
		}
		out[metaKey(name, slo.BlindAlert, "")] = Alert{
			Labels: map[string]string{"alertname": slo.BlindAlert, "backend": name, "severity": Ticket},
			Annotations: map[string]string{
				"summary": fmt.Sprintf("slowburn can't see %d of %d SLOs of backend %s%s", b.failing, b.all, name, which),
				"description": fmt.Sprintf("For %s it can't tell how they do, and none of their alerts can begin: %s.",
					model.Duration(now.Sub(b.since).Truncate(time.Minute)), b.reason),
			},
			StartsAt: b.since.Add(blindFor),
		}
	}
	return out
}

// rejected are the alerts about sources whose newest files have errors, one each.
// It begins some time after this process first saw them.
func (s *Sender) rejected(problems []evaluator.Problem, firing map[string]Alert, now time.Time) map[string]Alert {
	errs := map[string][]evaluator.Problem{}
	for _, p := range problems {
		if p.Severity == "error" {
			errs[p.Source] = append(errs[p.Source], p)
		}
	}
	before := s.rejections
	s.rejections = map[string]time.Time{}
	out := map[string]Alert{}
	for source, found := range errs {
		since, was := before[source]
		if !was {
			since = now
		}
		s.rejections[source] = since
		begin, k := since.Add(rejectedFor), metaKey(source, slo.RejectedAlert, "")
		if a, fires := firing[k]; fires {
			begin = a.StartsAt
		}
		if now.Before(begin) {
			continue
		}
		count, first := "an error", found[0]
		if len(found) > 1 {
			count = fmt.Sprintf("%d errors", len(found))
		}
		out[k] = Alert{
			Labels: map[string]string{"alertname": slo.RejectedAlert, "source": source, "severity": Ticket},
			Annotations: map[string]string{
				"summary": fmt.Sprintf("slowburn does not use the newest files of %s: %s", source, count),
				"description": fmt.Sprintf("%s: %s. What changed in these files is not watched until they are corrected.",
					cmp.Or(first.File, source), first.Message),
			},
			StartsAt: begin, GeneratorURL: s.ExternalURL,
		}
	}
	return out
}

// meta adds the alerts about data and budget to what fires, and ends those of
// before that are over. What can't be seen ends nothing, and is held for as long as
// a burn alert is. A backend that is read again is no news from a replica that could
// not: another may still be blind, so its alert runs out by itself.
func (s *Sender) meta(before map[string]Alert, r *evaluator.Report, now time.Time) {
	byID := statuses(r)
	for _, status := range byID {
		for k, a := range about(status, before, now, s.ExternalURL) {
			a.held = now
			s.firing[k] = a
		}
	}
	maps.Copy(s.firing, s.blind(r, now))
	maps.Copy(s.firing, s.rejected(r.Problems, before, now))
	for k, a := range before {
		if _, is := s.firing[k]; is || !isMeta(a) {
			continue
		}
		status := byID[a.Labels["slo_id"]]
		switch {
		case status == nil:
			s.leaveOne(k, a, byID, r, now)
		case sees(status) && s.current(status, now) && !a.uncertain(status):
			s.end(k, a, now, true)
		case sees(status) || now.Sub(a.held) < holdFailed:
			a.old = true
			s.firing[k] = a
		default:
			s.end(k, a, now, false)
		}
	}
}

// recall notes alerts about budgets that an Alertmanager has: another process posted
// them, and this one goes on where that one would.
func (s *Sender) recall(alerts []Alert) {
	for _, a := range alerts {
		a.held, a.known = s.Now(), coverageOf(a)
		s.recalled[metaKey(a.Labels["slo_id"], a.Labels["alertname"], a.Labels["remaining_below"])] = a
	}
}

// remember adds what was recalled of the SLOs of a report to what fired before.
func (s *Sender) remember(before map[string]Alert, r *evaluator.Report, now time.Time) {
	if len(s.recalled) == 0 {
		return
	}
	byID := statuses(r)
	for k, a := range s.recalled {
		_, is := before[k]
		known := byID[a.Labels["slo_id"]] != nil
		if known && !is {
			before[k] = a
		}
		if known || now.Sub(a.held) > holdFailed {
			delete(s.recalled, k)
		}
	}
}

// isMeta reports whether an alert is one about data or budget. Their names can't be
// those of burn alerts.
func isMeta(a Alert) bool {
	return slices.Contains(slo.MetaAlerts, a.Labels["alertname"])
}
