package rules

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// unknownFacts are what templates of annotations can use in the evaluator, and
// rules don't know when an alert fires.
func unknownFacts() []string {
	return []string{"Since", "LongWindow", "ShortWindow", "Bad", "Total", "BadShare", "BudgetTaken", "SpentIn", "SpentAt", "Revision", "Page"}
}

// laterFacts are those that rules know when an alert fires, and not when they are
// written.
func laterFacts(s *slo.SLO) []string {
	out := []string{"BurnRate", "BudgetLeft", "Tier", "Summary", "Text"}
	if s.Groups != nil {
		out = append(out, "ID", "Group")
	}
	return out
}

// unannotatable says why rules can't carry the templates of an SLO's annotations, ""
// when they can.
func unannotatable(s *slo.SLO, tiers []alerting.Tier) string {
	var unknown, later []string
	for _, text := range s.Alerting.Annotations {
		for _, fact := range slo.FactsOf(text) {
			own := s.Groups != nil && len(s.Groups.Objectives) > 0 && (fact == "Objective" || fact == "Allowed")
			runs := fact == "BurnRate" && slices.ContainsFunc(tiers, func(t alerting.Tier) bool { return t.Runs > 0 })
			if slices.Contains(unknownFacts(), fact) || own || runs {
				unknown = append(unknown, "."+fact)
			}
		}
		escaped := slices.DeleteFunc(slo.FactsOf(text, "urlquery"), escapable)
		for _, fact := range append(slo.FactsOf(text, "eq", "ne", "len"), escaped...) {
			if slices.Contains(laterFacts(s), fact) {
				later = append(later, "."+fact)
			}
		}
	}
	var why []string
	for _, of := range []struct {
		facts  []string
		reason string
	}{{unknown, ", which rules don't know"}, {later, " in a function, and rules know it only when an alert fires"}} {
		if slices.Sort(of.facts); len(of.facts) > 0 {
			why = append(why, "its annotations use "+strings.Join(slices.Compact(of.facts), ", ")+of.reason)
		}
	}
	return strings.Join(why, "; ")
}

// escapable reports whether a fact that is known later is one value, to which a
// template of Prometheus can apply urlquery.
func escapable(fact string) bool { return fact == "BurnRate" || fact == "ID" || fact == "Group" }

// annotated are annotations and over them those of the SLO's own templates. What
// is known now is filled in, the rest becomes templates of Prometheus.
func (w *ruleWriter) annotated(severity string, usual [][2]string) [][2]string {
	own := w.s.Alerting.Annotations
	if len(own) == 0 {
		return usual
	}
	var later []string // in pairs of a mark and the template that takes its place, as it is and with urlquery
	mark := func(template string) string {
		m := "\x00" + strconv.Itoa(len(later)) + "\x00"
		later = append(later, m, template, url.QueryEscape(m), strings.TrimSuffix(template, " }}")+" | urlquery }}")
		return m
	}
	facts := w.known(severity, usual, mark)
	out := slices.DeleteFunc(slices.Clone(usual), func(a [2]string) bool { _, replaced := own[a[0]]; return replaced })
	for i, v := range sortedPairs(own) {
		if i%2 == 0 {
			out = append(out, [2]string{v})
			continue
		}
		text, err := slo.Annotate(v, facts)
		if err != nil { // as in the evaluator, the alert says what it can
			out = out[:len(out)-1]
			continue
		}
		out[len(out)-1][1] = strings.NewReplacer(later...).Replace(literal(text))
	}
	return out
}

// known are the facts for templates, with marks for what is known when the alert
// fires.
func (w *ruleWriter) known(severity string, usual [][2]string, mark func(string) string) slo.Facts {
	s := w.s
	f := slo.Facts{
		ID: s.ID(), Service: s.Service, SLO: s.Name, Owner: s.Owner, Objective: s.Objective.Percent(), Window: s.Window.String(), Severity: severity,
		BurnRate: mark(`{{ $value | printf "%.3g" }}`), Allowed: alerting.Share(s.Objective.Budget()),
		BudgetLeft: mark("{{ with " + w.query(func(only string) string { return "slo_error_budget_remaining_ratio{" + only + "}" }, w.sel) +
			" }}{{ . | first | value | humanizePercentage }}{{ else }}unknown{{ end }}"),
		Runbook: s.Links["runbook"], Dashboard: s.Links["dashboard"],
		Labels: s.Labels, Group: map[string]string{}, Links: s.Links,
	}
	if len(w.split.labels) > 0 {
		f.ID = mark("{{ $labels.slo_id }}")
	}
	for _, label := range w.split.labels {
		f.Group[label] = mark("{{ index $labels " + strconv.Quote(label) + " }}")
	}
	for _, a := range usual {
		switch a[0] {
		case "summary":
			f.Summary = mark(a[1])
		case "description":
			f.Text = mark(a[1])
		case "tier":
			f.Tier = mark(a[1])
		}
	}
	return f
}
