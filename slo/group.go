package slo

import (
	"strings"
)

// Of is the group of an SLO with these values of the labels that it is split by.
func (s *SLO) Of(group map[string]string) *SLO {
	one := *s
	one.Groups, one.Group = nil, group
	values := make([]string, len(s.Groups.By))
	for i, name := range s.Groups.By {
		values[i] = group[name]
	}
	if o, ok := s.Groups.Objectives[strings.Join(values, ",")]; ok {
		one.Objective, one.PastObjectives = o, nil
	}
	return &one
}
