package slo

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// A bucket of a classic histogram is its bound, the number in the label le.
// Clients and backends write that number in many ways: Prometheus 3 writes "1.0"
// where 2 wrote "1", Go writes "1e+06", and some clients pad with zeros.

// BoundText is the text by which slowburn names a bound.
func BoundText(bound float64) string { return strconv.FormatFloat(bound, 'f', -1, 64) }

// SameBound reports whether two numbers are one bound. Clients that calculate
// their bounds write 0.30000000000000004 for 0.3. An infinite bound is none but itself.
func SameBound(a, b float64) bool {
	return a == b || !math.IsInf(b, 0) && math.Abs(a-b) <= 1e-9*math.Abs(b)
}

// boundPattern matches the texts of a positive bound: with zeros around it, and
// with an exponent.
func boundPattern(bound float64) string {
	mantissa, power, _ := strings.Cut(strconv.FormatFloat(bound, 'e', -1, 64), "e")
	first, rest, _ := strings.Cut(mantissa, ".")
	exponent, _ := strconv.Atoi(power)
	scientific := first + fraction(rest) + "[eE]"
	switch whole, decimals, _ := strings.Cut(BoundText(bound), "."); {
	case exponent == 0:
		return "0*" + first + fraction(rest) + "([eE][+-]?0+)?"
	case exponent > 0:
		return "0*" + whole + fraction(decimals) + "|" + scientific + `\+?0*` + strconv.Itoa(exponent)
	default:
		return "0+" + fraction(decimals) + "|" + scientific + "-0*" + strconv.Itoa(-exponent)
	}
}

// fraction matches a point and decimals, and zeros after them.
func fraction(decimals string) string {
	if decimals == "" {
		return `(\.0*)?`
	}
	return `\.` + decimals + "0*"
}

// Bucket selects the buckets at the threshold, in whatever way their bound is
// written, or in one of some more ways.
func (l Latency) Bucket(more ...string) Selector {
	if l.le != nil && len(more) == 0 {
		return l.Buckets().With(l.le)
	}
	return l.Buckets().With(boundMatcher(l.Threshold, more))
}

// BucketMatchers are the matchers of bounds: many SLOs have few thresholds.
type BucketMatchers map[float64]*labels.Matcher

// Share is an indicator whose matcher is compiled once for all that have its bound.
func (b BucketMatchers) Share(i Indicator) Indicator {
	l, ok := i.(Latency)
	if !ok || l.Threshold <= 0 {
		return i
	}
	if b[l.Threshold] == nil {
		b[l.Threshold] = boundMatcher(l.Threshold, nil)
	}
	l.le = b[l.Threshold]
	return l
}

// boundMatcher matches the texts of a bound, and some more.
func boundMatcher(bound float64, more []string) *labels.Matcher {
	patterns := []string{boundPattern(bound)}
	for _, text := range more {
		patterns = append(patterns, regexp.QuoteMeta(text))
	}
	return labels.MustNewMatcher(labels.MatchRegexp, labels.BucketLabel, strings.Join(patterns, "|"))
}

// Bound is the bound of the buckets that a selector selects by le: that of all
// texts that it names. ok is false where it names none, or several bounds.
func (s Selector) Bound() (bound float64, ok bool) {
	for _, m := range s.matchers {
		if m.Name != labels.BucketLabel {
			continue
		}
		for _, text := range boundTexts(m) {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || ok && !SameBound(v, bound) {
				return 0, false
			}
			bound, ok = v, true
		}
	}
	return bound, ok
}

// IsRespelled reports whether a selector selects one bucket by several ways of writing
// its bound: series that should count once.
func (s Selector) IsRespelled() bool {
	_, ok := s.Bound()
	return ok && slices.ContainsFunc(s.matchers, func(m *labels.Matcher) bool {
		return m.Name == labels.BucketLabel && m.Type == labels.MatchRegexp && len(boundTexts(m)) > 1
	})
}

// boundTexts are the texts of bounds that a matcher matches, as far as it names
// them.
func boundTexts(m *labels.Matcher) []string {
	switch m.Type {
	case labels.MatchEqual:
		return []string{m.Value}
	case labels.MatchRegexp:
		re, err := syntax.Parse(m.Value, syntax.Perl)
		if err == nil {
			return textsOf(re.Simplify())
		}
	}
	return nil
}

// mostTexts bounds the texts of one pattern.
const mostTexts = 100

// textsOf are the texts that a pattern matches, nil where they are too many or
// have no end. Of zeros, which change no number, it has one or none, and takes any
// character for a point.
func textsOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return []string{""}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"."}
	case syntax.OpCharClass:
		return classTexts(re.Rune)
	case syntax.OpCapture:
		return textsOf(re.Sub[0])
	case syntax.OpQuest:
		if texts := textsOf(re.Sub[0]); texts != nil {
			return append(texts, "")
		}
	case syntax.OpStar, syntax.OpPlus:
		if zero := re.Sub[0]; zero.Op == syntax.OpLiteral && string(zero.Rune) == "0" {
			if re.Op == syntax.OpPlus {
				return []string{"0"}
			}
			return []string{"", "0"}
		}
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range re.Sub {
			var longer []string
			tails := textsOf(sub)
			for _, head := range out {
				for _, tail := range tails {
					longer = append(longer, head+tail)
				}
			}
			if out = longer; len(out) == 0 || len(out) > mostTexts {
				return nil
			}
		}
		return out
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			texts := textsOf(sub)
			if texts == nil {
				return nil
			}
			out = append(out, texts...)
		}
		return out
	}
	return nil
}

// classTexts are the characters of a class, given as ranges.
func classTexts(ranges []rune) []string {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if out = append(out, string(r)); len(out) > mostTexts {
				return nil
			}
		}
	}
	return out
}
