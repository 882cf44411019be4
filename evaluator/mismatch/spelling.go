package mismatch

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

// DropMatchers returns a selector without its matchers of a label.
func DropMatchers(s slo.Selector, name string) slo.Selector {
	return slo.NewSelector(slices.DeleteFunc(slices.Clone(s.Matchers()), func(m *labels.Matcher) bool { return m.Name == name })...)
}

// MatcherOf returns the first matcher of a label.
func MatcherOf(s slo.Selector, name string) *labels.Matcher {
	i := slices.IndexFunc(s.Matchers(), func(m *labels.Matcher) bool { return m.Name == name })
	return s.Matchers()[i]
}

// matchesAll reports whether all matchers of a label match a text.
func matchesAll(s slo.Selector, name, text string) bool {
	return !slices.ContainsFunc(s.Matchers(), func(m *labels.Matcher) bool { return m.Name == name && !m.Matches(text) })
}

// Alternatives returns the matcher of a label with more texts.
func Alternatives(name string, s slo.Selector, more []string) string {
	m := MatcherOf(s, name)
	pattern := m.Value
	if m.Type == labels.MatchEqual {
		pattern = quotedForPattern(pattern)
	}
	for _, text := range more {
		pattern += "|" + quotedForPattern(text)
	}
	return name + `=~"` + pattern + `"`
}

// quotedForPattern returns a pattern that matches a text, in a form that needs no escapes
// in PromQL or YAML.
func quotedForPattern(text string) string {
	return strings.NewReplacer(`\.`, "[.]", `\+`, "[+]").Replace(regexp.QuoteMeta(text))
}

// Spellings returns the texts of the bound that a selector selects, and those of them
// that it does not match.
func Spellings(s slo.Selector, texts []string) (same, missed []string) {
	bound, _ := s.Bound()
	for _, text := range texts {
		if v, err := strconv.ParseFloat(text, 64); err == nil && slo.SameBound(v, bound) {
			same = append(same, text)
			if !matchesAll(s, labels.BucketLabel, text) {
				missed = append(missed, text)
			}
		}
	}
	return same, missed
}

// TextsOf returns the values of a label in an answer, in order.
func TextsOf(answer []backend.Series, name string) (out []string) {
	for _, row := range answer {
		if text := row.Labels[name]; text != "" {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}
