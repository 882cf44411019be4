package alerting

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// Alert is an alert as Alertmanager's API v2 takes it.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`

	held time.Time // end of the last slot in which its tier held
	old  bool      // it fires by numbers that are older than another replica's may be
	over bool      // it was resolved
}

// id tells alerts of a severity from others, as Alertmanager lists them too.
func (a Alert) id() string {
	return a.Labels["alertname"] + " " + a.Labels["slo_id"] + " " + a.Labels["severity"]
}

// rank orders alerts by who inhibits whom: the page of a whole, that of a group,
// and the rest.
func (a Alert) rank() int {
	switch {
	case a.Labels["severity"] != Page:
		return 2
	case strings.HasSuffix(a.Labels["slo_id"], "}"):
		return 1
	}
	return 0
}

// key is what tells an alert from others.
func key(s *evaluator.Status, f evaluator.FiringAlert) string { return s.ID + " " + f.Severity }

// newAlert makes the alert for what fires. Its labels are the same in every
// process and for the whole episode; numbers are in the annotations.
func newAlert(s *evaluator.Status, f evaluator.FiringAlert, externalURL string) Alert {
	a := Alert{Labels: s.Spec.Alerting.LabelsOver(s.Labels, f.Severity), Annotations: annotations(s, f), StartsAt: f.Since, held: f.Held}
	maps.Copy(a.Labels, s.Group)
	maps.Copy(a.Labels, map[string]string{
		"alertname": s.Spec.Alerting.AlertName(), "slo_id": s.ID, "slo_service": s.Service, "slo": s.SLO,
	})
	for _, name := range []string{"runbook", "dashboard"} {
		if link := s.Links[name]; link != "" {
			a.Annotations[name+"_url"] = link
		}
	}
	if externalURL != "" {
		a.GeneratorURL = strings.TrimSuffix(externalURL, "/") + s.Path()
		a.Annotations["slo_url"] = a.GeneratorURL
	}
	return a
}

// annotations tell in words what a tired person needs to know.
func annotations(s *evaluator.Status, f evaluator.FiringAlert) map[string]string {
	w := windowOf(s, f)
	allowed := s.Spec.Objective.BudgetText()
	percent, _ := strconv.ParseFloat(allowed, 64)
	out := map[string]string{"tier": f.Tier + " (" + strings.Join(f.Windows, ", ") + ")"}
	out["summary"] = fmt.Sprintf("%s %s burns its error budget", s.Service, s.SLO)
	if w == nil || w.BurnRate == nil {
		out["description"] = "The numbers of the window are not known."
		return out
	}
	out["summary"] += fmt.Sprintf(" %sx too fast", digits(*w.BurnRate, 2))
	text := []string{fmt.Sprintf("%s of the events fail since %s (%s of %s in the last %s; %s is allowed).",
		share(w.Bad/max(w.Total, 1)), f.Since.UTC().Format("15:04 MST on 2 Jan"), number(w.Bad), number(w.Total), w.Name, share(percent))}
	if b := s.Budget; b.Allowed != nil && *b.Allowed > 0 {
		left := share(*b.Remaining) + " of it is left"
		if *b.Remaining <= 0 {
			left = "nothing is left of it (" + share(*b.Remaining) + ")"
		}
		whole := s.Window
		if b.PeriodEnd != nil {
			whole = "projected " + whole + "'s"
			left += fmt.Sprintf(" until %s", b.PeriodEnd.UTC().Format("15:04 MST on 2 Jan"))
		}
		text = append(text, fmt.Sprintf("That window took %s of the %s budget; %s.", share(w.Bad / *b.Allowed), whole, left))
	}
	if at := s.Budget.ExhaustedInSeconds; at != nil && *at > 0 {
		text = append(text, fmt.Sprintf("At this rate it is spent in %s.", model.Duration(time.Duration(*at)*time.Second)))
	}
	if s.State == evaluator.StateQueryFailed {
		text = append(text, fmt.Sprintf("These numbers are of %s, for the backend can't be read: %s.", w.End.Format("15:04 MST"), s.StateReason))
	}
	out["description"] = strings.Join(text, " ")
	return out
}

// windowOf is the long window of the tier that fires.
func windowOf(s *evaluator.Status, f evaluator.FiringAlert) *evaluator.WindowStatus {
	for i := range s.Windows {
		if len(f.Windows) > 0 && s.Windows[i].Name == f.Windows[0] {
			return &s.Windows[i]
		}
	}
	return nil
}

// share prints a ratio as a percentage with two significant digits.
func share(ratio float64) string {
	if math.Abs(ratio) >= 10 {
		return number(ratio*100) + " %"
	}
	return digits(ratio*100, 2) + " %"
}

// digits prints a number with at least n significant digits, and no digits
// behind the point that add nothing.
func digits(v float64, n int) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	behind := max(0, n-1-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', behind, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// number prints a count with thousands separated.
func number(v float64) string {
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
