// Package slo has the types of a service level objective: SLO with its indicator,
// objective, window and exclusions; the arithmetic of budgets and burn rates; and the names
// of series and alerts. It imports nothing else of this module. Package spec reads SLOs
// from files.
package slo

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// SLO is one service level objective. The parser makes it; every other
// package takes it and leaves it unchanged.
type SLO struct {
	Service        string
	About          string // what the service is
	Name           string
	Group          map[string]string // the label values of one group of a grouped SLO
	Description    string
	Owner          string
	Labels         map[string]string // on slo_info and on every alert
	Links          map[string]string // by name: runbook, dashboard, ...
	Objective      Objective
	PastObjectives []PastObjective // in the order of time
	Window         Period
	Slice          *Slice // of time-slice budgeting; nil where occurrences are counted
	Indicator      Indicator
	NoDataBad      bool    // time without data is bad, where that is not unknown
	Groups         *Groups // what the SLO is split by; nil unless it is
	Exclusions     []Exclusion
	BudgetPolicy   []BudgetStep // by falling Below
	Alerting       Alerting
	Backend        string // "" for the first
	Origin         Origin
}

// Slice is a slice of time-slice budgeting, which is bad when less than Target
// of its events are good (OpenSLO v1, timeSliceTarget and timeSliceWindow).
type Slice struct {
	Length Window
	Target Objective
}

// Groups say how an SLO is split into one for each value of labels.
type Groups struct {
	By         []string             // names of labels
	Limit      int                  // of groups
	Objectives map[string]Objective // of groups that have their own, by their values joined with commas
}

// PastObjective is the objective until a time.
type PastObjective struct {
	Until     time.Time
	Objective Objective
}

// BudgetStep is an agreed action for when less than Below of a budget
// remains.
type BudgetStep struct {
	Below  float64 // ratio; negative when more than all is spent
	Action string
	Gate   Gate
}

// Gate is the answer of a budget step to pipelines.
type Gate string

// The gates, from the mildest to the strictest.
const (
	GateOpen  Gate = ""
	GateWarn  Gate = "warn"
	GateBlock Gate = "block"
)

// ObjectiveAt is the objective that was promised for an instant.
func (s *SLO) ObjectiveAt(t time.Time) Objective {
	for _, p := range s.PastObjectives {
		if !t.After(p.Until) {
			return p.Objective
		}
	}
	return s.Objective
}

// At is the SLO as it was promised for an instant.
func (s *SLO) At(t time.Time) *SLO {
	o := s.ObjectiveAt(t)
	if o == s.Objective {
		return s
	}
	past := *s
	past.Objective = o
	return &past
}

// Unit names the SLO's events for people.
func (s *SLO) Unit() string {
	switch {
	case s.Indicator == nil:
		return UnitEvents
	case s.Slice != nil:
		return UnitSlices
	}
	return s.Indicator.Unit()
}

// UsualPolicy is the alert policy of an SLO that names none.
func (s *SLO) UsualPolicy() string {
	if s.Unit() == UnitRuns {
		return JobsPolicy
	}
	return DefaultPolicy
}

// Origin says where an SLO was read.
type Origin struct {
	Source   string // the directory or the repository, as the configuration names it
	Revision string // the commit, or "" for a directory
	File     string // path of the file, as shown in findings
	Line     int    // 1-based place of the SLO in it
	Column   int
	Backends []string  // names of the backends that the source may use; empty for all
	Came     time.Time // when it came, as far as that is known: by its commit, or when it was first loaded
}

// ID is the SLO's identity over all sources: "checkout/availability", or
// `checkout/availability{tenant="acme"}` for a group.
func (s *SLO) ID() string {
	if len(s.Group) == 0 {
		return s.Service + "/" + s.Name
	}
	return s.Service + "/" + s.Name + labels.FromMap(s.Group).String()
}

// Finding is a mistake, or probably one, in a field of an SLO.
type Finding struct {
	SLO           *SLO
	Field         string // of the SLO file, such as "window" or "sli.events.bad"; "" for the SLO itself
	Wrong         bool   // it can't work; else it is probably not meant
	Message, Hint string
}

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
