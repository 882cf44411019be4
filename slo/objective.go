package slo

import (
	"fmt"
	"strconv"
	"strings"
)

// Objective is the share of good events that an SLO promises. It keeps the
// decimal digits of the file, so that 1-o of 99.9 is 0.001 and not
// 0.0009999999999999432.
type Objective struct {
	digits int64 // percent = digits / 10^scale
	scale  int
}

// maxObjectiveDigits bounds the digits after the decimal point. Nine of them
// allow 0.3 milliseconds of outage a year; more is a mistake.
const maxObjectiveDigits = 9

// ParseObjective reads a percentage such as "99.9". The error says what is
// wrong with it in the words of a finding.
func ParseObjective(text string) (Objective, error) {
	whole, frac, _ := strings.Cut(text, ".")
	if len(frac) > maxObjectiveDigits {
		return Objective{}, fmt.Errorf("objective %s has more than %d decimals", text, maxObjectiveDigits)
	}
	digits, err := strconv.ParseUint(whole+frac, 10, 63)
	if err != nil || whole == "" {
		return Objective{}, fmt.Errorf("objective %q is not a percentage such as 99.9", text)
	}
	o := Objective{digits: int64(digits), scale: len(frac)}
	switch hundred := 100 * pow10(o.scale); {
	case o.digits == 0:
		return Objective{}, fmt.Errorf("objective %s promises nothing", text)
	case o.digits == hundred:
		return Objective{}, fmt.Errorf("objective %s leaves no error budget", text)
	case o.digits > hundred:
		return Objective{}, fmt.Errorf("objective %s is more than 100 percent", text)
	}
	return o, nil
}

// Percent is the objective as people write it: "99.9".
func (o Objective) Percent() string { return decimal(o.digits, o.scale) }

// Ratio is the objective as a ratio: 0.999.
func (o Objective) Ratio() float64 { return toFloat(o.RatioText()) }

// RatioText is the ratio as exact decimal text: "0.999".
func (o Objective) RatioText() string { return decimal(o.digits, o.scale+2) }

// Budget is the ratio of events that may be bad, 1-o: 0.001. It is the float
// nearest to the exact decimal.
func (o Objective) Budget() float64 { return toFloat(o.BudgetText()) }

// BudgetText is 1-o as exact decimal text: "0.001".
func (o Objective) BudgetText() string {
	return decimal(100*pow10(o.scale)-o.digits, o.scale+2)
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// decimal prints digits / 10^scale without trailing zeros.
func decimal(digits int64, scale int) string {
	s := fmt.Sprintf("%0*d", scale+1, digits)
	s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// toFloat parses text that decimal printed, which always is a number.
func toFloat(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

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
// as bad ones, even if total is less.
func (o Objective) BurnRate(bad, total float64) float64 {
	total = max(total, bad)
	if total == 0 {
		return 0
	}
	num, den := o.parts()
	return bad * den / (total * num)
}

// BadShare is the ratio of the events that are bad, from 0 to 1. Without events it
// is 0. There are at least as many events as bad ones, even if total is less.
func BadShare(bad, total float64) float64 {
	if bad <= 0 {
		return 0
	}
	return bad / max(total, bad)
}
