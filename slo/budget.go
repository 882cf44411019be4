package slo

// parts is 1-o as a fraction of whole numbers, so that what is computed with it
// is rounded once, in one division.
func (o Objective) parts() (num, den float64) {
	hundred := 100 * pow10(o.scale)
	return float64(hundred - o.digits), float64(hundred)
}

// Allowed is the number of bad events that the objective allows among total
// events: (1-o) * N.
func (o Objective) Allowed(total float64) float64 {
	num, den := o.parts()
	return total * num / den
}

// BurnRate is how fast bad events among total spend the budget: (B/N) / (1-o),
// 1 being the rate that spends it in just the window (SRE workbook, chapter
// "Alerting on SLOs"). Without events it is 0. There are at least as many events
// as bad ones, whatever total says.
func (o Objective) BurnRate(bad, total float64) float64 {
	total = max(total, bad)
	if total == 0 {
		return 0
	}
	num, den := o.parts()
	return bad * den / (total * num)
}

// BadShare is the ratio of the events that are bad, from 0 to 1. Without events it
// is 0. There are at least as many events as bad ones, whatever total says.
func BadShare(bad, total float64) float64 {
	if bad <= 0 {
		return 0
	}
	return bad / max(total, bad)
}
