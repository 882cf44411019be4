package evaluator

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/slowburn-slo/slowburn/slo"
)

// Metrics returns the metrics of a report's SLOs, one family after the other, so that
// only one of them is in memory. Removed SLOs have no series, and undefined numbers are
// absent.
func Metrics(r *Report) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		base := make([][]*dto.LabelPair, len(r.SLOs))
		for i := range r.SLOs {
			base[i] = sharedLabels(&r.SLOs[i])
		}
		for _, m := range sloMetrics() {
			f := &dto.MetricFamily{Name: &m.name, Help: &m.help, Type: dto.MetricType_GAUGE.Enum()}
			var at int // index of the SLO
			give := func(v *float64, pairs ...string) {
				if v != nil {
					f.Metric = append(f.Metric, gaugeOf(*v, base[at], pairs))
				}
			}
			for at = range r.SLOs {
				if s := &r.SLOs[at]; !m.numbers || evaluated(s) {
					m.write(s, give)
				}
			}
			if len(f.Metric) > 0 && !yield(f) {
				return
			}
		}
	}
}

// sharedLabels returns the labels of all series of an SLO.
func sharedLabels(s *Status) []*dto.LabelPair {
	all := map[string]string{"slo_id": s.ID, "slo_service": s.Service, "slo": s.SLO}
	maps.Copy(all, s.Group)
	out := make([]*dto.LabelPair, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, &dto.LabelPair{Name: new(name), Value: new(all[name])})
	}
	return out
}

// gaugeOf returns a series. If a label has two values, it has the last one.
func gaugeOf(v float64, base []*dto.LabelPair, pairs []string) *dto.Metric {
	labels := make([]*dto.LabelPair, len(base), len(base)+len(pairs)/2)
	copy(labels, base)
	for i := 0; i < len(pairs); i += 2 {
		pair := &dto.LabelPair{Name: &pairs[i], Value: &pairs[i+1]}
		at := slices.IndexFunc(labels, func(l *dto.LabelPair) bool { return l.GetName() == pairs[i] })
		if at >= 0 {
			labels[at] = pair
		} else {
			labels = append(labels, pair)
		}
	}
	if len(pairs) > 0 {
		slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	}
	return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &v}}
}

// sloMetric is a family with its name and help. write adds the series of an SLO, of one
// without numbers only if the family is not about them.
type sloMetric struct {
	name, help string
	numbers    bool
	write      func(s *Status, give giver)
}

// giver adds a series with labels of its own, which are pairs of a name and a value. It
// adds nothing without a value.
type giver func(v *float64, pairs ...string)

func sloMetrics() []sloMetric {
	return slices.Concat(fileMetrics(), stateMetrics(), windowMetrics())
}

// fileMetrics returns the families about the SLO file.
func fileMetrics() []sloMetric {
	return []sloMetric{
		{"slo_info", "1, with what the SLO file says; join with * on(slo_id) group_left(...).", false, func(s *Status, give giver) {
			info := []string{"owner", s.Owner, "window", s.Window, "source", "evaluator", "revision", s.Revision}
			for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
				info = append(info, k, s.Labels[k])
			}
			give(oneIf(true), info...)
		}},
		{"slo_objective_ratio", "The objective, as the ratio of good events.", false, func(s *Status, give giver) { give(&s.Objective) }},
		{"slo_excluded", "Whether the present is excluded; absent for SLOs without exclusions.", true, func(s *Status, give giver) {
			if s.Spec != nil && len(s.Spec.Exclusions) > 0 {
				give(oneIf(s.Excluded.Now))
			}
		}},
		{"slowburn_groups", "Groups of an SLO that are followed, and those left out beyond its limit.", false, func(s *Status, give giver) {
			if g := s.Groups; g != nil {
				give(new(float64(g.Count)), "state", "followed")
				give(new(float64(g.LeftOut)), "state", "left_out")
			}
		}},
	}
}

// stateMetrics returns the families about the data and the alerts.
func stateMetrics() []sloMetric {
	return []sloMetric{
		{"slo_budget_policy_gate", "What the budget policy asks for: 0 nothing, 1 warn, 2 block; absent when the budget is unknown.", false, func(s *Status, give giver) { give(gateNumber(s)) }},
		{"slo_data_state", "1, for the present state of the data only.", false, func(s *Status, give giver) { give(oneIf(true), "state", string(s.State)) }},
		{"slo_data_doubt", "1, for each reason why the numbers may be wrong.", false, func(s *Status, give giver) {
			for _, d := range s.Doubts {
				give(oneIf(true), "code", string(d.Code))
			}
		}},
		{"slo_alert_firing", "Whether an alert fires; of those that are not about the burn rate only while they do.", false, func(s *Status, give giver) {
			for alert, firing := range alertsOf(s) {
				give(oneIf(firing), "alertname", alert.name, "severity", alert.severity)
			}
		}},
		{"slo_burn_rate", "How fast the error budget burns over a window; at 1 it is spent in just the SLO's window.", false, func(s *Status, give giver) {
			for i := range max(0, len(s.Windows)-1) { // the policy's
				give(s.Windows[i].BurnRate, "window", s.Windows[i].Name)
			}
		}},
		{"slo_last_evaluation_timestamp_seconds", "The instant for which the SLO was last evaluated.", true, func(s *Status, give giver) { give(new(float64(s.At.Unix()))) }},
	}
}

// evaluated reports whether an SLO has numbers.
func evaluated(s *Status) bool { return len(s.Windows) > 0 && !s.At.IsZero() }

// windowMetrics returns the families about the SLO's own window and its budget.
func windowMetrics() []sloMetric {
	return []sloMetric{
		{"slo_coverage_ratio", "The share of the SLO's window in which the events are known.", true, func(s *Status, give giver) { give(new(s.Own().Coverage)) }},
		{"slo_sli_ratio", "The ratio of good events over the SLO's window.", true, func(s *Status, give giver) { give(s.Own().SLI) }},
		{"slo_window_events", "Events in the SLO's window.", true, func(s *Status, give giver) {
			if w := s.Own(); w.Coverage > 0 {
				give(new(max(w.Total-w.Bad, 0)), "result", "good")
				give(&w.Bad, "result", "bad")
			}
		}},
		{"slo_error_budget_events", "Bad events that the whole window allows.", true, func(s *Status, give giver) { give(s.Budget.Allowed) }},
		{"slo_error_budget_remaining_ratio", "The error budget left: 1 untouched, 0 spent, negative overspent.", true, func(s *Status, give giver) { give(s.Budget.Remaining) }},
		{"slo_error_budget_exhaustion_seconds", "Time until the error budget is spent at the present rate; absent when it never will.", true, func(s *Status, give giver) { give(s.Budget.ExhaustedInSeconds) }},
		{"slo_period_end_timestamp_seconds", "When the calendar window ends and its budget starts again; absent for rolling windows.", true, func(s *Status, give giver) {
			if end := s.Budget.PeriodEnd; end != nil {
				give(new(float64(end.Unix())))
			}
		}},
	}
}

// oneIf returns 1 for true, else 0.
func oneIf(is bool) *float64 {
	v := 0.0
	if is {
		v = 1
	}
	return &v
}

// alertKind contains the labels of the metric slo_alert_firing.
type alertKind struct{ name, severity string }

// alertsOf returns whether each kind of alert fires. It always returns burn alerts, but
// the others only while they fire, so that an SLO has no more than 20 series.
func alertsOf(s *Status) map[alertKind]bool {
	out := map[alertKind]bool{}
	if s.Spec != nil {
		name := s.Spec.Alerting.AlertName()
		out[alertKind{name, slo.Page}], out[alertKind{name, slo.Ticket}] = false, false
	}
	for _, a := range s.Alerts {
		out[alertKind{a.Name, a.Severity}] = true
	}
	return out
}
