package rules

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/slowburn-slo/slowburn/slo"
)

// alerts writes one alert per severity, so that one problem is one
// notification: which tier holds is an annotation, not a label. After each
// comes the rule that records whether it fires.
func (w *ruleWriter) alerts() {
	for _, severity := range []string{slo.Page, slo.Ticket} {
		tiers := w.firingTiers(severity)
		if len(tiers) == 0 || w.s.Alerting.Severity(severity).Disabled {
			continue
		}
		w.at(tierPhase)
		w.comment("The tiers of the " + severity + ", and their alert.")
		for _, f := range tiers {
			w.recordTier(f)
		}
		w.at(alertPhase)
		w.alertsOf(severity, tiers)
		w.alertFiring(severity, tiers)
	}
}

// alertFiring writes whether the alert of a severity fires.
func (w *ruleWriter) alertFiring(severity string, tiers []firingTier) {
	none := raw("vector(0)")
	if len(w.split.labels) > 0 {
		none = w.present().zero()
	}
	firing := raw("ALERTS{alertname=" + strconv.Quote(w.s.Alerting.AlertName()) + "," + w.sel +
		",severity=" + strconv.Quote(w.s.Alerting.Severity(severity).Label) + `,alertstate="firing"}`)
	if w.phases != nil { // vmalert writes ALERTS late, too
		firing = w.anyFires(tiers).zero().plus(raw("1"))
	}
	w.record("slo_alert_firing", call(w.maxBy(), or(firing, none)), "alertname", w.s.Alerting.AlertName(), "severity", severity)
}

// maxBy is the aggregation to the highest value of the SLO, or of each group.
func (w *ruleWriter) maxBy() string {
	if len(w.split.labels) == 0 {
		return "max"
	}
	return "max by (" + slo.LabelList(append([]string{"slo_id", "slo_service", "slo"}, w.split.labels...)...) + ") "
}

// anyFires are the burn rates of the tiers that fire.
func (w *ruleWriter) anyFires(tiers []firingTier) expr {
	names := map[time.Duration][]string{} // of the tiers that are kept as long
	for _, f := range tiers {
		names[f.KeepFiringFor] = append(names[f.KeepFiringFor], regexp.QuoteMeta(f.Name))
	}
	var fires []expr
	for _, kept := range slices.Sorted(maps.Keys(names)) {
		op := "=~"
		if len(names[kept]) == 1 {
			op = "="
		}
		matchers := ",tier" + op + strconv.Quote(strings.Join(names[kept], "|"))
		fires = append(fires, lastBurn(w.sel+matchers, kept))
	}
	return or(fires...)
}

// alertsOf writes the alert of a severity, or one of each tier.
func (w *ruleWriter) alertsOf(severity string, tiers []firingTier) {
	if w.byTier == nil {
		w.alert(severity, tiers, nil)
		return
	}
	for i, f := range tiers {
		w.alert(severity, tiers[i:i+1], w.byTier(f.Tier))
	}
}

func (w *ruleWriter) alert(severity string, tiers []firingTier, more map[string]string) {
	// The labels of the alert are the same whichever tier fires; its value is
	// the highest burn rate over the long windows of those that do.
	highest := call(w.maxBy(), w.anyFires(tiers))
	own := w.s.Alerting.LabelsOver(w.s.Labels, severity)
	if w.s.Owner != "" {
		own["slo_owner"] = w.s.Owner
	}
	labels := []string{"severity", literal(own["severity"])}
	delete(own, "severity")
	maps.Copy(own, more)
	for i, v := range sortedPairs(own) {
		if i%2 == 1 {
			v = literal(v)
		}
		labels = append(labels, v)
	}
	name := w.s.Alerting.AlertName()
	if w.s.Alerting.Name != "" {
		name = strconv.Quote(name) // it may be a word of YAML's
	}
	w.b.WriteString("  - alert: " + name + "\n")
	w.body(highest, slices.Concat(w.labels, labels))
	w.b.WriteString(fieldIndent + "annotations:\n")
	for _, a := range w.annotated(severity, w.annotations(tiers)) {
		w.b.WriteString(valueIndent + a[0] + ": " + folded(a[0], a[1]) + "\n")
		if a[0] == "description" {
			w.description = folded(a[0], a[1])
		}
	}
}

// folded is the value of an annotation, a long one over lines.
func folded(name, value string) string {
	words := strings.Split(value, " ")
	foldable := !slices.Contains(words, "") && !strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) })
	if len(value)+len(name) <= width || !foldable {
		return strconv.Quote(value)
	}
	var b strings.Builder
	b.WriteString(">-")
	column := width
	for _, word := range words {
		if column += 1 + len(word); column > width {
			b.WriteString("\n" + valueIndent + "  ")
			column = len(valueIndent) + 2 + len(word)
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// annotations are the alert's annotations, as templates of Prometheus.
func (w *ruleWriter) annotations(tiers []firingTier) [][2]string {
	s := w.s
	name, promise := s.Service+" "+s.Name, s.Objective.Percent()+" %"
	if len(w.split.labels) > 0 {
		name, promise = "{{ $labels.slo_id }}", "its objective"
	}
	summary := ` burns its error budget {{ $value | printf "%.3g" }}x too fast`
	if slices.ContainsFunc(tiers, func(f firingTier) bool { return f.Reset < 1 }) {
		summary = "{{ if gt $value 1.0 }}" + summary + "{{ else }} no longer burns its error budget too fast{{ end }}"
	}
	summary, text := name+summary, "The share of bad events is {{ $value | printf \"%.3g\" }} times what "+promise+" over "+s.Window.String()+" allows."
	if runsToo(tiers) {
		words, sentence := w.runsWords(tiers)
		summary, text = name+": "+words, sentence
	}
	out := [][2]string{
		{"summary", summary},
		{"description", text +
			" {{ range " + w.query(func(only string) string { return "slo_error_budget_remaining_ratio{" + only + "}" }, w.sel) + " }}" +
			"{{ if le .Value 0.0 }}Nothing ({{ humanizePercentage .Value }}){{ else }}{{ humanizePercentage .Value }}{{ end }}" +
			" of the error budget is left.{{ end }}"},
		{"tier", w.tier(tiers)},
	}
	for _, link := range []string{"runbook", "dashboard"} {
		if url := s.Links[link]; url != "" {
			out = append(out, [2]string{link + "_url", literal(url)})
		}
	}
	return out
}

// tier is a template that names the first tier that fires.
func (w *ruleWriter) tier(tiers []firingTier) string {
	last := len(tiers) - 1
	if last == 0 {
		return tiers[0].Name
	}
	var cases []string
	for _, f := range tiers[:last] {
		cases = append(cases, "if "+w.query(func(sel string) string { return f.fires(sel).text }, w.sel)+" }}"+f.Name)
	}
	return "{{ " + strings.Join(cases, "{{ else ") + "{{ else }}" + tiers[last].Name + "{{ end }}"
}

// query is a query in a template, by what selects its series: those of the SLO,
// or of the group that the alert is about.
func (w *ruleWriter) query(by func(sel string) string, sel string) string {
	if len(w.split.labels) == 0 {
		return "query `" + by(sel) + "`"
	}
	// What stands for itself in a selector means something in the template.
	sel = strings.NewReplacer("%", "%%", "`", `\x60`).Replace(sel)
	return "printf `" + by(sel+",slo_id=%[1]q") + "` $labels.slo_id | query"
}

// literal is text that the templates of Prometheus leave as it is.
func literal(s string) string { return strings.ReplaceAll(s, "{{", `{{ "{{" }}`) }
