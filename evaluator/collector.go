package evaluator

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector gives the numbers of the newest report as metrics. It reads the
// report at each scrape, so an SLO that is gone leaves no series behind.
type Collector struct {
	report func() *Report
}

// NewCollector makes a Collector of the reports that a function gives.
func NewCollector(report func() *Report) *Collector { return &Collector{report} }

// Describe implements prometheus.Collector: labels differ between SLOs, so the
// metrics are not known beforehand.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	r := c.report()
	for i := range r.SLOs {
		collect(&r.SLOs[i], ch)
	}
}

// help says what each metric means.
var help = map[string]string{
	"slo_info":                              "1, with what the SLO file says; join with * on(slo_id) group_left(...).",
	"slo_objective_ratio":                   "The objective, as the ratio of good events.",
	"slo_burn_rate":                         "How fast the error budget burns over a window; at 1 it is spent in just the SLO's window.",
	"slo_sli_ratio":                         "The ratio of good events over the SLO's window.",
	"slo_coverage_ratio":                    "The share of the SLO's window in which the events are known.",
	"slo_window_events":                     "Events in the SLO's window.",
	"slo_error_budget_events":               "Bad events that the whole window allows.",
	"slo_error_budget_remaining_ratio":      "The error budget left: 1 untouched, 0 spent, negative overspent.",
	"slo_error_budget_exhaustion_seconds":   "Time until the error budget is spent at the present rate; absent when it never will.",
	"slo_budget_policy_gate":                "What the budget policy asks for: 0 nothing, 1 warn, 2 block; absent when the budget is unknown.",
	"slo_excluded":                          "Whether the present is excluded; absent for SLOs without exclusions.",
	"slo_period_end_timestamp_seconds":      "When the calendar window ends and its budget starts anew; absent for rolling windows.",
	"slowburn_groups":                       "Groups of an SLO that are followed, and those left out beyond its limit.",
	"slo_data_state":                        "1, for the present state of the data only.",
	"slo_data_doubt":                        "1, for each reason why the numbers may be wrong.",
	"slo_alert_firing":                      "Whether an alert fires; of those that are not about the burn rate only while they do.",
	"slo_last_evaluation_timestamp_seconds": "The instant for which the SLO was last evaluated.",
}

// gaugeOf is a metric with labels.
func gaugeOf(name string, v float64, labels map[string]string) prometheus.Metric {
	names := slices.Sorted(maps.Keys(labels))
	values := make([]string, len(names))
	for i, n := range names {
		values[i] = labels[n]
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help[name], names, nil), prometheus.GaugeValue, v, values...)
}

// oneIf is 1 for what is so, else 0.
func oneIf(is bool) *float64 {
	v := 0.0
	if is {
		v = 1
	}
	return &v
}

// alertKind is what the metric slo_alert_firing tells apart.
type alertKind struct{ name, severity string }

// alertsOf reports of each kind of alert whether it fires: of burn alerts always, of the
// others only while they do, so that an SLO has no more than 20 series.
func alertsOf(s *Status) map[alertKind]bool {
	out := map[alertKind]bool{}
	if s.Spec != nil {
		name := s.Spec.Alerting.AlertName()
		out[alertKind{name, "page"}], out[alertKind{name, "ticket"}] = false, false
	}
	for _, a := range s.Alerts {
		out[alertKind{a.Name, a.Severity}] = true
	}
	return out
}

// collect gives one SLO's metrics; undefined ones are absent.
func collect(s *Status, ch chan<- prometheus.Metric) {
	base := map[string]string{"slo_id": s.ID, "slo_service": s.Service, "slo": s.SLO}
	maps.Copy(base, s.Group)
	give := func(name string, v *float64, pairs ...string) {
		if v == nil {
			return
		}
		all := maps.Clone(base)
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = pairs[i+1]
		}
		ch <- gaugeOf(name, *v, all)
	}
	one := 1.0
	info := []string{"owner", s.Owner, "window", s.Window, "source", "evaluator", "revision", s.Revision}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		info = append(info, k, s.Labels[k])
	}
	give("slo_info", &one, info...)
	give("slo_objective_ratio", &s.Objective)
	give("slo_budget_policy_gate", gateNumber(s))
	if g := s.Groups; g != nil {
		followed, left := float64(g.Count), float64(g.LeftOut)
		give("slowburn_groups", &followed, "state", "followed")
		give("slowburn_groups", &left, "state", "left_out")
	}
	give("slo_data_state", &one, "state", string(s.State))
	for _, d := range s.Doubts {
		give("slo_data_doubt", &one, "code", string(d.Code))
	}
	for alert, firing := range alertsOf(s) {
		give("slo_alert_firing", oneIf(firing), "alertname", alert.name, "severity", alert.severity)
	}
	for _, w := range s.Windows[:max(0, len(s.Windows)-1)] { // the policy's
		give("slo_burn_rate", w.BurnRate, "window", w.Name)
	}
	if len(s.Windows) == 0 || s.At.IsZero() {
		return
	}
	own := s.Windows[len(s.Windows)-1]
	at := float64(s.At.Unix())
	give("slo_last_evaluation_timestamp_seconds", &at)
	give("slo_coverage_ratio", &own.Coverage)
	give("slo_sli_ratio", own.SLI)
	if own.Coverage > 0 {
		good := max(own.Total-own.Bad, 0)
		give("slo_window_events", &good, "result", "good")
		give("slo_window_events", &own.Bad, "result", "bad")
	}
	if s.Spec != nil && len(s.Spec.Exclusions) > 0 {
		give("slo_excluded", oneIf(s.Excluded.Now))
	}
	give("slo_error_budget_events", s.Budget.Allowed)
	give("slo_error_budget_remaining_ratio", s.Budget.Remaining)
	give("slo_error_budget_exhaustion_seconds", s.Budget.ExhaustedInSeconds)
	if end := s.Budget.PeriodEnd; end != nil {
		anew := float64(end.Unix())
		give("slo_period_end_timestamp_seconds", &anew)
	}
}
