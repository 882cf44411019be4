package rules

import (
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/slo"
)

// Refusal says why rules for Prometheus can't carry an SLO, "" when they can.
func Refusal(s *slo.SLO) string { return Options{}.refusal(s) }

func (o Options) refusal(s *slo.SLO) string {
	var why []string
	if !s.Window.IsRolling() {
		why = append(why, "its window is {calendar: "+s.Window.String()+
			"}, and PromQL has ranges of fixed length only, and no time zones but UTC")
	}
	if len(s.Exclusions) > 0 {
		why = append(why, "it excludes time, and what rules have recorded stays as it was when an exclusion is written later")
	}
	if reason := unannotatable(s, o.Policies.Tiers(s)); reason != "" {
		why = append(why, reason)
	}
	for _, leaf := range s.Leaves() {
		if reason := o.unmeasurable(leaf.Indicator); reason != "" && leaf != s {
			why = append(why, "its part "+leaf.ID()+": "+reason)
		} else if reason != "" {
			why = append(why, reason)
		}
	}
	return strings.Join(why, "; ")
}

// unmeasurable says why rules can't measure an indicator, "" when they can.
func (o Options) unmeasurable(i slo.Indicator) string {
	switch m := i.Measure().(type) {
	case slo.Increments:
		for _, t := range slices.Concat(m.Good, m.Bad, m.Total) {
			if t.Selector.Name() == "" {
				return "its gauges have no single metric name, and PromQL drops the names that tell their series apart"
			}
		}
	case slo.States:
		if m.Gauge.Name() == "" {
			return "its probe has no single metric name, and PromQL drops the names that tell its series apart"
		}
	case slo.Levels:
		return o.unreadable(m.Query)
	case slo.Runs:
		return o.unreadable(m.LastSuccess)
	case slo.Rates:
		return o.unreadable(m.Good.Query, m.Bad.Query, m.Total.Query)
	}
	return ""
}

func (o Options) unreadable(queries ...string) string {
	for _, q := range queries {
		if q == "" {
			continue
		}
		if _, err := o.values(q); err != nil {
			return err.Error()
		}
	}
	return ""
}
