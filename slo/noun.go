package slo

import (
	"slices"
	"strings"
)

// nouns are the names of events in the names of counters.
func nouns() []string {
	return []string{
		"calls", "checks", "commands", "connections", "deliveries", "emails", "hits", "jobs", "lookups", "messages", "operations",
		"orders", "payments", "probes", "queries", "reads", "requests", "responses", "sessions", "tasks", "transactions", "writes",
	}
}

// Noun returns a name of the SLO's events from the names of its metrics, such as
// "requests". Without one it is the unit.
func (s *SLO) Noun() string {
	unit := s.Unit()
	c, counts := Counters{}, false
	if s.Indicator != nil {
		c, counts = s.Indicator.Measure().(Counters)
	}
	if unit != UnitEvents || !counts {
		return unit
	}
	for _, counter := range []Counter{c.Total, c.Good} {
		for _, term := range counter {
			words := strings.FieldsFunc(term.Selector.Name(), func(r rune) bool { return r == '_' || r == '.' || r == ':' })
			for _, word := range slices.Backward(words) {
				if slices.Contains(nouns(), word) {
					return word
				}
			}
		}
	}
	return unit
}
