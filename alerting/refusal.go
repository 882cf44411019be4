package alerting

import "github.com/slowburn-slo/slowburn/slo"

// Refusal says why rules can't carry an SLO, "" when they can.
func Refusal(s *slo.SLO) string {
	c, counted := s.Indicator.Measure().(slo.Counters)
	switch {
	case !s.Window.IsRolling():
		return "rules can't sum up the window calendar: " + s.Window.String() +
			": PromQL has ranges of fixed length only, and no time zones but UTC"
	case len(s.Exclusions) > 0:
		return "it excludes time, and recorded slots can't be taken back"
	case s.Groups != nil:
		return "it is split by group_by"
	case s.Slice != nil:
		return "it counts time slices"
	case !counted:
		return "its indicator " + s.Indicator.Kind() + " is not made of counters"
	}
	for _, counter := range []slo.Counter{c.Good, c.Bad, c.Total} {
		if _, plain := counter.Plain(); !plain && !counter.IsZero() {
			return "it counts a sum of counters"
		}
	}
	return ""
}
