// Package series makes up series that the selectors of an SLO select: what a good and a
// bad event are to counters follows from these. It imports SLOs only.
package series

import (
	"maps"
	"regexp/syntax"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// Rising is a series of a counter that rises with events.
type Rising struct {
	Labels          labels.Labels
	PerGood, PerBad float64 // what a good and a bad event add
}

// OfCounters are series by which an SLO of these counters sees good and bad events,
// with more labels beside those that it selects by; none where it can't be told
// what they would be.
func OfCounters(c slo.Counters, more map[string]string) []Rising {
	// What one good and one bad event are to the two counters.
	first, second := c.Bad, c.Total
	good, bad := [2]float64{0, 1}, [2]float64{1, 1}
	switch {
	case c.Bad.IsZero():
		first, good, bad = c.Good, [2]float64{1, 1}, [2]float64{0, 1}
	case c.Total.IsZero():
		first, second, good, bad = c.Good, c.Bad, [2]float64{1, 0}, [2]float64{0, 1}
	}
	var selectors []slo.Selector
	for _, t := range slices.Concat(first, second) {
		selectors = append(selectors, t.Selector)
	}
	// The first series that is to both counters what it is.
	var found []labels.Labels
	var weights [][2]float64
	for _, l := range candidates(selectors, more) {
		w := [2]float64{Weight(first, l), Weight(second, l)}
		if w != [2]float64{} && !slices.Contains(weights, w) {
			found, weights = append(found, l), append(weights, w)
		}
	}
	out := make([]Rising, len(found))
	for i, l := range found {
		out[i].Labels = l
	}
	if !share(weights, good, func(i int, n float64) { out[i].PerGood += n }) || !share(weights, bad, func(i int, n float64) { out[i].PerBad += n }) {
		return nil
	}
	return slices.DeleteFunc(out, func(r Rising) bool { return r.PerGood == 0 && r.PerBad == 0 })
}

// share finds one series or two that make of an event what it is to two counters,
// and tells how much each rises.
func share(weights [][2]float64, event [2]float64, rise func(i int, n float64)) bool {
	for i, w := range weights {
		n := (event[0] + event[1]) / (w[0] + w[1])
		if n > 0 && n*w[0] == event[0] && n*w[1] == event[1] {
			rise(i, n)
			return true
		}
	}
	for i, w := range weights {
		for j, v := range weights[:i] {
			det := w[0]*v[1] - w[1]*v[0]
			a, b := (event[0]*v[1]-event[1]*v[0])/det, (w[0]*event[1]-w[1]*event[0])/det
			if det != 0 && a > 0 && b > 0 {
				rise(i, a)
				rise(j, b)
				return true
			}
		}
	}
	return false
}

// Weight is how often a counter counts a series.
func Weight(c slo.Counter, l labels.Labels) float64 {
	sum := 0.0
	for _, t := range c {
		if matches(t.Selector, l) {
			sum += t.Weight
		}
	}
	return sum
}

func matches(s slo.Selector, l labels.Labels) bool {
	return !slices.ContainsFunc(s.Matchers(), func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

// maxCandidates bounds the series that are tried.
const maxCandidates = 20_000

// candidates are series that selectors may select, by the values that their
// matchers name and some others, which labels have where nothing is said.
func candidates(selectors []slo.Selector, more map[string]string) []labels.Labels {
	values := map[string][]string{}
	add := func(name string, texts ...string) {
		for _, text := range texts {
			if !slices.Contains(values[name], text) {
				values[name] = append(values[name], text)
			}
		}
	}
	for _, s := range selectors {
		for _, m := range s.Matchers() {
			if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
				add(m.Name, m.Value)
			} else {
				add(m.Name, Samples(m.Value)...)
			}
		}
	}
	for name := range values {
		if name != model.MetricNameLabel {
			add(name, "200", "other", "")
		}
	}
	for name, value := range more {
		values[name] = []string{value}
	}
	out := []labels.Labels{labels.EmptyLabels()}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(out)*len(values[name]) > maxCandidates {
			return nil
		}
		var longer []labels.Labels
		for _, l := range out {
			for _, v := range values[name] {
				longer = append(longer, labels.NewBuilder(l).Set(name, v).Labels())
			}
		}
		if len(values[name]) > 0 {
			out = longer
		}
	}
	return slices.DeleteFunc(out, func(l labels.Labels) bool {
		name := l.Get(model.MetricNameLabel)
		return !model.LegacyValidation.IsValidMetricName(name) && !slices.ContainsFunc(selectors, func(s slo.Selector) bool { return s.Name() == name })
	})
}

// Samples are some texts that a pattern matches.
func Samples(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	return sampled(re)
}

// maxSamples bounds the texts of one pattern.
const maxSamples = 8

func sampled(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			return []string{string(re.Rune[:1])}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"0"}
	case syntax.OpCapture, syntax.OpPlus:
		return sampled(re.Sub[0])
	case syntax.OpRepeat:
		out := []string{""}
		for range re.Min {
			out = joinEach(out, sampled(re.Sub[0]))
		}
		return out
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range re.Sub {
			out = joinEach(out, sampled(sub))
		}
		return out
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			out = append(out, sampled(sub)...)
		}
		return out[:min(len(out), maxSamples)]
	}
	return []string{""} // what may be absent, and the edges of words and lines
}

func joinEach(heads, tails []string) []string {
	var out []string
	for _, h := range heads {
		for _, t := range tails {
			out = append(out, h+t)
		}
	}
	return out[:min(len(out), maxSamples)]
}

// First is a series that a selector selects.
func First(s slo.Selector, more map[string]string) (labels.Labels, bool) {
	for _, l := range candidates([]slo.Selector{s}, more) {
		if matches(s, l) {
			return l, true
		}
	}
	return labels.Labels{}, false
}

// Text is a series as promtool reads it.
func Text(l labels.Labels) string {
	name := l.Get(model.MetricNameLabel)
	if !model.LegacyValidation.IsValidMetricName(name) {
		return l.String()
	}
	return name + labels.NewBuilder(l).Del(model.MetricNameLabel).Labels().String()
}
