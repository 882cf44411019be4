package alerting

import (
	"math"

	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Share prints a ratio as a percentage with two significant digits, or more if less than
// all would look like all.
func Share(ratio float64) string {
	if math.Abs(ratio) >= 10 {
		return humanize.Decimal(math.Round(ratio*100)) + " %"
	}
	n := 2
	for ratio < 1 && n < 8 && humanize.Digits(ratio*100, n) == "100" {
		n++
	}
	return humanize.Digits(ratio*100, n) + " %"
}

// RunsText returns how many runs in a row were missed, or failed, in words.
func RunsText(s *slo.SLO, row int) string {
	did := "failed"
	if s.Indicator != nil {
		if _, due := s.Indicator.Measure().(slo.Runs); due {
			did = "missed"
		}
	}
	if row == 1 {
		if did == "missed" {
			return "a run was missed"
		}
		return "a run failed"
	}
	if did == "missed" {
		return humanize.Decimal(float64(row)) + " runs in a row were missed"
	}
	return humanize.Decimal(float64(row)) + " runs in a row failed"
}
