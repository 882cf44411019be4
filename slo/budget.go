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
// "Alerting on SLOs"). Without events it is 0.
func (o Objective) BurnRate(bad, total float64) float64 {
	if total == 0 {
		return 0
	}
	num, den := o.parts()
	return bad * den / (total * num)
}
