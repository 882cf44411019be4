package alerting

import (
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/slo"
)

// AlertName is the name of the alert about an error budget that burns too
// fast.
const AlertName = "ErrorBudgetBurn"

// alerts writes one alert per severity, so that one problem is one
// notification: which tier holds is an annotation, not a label. After each
// comes the rule that records whether it fires.
func (w *ruleWriter) alerts() {
	for _, severity := range []string{Page, Ticket} {
		var tiers []Tier
		for _, t := range w.tiers {
			if t.Severity == severity {
				tiers = append(tiers, t)
			}
		}
		if len(tiers) == 0 {
			continue
		}
		w.alert(severity, tiers)
		w.record("slo_alert_firing", "max(ALERTS{alertname="+strconv.Quote(AlertName)+","+w.sel+
			",severity="+strconv.Quote(severity)+`,alertstate="firing"} or vector(0))`, "severity", severity)
	}
}

func (w *ruleWriter) alert(severity string, tiers []Tier) {
	// The labels of the alert are the same whichever tier holds; its value is
	// the highest burn rate over the long windows of those that do.
	holds := make([]string, len(tiers))
	for i, t := range tiers {
		holds[i] = w.burns(t)
	}
	expr := "max by (slo_id, slo_service, slo) (\n  " + strings.Join(holds, " or\n  ") + "\n)"
	labels := []string{"severity", severity}
	for i, v := range sortedPairs(w.s.Labels) {
		if i%2 == 1 {
			v = literal(v)
		}
		labels = append(labels, v)
	}
	w.b.WriteString("      - alert: " + AlertName + "\n")
	w.body(expr, labels)
	w.b.WriteString("        annotations:\n")
	for _, a := range w.annotations(tiers) {
		w.b.WriteString("          " + a[0] + ": " + strconv.Quote(a[1]) + "\n")
	}
}

// burns is the condition of one tier. Its value is the burn rate over the long
// window.
func (w *ruleWriter) burns(t Tier) string {
	over := func(win slo.Window) string {
		return "slo_burn_rate{" + w.sel + ",window=" + strconv.Quote(win.String()) + "} > " +
			strconv.FormatFloat(t.Factor, 'g', -1, 64)
	}
	return over(t.Long) + " and on (slo_id) " + over(t.Short)
}

// annotations are the alert's annotations, as templates of Prometheus.
func (w *ruleWriter) annotations(tiers []Tier) [][2]string {
	s := w.s
	out := [][2]string{
		{"summary", s.Service + " " + s.Name + ` burns its error budget {{ $value | printf "%.3g" }}x too fast`},
		{"description", "The share of bad events is {{ $value | printf \"%.3g\" }} times what " +
			s.Objective.Percent() + " % over " + s.Window.String() + " allows." +
			" {{ with query `slo_error_budget_remaining_ratio{" + w.sel + "}` }}" +
			"{{ . | first | value | humanizePercentage }} of the error budget is left.{{ end }}"},
		{"tier", w.tier(tiers)},
	}
	for _, link := range []string{"runbook", "dashboard"} {
		if url := s.Links[link]; url != "" {
			out = append(out, [2]string{link + "_url", literal(url)})
		}
	}
	return out
}

// tier is a template that names the first tier that holds.
func (w *ruleWriter) tier(tiers []Tier) string {
	var b strings.Builder
	last := len(tiers) - 1
	for _, t := range tiers[:last] {
		b.WriteString("{{ if query `" + w.burns(t) + "` }}" + t.Name + "{{ else }}")
	}
	return b.String() + tiers[last].Name + strings.Repeat("{{ end }}", last)
}

// literal is text that the templates of Prometheus leave as it is.
func literal(s string) string { return strings.ReplaceAll(s, "{{", `{{ "{{" }}`) }
