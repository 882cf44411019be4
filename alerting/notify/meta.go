package notify

import (
	"cmp"
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// aboutBudget returns the words of an alert about the budget.
func aboutBudget(s *evaluator.Status, f evaluator.FiringAlert) (summary, description string) {
	left := "Nobody knows how much"
	if s.Budget.Remaining != nil {
		left = leftOf(*s.Budget.Remaining)
	}
	switch f.Name {
	case slo.ExhaustedAlert:
		return titleOf(s) + " has spent its error budget",
			fmt.Sprintf("%s of the %s budget is left. The ticket stays open until more than %s is.", left, s.Window, alerting.Share(alerting.Recovered))
	case slo.ForecastAlert:
		when, window := forecastText(s)
		return fmt.Sprintf("%s will have spent its error budget %s", titleOf(s), when),
			fmt.Sprintf("%s of the %s budget is left; at the rate of the last %s nothing will be.", left, s.Window, window)
	}
	action, below := "", belowText(f)
	for _, step := range s.Spec.BudgetPolicy {
		if step.Below == f.RemainingBelow {
			action = step.Action
		}
	}
	return titleOf(s) + ": " + action,
		fmt.Sprintf("%s of the %s budget is left; it was agreed on for less than %s.", left, s.Window, below)
}

// belowText returns the threshold of a step of a budget policy, as a label.
func belowText(f evaluator.FiringAlert) string {
	return humanize.Digits(f.RemainingBelow*100, 10) + "%"
}

// leftOf returns a share of the budget, for the beginning of a sentence.
func leftOf(remaining float64) string {
	if remaining <= 0 {
		return "Nothing (" + alerting.Share(remaining) + ")"
	}
	return alerting.Share(remaining)
}

// forecastText returns when the budget will be spent, and the window of that rate.
func forecastText(s *evaluator.Status) (when, window string) {
	if len(s.Windows) < 2 {
		return "soon", s.Window
	}
	long := s.Windows[len(s.Windows)-2]
	end := s.Budget.PeriodEnd
	if end == nil || end.Sub(long.End) >= time.Duration(long.Seconds)*time.Second {
		return "in " + long.Name, long.Name
	}
	return "before it starts again at " + end.UTC().Format(instantFormat), long.Name
}

// rejectedFor is how long files have errors before an alert begins. Their author may just
// be correcting them.
const rejectedFor = 10 * time.Minute

// rejected returns the alerts about sources whose newest files have errors, one each, by
// their keys. Each begins rejectedFor after the commit or the change of the file, or after
// this process first found the errors.
func (s *Sender) rejected(problems []evaluator.Problem, now time.Time) map[string]Alert {
	errs := map[string][]evaluator.Problem{}
	for _, p := range problems {
		if p.Severity == "error" {
			errs[p.Source] = append(errs[p.Source], p)
		}
	}
	if s.Completer != nil {
		s.Completer.restored.forgetSources(errs)
	}
	before := s.rejections
	s.rejections = map[string]time.Time{}
	out := map[string]Alert{}
	for source, found := range errs {
		since := found[0].Since
		if at, was := before[source]; since.IsZero() && was {
			since = at
		} else if since.IsZero() {
			since = now
		}
		s.rejections[source] = since
		begin, k := since.Add(rejectedFor), aboutSource(source)
		if s.Completer != nil {
			begin = s.Completer.restored.began(k, begin)
		}
		if a, is := s.alerts[k]; is && a.stage == stageFiring {
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
			Labels: rejectedLabels(source),
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

// rejectedLabels returns the labels of the alert that files of a source are rejected.
func rejectedLabels(source string) map[string]string {
	return map[string]string{"alertname": slo.RejectedAlert, "source": source, "severity": slo.Ticket}
}
