package alerting

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// Completer makes a function that completes the alerts of reports, so that what is
// shown is what is sent: it gives each alert its name and its words. externalURL is where
// the pages are, for links; it may be "".
func Completer(externalURL string) func(*evaluator.Report) {
	return func(r *evaluator.Report) {
		for i := range r.SLOs {
			s := &r.SLOs[i]
			s.Alerts = slices.Clone(s.Alerts) // the loop keeps its own
			for j := range s.Alerts {
				f := &s.Alerts[j]
				sent := newAlert(s, *f, externalURL)
				f.Name, f.Summary, f.Description = sent.Labels["alertname"], sent.Annotations["summary"], sent.Annotations["description"]
			}
		}
	}
}
