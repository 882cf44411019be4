// Package humanize writes numbers and times for people, and reads times of theirs, the
// same on pages and on the command line. Undefined is Dash, and no number is rounded to one that
// means something else, such as 100 %.
//
// A use:
//
//	fmt.Println(humanize.SLI(window.SLI, status.Objective)) // 99.871 %
package humanize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The characters other than digits.
const (
	Dash  = "–"      // what people see of an undefined number
	Minus = "\u2212" // of the width of a digit
	Space = "\u00a0" // between a number and its unit, where no line may end
)

// grouped rounds v to the given decimals and separates thousands by commas.
func grouped(v float64, decimals int) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	whole, frac, hasFrac := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if hasFrac {
		whole += "." + frac
	}
	if v < 0 && strings.Trim(whole, "0.,") != "" {
		return Minus + whole
	}
	return whole
}

// Count is a number of events: whole where they are many, with up to two
// decimals where extrapolation gives fractions of few.
func Count(v float64) string {
	decimals := 0
	if a := math.Abs(v); a != math.Trunc(a) && a < 100 {
		decimals = 2
		if a >= 10 {
			decimals = 1
		}
	}
	return grouped(v, decimals)
}

// Plural is a number of things: "1 SLO" or "1,200 SLOs". It is for nouns that take an s.
func Plural(n int, noun string) string { return Count(float64(n)) + " " + Noun(n, noun) }

// Noun is the noun after a number: "SLO" after 1, "SLOs" after others.
func Noun(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// Decimal is a number with at most two decimals, for messages, which have a plain minus.
func Decimal(v float64) string {
	return strings.Replace(strings.TrimRight(strings.TrimRight(grouped(v, 2), "0"), "."), Minus, "-", 1)
}

// Precise is a number with at most three decimals and without commas, to compare with that
// of another program.
func Precise(v float64) string { return strconv.FormatFloat(math.Round(1000*v)/1000, 'f', -1, 64) }

// Times is how often something happened: "once", "3 times".
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Fixed is a number with so many decimals, for sums whose parts people add up.
func Fixed(v float64, decimals int) string { return grouped(v, decimals) }

// Objective is the ratio as exact decimal percent, 0.999 as "99.9": for objectives and
// shares that people write, which have few digits.
func Objective(ratio float64) string {
	percent, _ := strconv.ParseFloat(strconv.FormatFloat(ratio, 'f', -1, 64)+"e2", 64) // rounds once
	return strconv.FormatFloat(percent, 'f', -1, 64)
}

// maxDecimals bounds the digits of an SLI; an objective has at most 9.
const maxDecimals = 10

// SLI is an SLI with two decimals more than its objective, and as many
// more as distinguish it from the objective and from 100 %.
func SLI(sli *float64, objective float64) string {
	if sli == nil {
		return Dash
	}
	if *sli == 1 {
		return "100" + Space + "%"
	}
	_, frac, _ := strings.Cut(Objective(objective), ".")
	for decimals := len(frac) + 2; ; decimals++ {
		s := strconv.FormatFloat(100**sli, 'f', decimals, 64)
		same := s == strconv.FormatFloat(100*objective, 'f', decimals, 64) || isHundred(s)
		if *sli == objective || decimals >= maxDecimals || !same {
			return s + Space + "%"
		}
	}
}

// Digits is a number with at least n significant digits, and no digits
// after the point that add nothing.
func Digits(v float64, n int) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	decimals := max(0, n-1-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Percent is a share: whole percent, one decimal below 10 %, and as many more
// as distinguish it from 0 and from 100 %. What is closer to them than
// 5e-9 is noise of the arithmetic.
func Percent(v *float64) string {
	if v == nil {
		return Dash
	}
	const finest = 6 // decimals, of percent
	p := 100 * *v
	if whole := math.Round(p); math.Abs(p-whole) < 5e-7 {
		return grouped(whole, 0) + Space + "%"
	}
	decimals := 0
	if math.Abs(p) < 9.95 {
		decimals = 1
	}
	for ; decimals < finest; decimals++ {
		if shown := grouped(p, decimals); strings.Trim(shown, Minus+"0.") != "" && !isHundred(shown) {
			break
		}
	}
	return grouped(p, decimals) + Space + "%"
}

// Share is a ratio of bad events as percent, with two significant digits below
// 10 %.
func Share(ratio float64) string {
	if p := 100 * ratio; p > 0 && p < 9.95 {
		digits, _ := strconv.ParseFloat(strconv.FormatFloat(p, 'g', 2, 64), 64) // just printed
		return strconv.FormatFloat(digits, 'f', -1, 64) + Space + "%"
	}
	return Percent(&ratio)
}

// isHundred reports whether the text is 100 with any number of decimals.
func isHundred(text string) bool {
	return text == "100" || strings.HasPrefix(text, "100.") && strings.Trim(text[4:], "0") == ""
}

// BurnRate is a burn rate: one decimal, two below 0.1, none from 100.
func BurnRate(v *float64) string {
	switch {
	case v == nil:
		return Dash
	case *v == 0:
		return "0"
	case *v > 0 && *v < 0.005:
		return "<0.01"
	case *v < 0.095:
		return grouped(*v, 2)
	case *v < 99.95:
		return grouped(*v, 1)
	}
	return grouped(*v, 0)
}

// Duration is a length of time in its two largest units: "4 d 10 h".
func Duration(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		s := strconv.FormatInt(int64(d/u.size), 10) + Space + u.name
		if i+1 < len(units) {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				s += Space + strconv.FormatInt(int64(rest), 10) + Space + units[i+1].name
			}
		}
		return s
	}
	return "0" + Space + "s"
}

// Minute is an instant in a message, in UTC: "2026-11-22 14:02 UTC".
func Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Moment is an instant as people and as programs read it, in UTC.
type Moment struct {
	Text string // "14:02", "Tue 14:02", "17 Nov 14:02": as short as it is clear
	Full string // "2026-11-22 14:02:00 UTC"
	RFC  string
}

// NewMoment returns t as seen from now; nil when there is no t.
func NewMoment(t *time.Time, now time.Time) *Moment {
	if t == nil || t.IsZero() {
		return nil
	}
	u, n := t.UTC(), now.UTC()
	layout := "15:04"
	switch age := n.Sub(u); {
	case u.Year() != n.Year():
		layout = "2006-01-02 15:04"
	case u.YearDay() == n.YearDay():
	case age > 0 && age < 6*24*time.Hour:
		layout = "Mon 15:04"
	default:
		layout = "2 Jan 15:04"
	}
	return &Moment{
		Text: u.Format(layout),
		Full: u.Format("2006-01-02 15:04:05") + " UTC",
		RFC:  u.Format(time.RFC3339),
	}
}

// mostSeconds are much fewer than those by which a time.Time overflows.
const mostSeconds = 1e15

// ParseTime reads RFC 3339 or Unix seconds.
func ParseTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339, such as 2026-11-22T06:00:00Z, nor Unix seconds", text)
	}
	if seconds < -mostSeconds || seconds > mostSeconds {
		return time.Time{}, fmt.Errorf("%q is too long ago, or too far off", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
