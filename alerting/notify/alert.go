package notify

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Alert is an alert in the form of Alertmanager's API v2.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`

	fired    evaluator.FiringAlert // as in the report; zero for an alert about SLO files
	stale    bool                  // its numbers may be older than another replica's
	resolved bool                  // it is posted as resolved
}

// id returns the labels that distinguish alerts, also of those that Alertmanager lists.
func (a Alert) id() string {
	return strings.Join([]string{a.Labels["alertname"], a.Labels["slo_id"], a.Labels["severity"], a.Labels["remaining_below"]}, " ")
}

// rank orders alerts so that those that inhibit come first: pages of wholes, pages of
// groups, the rest.
func (a Alert) rank() int {
	switch {
	case a.fired.Severity != slo.Page: // whatever its label severity is called
		return 2
	case strings.HasSuffix(a.Labels["slo_id"], "}"):
		return 1
	}
	return 0
}

// alertKey returns the key by which an alert is found again in the next report.
func alertKey(s *evaluator.Status, f evaluator.FiringAlert) string {
	if f.Name == slo.BlindAlert {
		return s.Backend + " " + f.Name
	}
	return strings.Join([]string{s.ID, f.Name, f.Severity, belowOf(f)}, " ")
}

// belowOf returns the label remaining_below, "" if the alert has none.
func belowOf(f evaluator.FiringAlert) string {
	if f.Name != slo.PolicyAlert {
		return ""
	}
	return belowText(f)
}

// newAlert makes an alert of one in a report. Its labels are the same in every
// process and for the whole episode; numbers are in the annotations.
func newAlert(s *evaluator.Status, f evaluator.FiringAlert, externalURL string) Alert {
	a := Alert{StartsAt: f.Since, Annotations: f.Annotations, fired: f}
	if f.Name == slo.BlindAlert {
		a.Labels = blindLabels(s.Backend)
		return a
	}
	a.Labels = s.Spec.Alerting.LabelsOver(s.Labels, f.Severity)
	if s.Owner != "" {
		a.Labels["slo_owner"] = s.Owner
	}
	maps.Copy(a.Labels, s.Group)
	maps.Copy(a.Labels, map[string]string{"alertname": f.Name, "slo_id": s.ID, "slo_service": s.Service, "slo": s.SLO})
	switch f.Name {
	case slo.NoDataAlert:
		a.Labels["backend"] = s.Backend
	case slo.PolicyAlert:
		a.Labels["remaining_below"] = belowOf(f)
	}
	a.GeneratorURL = pageOf(s.Path(), externalURL)
	return a
}

// blindLabels returns the labels of the alert that a backend can't be read.
func blindLabels(backend string) map[string]string {
	return map[string]string{"alertname": slo.BlindAlert, "backend": backend, "severity": slo.Ticket}
}

// annotationsOf returns the annotations of an alert.
func annotationsOf(s *evaluator.Status, f evaluator.FiringAlert, externalURL string) map[string]string {
	if !f.Burns() {
		return metaAnnotations(s, f, externalURL)
	}
	facts := factsOf(s, f)
	if f.Waits != "" {
		facts.Summary, facts.Text = heldText(s, f)
	}
	facts.Page = pageOf(s.Path(), externalURL)
	if from, to, known := timeOf(s, f); known {
		facts.Page = pageOf(s.PathBetween(from, to), externalURL)
	}
	out := map[string]string{
		"summary": facts.Summary, "description": facts.Text, "tier": facts.Tier + " (" + strings.Join(f.Windows, ", ") + ")",
	}
	addAnnotations(out, map[string]string{
		"runbook_url": facts.Runbook, "dashboard_url": facts.Dashboard, "slo_url": facts.Page, "revision": facts.Revision,
		coverageNote: shares(f.Known).note(s),
	})
	for name, text := range s.Spec.Alerting.Annotations {
		// Validation tried it. The alert must be posted whatever is wrong now.
		if made, err := slo.Annotate(text, facts); err == nil {
			out[name] = made
		}
	}
	return out
}

// metaAnnotations returns the annotations of an alert about the data or the budget.
func metaAnnotations(s *evaluator.Status, f evaluator.FiringAlert, externalURL string) map[string]string {
	out := map[string]string{}
	switch {
	case f.Waits != "":
		out["summary"], out["description"] = heldText(s, f)
	case f.Name == slo.NoDataAlert:
		out["summary"], out["description"] = noDataText(s)
		out["reason"] = s.Missing.Reason
	default:
		out["summary"], out["description"] = aboutBudget(s, f)
	}
	addAnnotations(out, map[string]string{"runbook_url": s.Links["runbook"], "slo_url": pageOf(s.Path(), externalURL), coverageNote: shares(f.Known).note(s)})
	return out
}

// addAnnotations adds annotations that are not empty.
func addAnnotations(to, with map[string]string) {
	for name, text := range with {
		if text != "" {
			to[name] = text
		}
	}
}

// pageOf returns the address of a page, "" without an externalURL.
func pageOf(path, externalURL string) string {
	if externalURL == "" {
		return ""
	}
	return strings.TrimSuffix(externalURL, "/") + path
}

// timeOf returns the time that links of an alert have, so that they show its incident even
// when it is over: from its long window, or an hour, before it began until the instant of
// the numbers, if that is known.
func timeOf(s *evaluator.Status, f evaluator.FiringAlert) (from, to time.Time, known bool) {
	w := windowOf(s, f)
	if w == nil {
		return from, to, false
	}
	return f.Since.Add(-max(time.Hour, time.Duration(w.Seconds)*time.Second)), w.End, true
}

// titleOf returns the name of an SLO, or of a group, for summaries.
func titleOf(s *evaluator.Status) string {
	if len(s.Group) > 0 {
		return s.ID
	}
	return s.Service + " " + s.SLO
}

// instantFormat is the format of instants in alerts.
const instantFormat = "15:04 MST on 2 Jan"

// factsOf returns in words what a tired person needs of an alert.
func factsOf(s *evaluator.Status, f evaluator.FiringAlert) slo.Facts {
	o := s.Spec.Objective
	out := slo.Facts{
		ID: s.ID, Service: s.Service, SLO: s.SLO, Owner: s.Owner, Objective: o.Percent(), Window: s.Window, Severity: f.Severity, Tier: f.Tier,
		Since: sinceText(f), BurnRate: unknownText, Bad: unknownText, Total: unknownText, BadShare: unknownText, Allowed: alerting.Share(o.Budget()),
		BudgetTaken: unknownText, BudgetLeft: unknownText, Revision: s.Revision,
		Runbook: s.Links["runbook"], Dashboard: dashboardURL(s, f), Labels: s.Labels, Group: s.Group, Links: s.Links,
		Summary: titleOf(s) + " burns its error budget", Text: "The numbers of the window are not known.",
	}
	if len(f.Windows) == 2 {
		out.LongWindow, out.ShortWindow = f.Windows[0], f.Windows[1]
	}
	w, b := windowOf(s, f), s.Budget
	if b.Remaining != nil {
		out.BudgetLeft = alerting.Share(*b.Remaining)
	}
	if w == nil || w.BurnRate == nil {
		return out
	}
	out.BurnRate, out.Bad, out.Total, out.BadShare = burnText(*w.BurnRate), humanize.Decimal(math.Round(w.Bad)), humanize.Decimal(math.Round(w.Total)), alerting.Share(slo.BadShare(w.Bad, w.Total))
	if b.Allowed != nil && *b.Allowed > 0 {
		out.BudgetTaken = alerting.Share(w.Bad / *b.Allowed)
	}
	if at := b.ExhaustedInSeconds; at != nil && *at > 0 {
		left := time.Duration(*at) * time.Second
		out.SpentIn, out.SpentAt = model.Duration(left).String(), w.End.Add(left).UTC().Format(instantFormat)
	}
	switch {
	case f.Row > 0:
		out.Summary = titleOf(s) + ": " + alerting.RunsText(s.Spec, f.Row)
	case *w.BurnRate > 1:
		out.Summary += " " + out.BurnRate + "x too fast"
	default:
		out.Summary = titleOf(s) + " no longer burns its error budget too fast"
	}
	if f.Among != "" {
		out.Summary += " (" + f.Among + ")"
	}
	out.Text = describe(s, w, f, out)
	return out
}

// sinceText returns since when an alert fires.
func sinceText(f evaluator.FiringAlert) string {
	if f.Older {
		return "at or before " + f.Since.UTC().Format(instantFormat)
	}
	return f.Since.UTC().Format(instantFormat)
}

// unknownText stands for an unknown number.
const unknownText = "unknown"

// capital returns a text with a capital, to begin a sentence.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// describe returns the description of an alert: what fails, how badly, since when, how much
// budget is left, until when, and what changed.
func describe(s *evaluator.Status, w *evaluator.WindowStatus, a evaluator.FiringAlert, f slo.Facts) string {
	failed := fmt.Sprintf("%s of the %s in the last %s failed (%s of %s; %s may)", f.BadShare, s.Spec.Noun(), w.Name, f.Bad, f.Total, f.Allowed)
	var text []string
	switch {
	case a.Row > 0:
		text = append(text, fmt.Sprintf("%s. The alert began %s and ends with the next good run.", capital(alerting.RunsText(s.Spec, a.Row)), beganText(a)))
	case *w.BurnRate <= 1: // it is only kept firing
		text = append(text, fmt.Sprintf("It is over: only %s. The alert began %s.", failed, beganText(a)))
	default:
		text = append(text, fmt.Sprintf("%s. The alert began %s.", failed, beganText(a)))
	}
	if s.Spec.Description != "" {
		text = append([]string{strings.TrimRight(s.Spec.Description, ". \n") + "."}, text...)
	}
	if i, is := s.Spec.Indicator.(slo.Threshold); is && s.Failing != nil && !s.Failing.At.Before(a.Since.Add(-time.Duration(w.Seconds)*time.Second)) {
		text = append(text, fmt.Sprintf("%s was %s at %s (%s %s is good).", strings.Join(strings.Fields(i.Query), " "), humanize.Digits(s.Failing.Value, 3), s.Failing.At.Format("15:04 MST"), i.Op, humanize.Digits(i.Value, 3)))
	}
	text = append(text, spentText(s, f)...)
	if past := s.Spec.PastObjectives; len(past) > 0 {
		last := past[len(past)-1]
		if at := last.Until; !w.End.Before(at) && w.End.Sub(at) < s.Spec.Window.Length.Duration() {
			text = append(text, fmt.Sprintf("Since %s the objective is %s %%; before it was %s %%.", at.UTC().Format(instantFormat), f.Objective, last.Objective.Percent()))
		}
	}
	if s.State == evaluator.StateQueryFailed {
		text = append(text, fmt.Sprintf("These numbers are of %s, for the backend can't be read: %s.", w.End.Format("15:04 MST"), s.StateReason))
	}
	return strings.Join(text, " ")
}

// beganText returns when an alert began.
func beganText(a evaluator.FiringAlert) string {
	if a.Older {
		return sinceText(a)
	}
	return "at " + sinceText(a)
}

// spentText returns how much budget the window took, and when the rest is spent.
func spentText(s *evaluator.Status, f slo.Facts) []string {
	b := s.Budget
	var text []string
	if f.BudgetTaken != unknownText && b.Remaining != nil {
		left := f.BudgetLeft + " of it is left"
		if *b.Remaining <= 0 {
			left = "nothing is left of it (" + f.BudgetLeft + ")"
		}
		whole := s.Window
		if b.PeriodEnd != nil {
			whole = "projected " + whole + "'s"
			left += " until " + b.PeriodEnd.UTC().Format(instantFormat)
		}
		text = append(text, fmt.Sprintf("The last %s took %s of the %s budget; %s.", f.LongWindow, f.BudgetTaken, whole, left))
	}
	if f.SpentIn != "" {
		text = append(text, fmt.Sprintf("At this rate it is spent in %s, at %s.", f.SpentIn, f.SpentAt))
	}
	return text
}

// dashboardURL returns the file's link to a dashboard. One to Grafana gets the time of the
// alert, and one to the generated dashboard also the SLO.
func dashboardURL(s *evaluator.Status, f evaluator.FiringAlert) string {
	link := s.Links["dashboard"]
	u, err := url.Parse(link)
	if err != nil || !strings.Contains(u.Path, "/d/") {
		return link
	}
	q := u.Query()
	set := func(name, value string) {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	if from, to, known := timeOf(s, f); known && !q.Has("from") && !q.Has("to") {
		set("from", strconv.FormatInt(from.UnixMilli(), 10))
		set("to", strconv.FormatInt(to.UnixMilli(), 10))
	}
	if strings.Contains(u.Path, "/d/"+detailDashboard) {
		set("var-service", s.Service)
		set("var-slo_id", s.ID)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// detailDashboard is the uid of the generated dashboard that shows one SLO.
const detailDashboard = "slowburn-detail"

// windowOf returns the long window of the tier that fires.
func windowOf(s *evaluator.Status, f evaluator.FiringAlert) *evaluator.WindowStatus {
	for i := range s.Windows {
		if len(f.Windows) > 0 && s.Windows[i].Name == f.Windows[0] {
			return &s.Windows[i]
		}
	}
	return nil
}

// burnText prints a burn rate with two significant digits, and more where what is too fast
// would look like what is allowed.
func burnText(burn float64) string {
	n := 2
	for burn > 1 && n < 8 && humanize.Digits(burn, n) == "1" {
		n++
	}
	return humanize.Digits(burn, n)
}
