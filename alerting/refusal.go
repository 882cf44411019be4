package alerting

import "github.com/slowburn-slo/slowburn/slo"

// Refusal says why rules can't carry an SLO, "" when they can.
func Refusal(s *slo.SLO) string {
	if !s.Window.IsRolling() {
		return "rules can't sum up the window calendar: " + s.Window.String() +
			": PromQL has ranges of fixed length only, and no time zones but UTC"
	}
	return ""
}
