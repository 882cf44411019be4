package alerting

import "github.com/slowburn-slo/slowburn/slo"

// Refusal is why rules can't do the work of an SLO, "" when they can.
func Refusal(s *slo.SLO) string {
	if len(s.Exclusions) > 0 {
		return "it excludes time, and recorded slots can't be taken back"
	}
	return ""
}
