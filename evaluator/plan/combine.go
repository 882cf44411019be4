package plan

import (
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Combine makes one slot of the slots of all meters.
type Combine func(slots []timeline.Slot) timeline.Slot

// InputsOf are the meters of an SLO, and what their slots make together; nil for
// one meter.
func InputsOf(s *slo.SLO) ([]*Input, Combine) {
	if _, ok := s.Indicator.Measure().(slo.Parts); !ok {
		m := NewInput(s.Indicator)
		m.within(s.Group)
		if s.Groups != nil {
			for i := range m.Queries {
				m.Queries[i].By = s.Groups.By
			}
		}
		return []*Input{m}, nil
	}
	var meters []*Input
	join := worstOf(s, &meters)
	return meters, join
}

// worstOf adds the meters of an SLO's parts, and of the parts of these.
func worstOf(s *slo.SLO, meters *[]*Input) Combine {
	parts, ok := s.Indicator.Measure().(slo.Parts)
	if !ok {
		m := NewInput(s.Indicator)
		m.target = s.Objective
		if s.Slice != nil {
			m.target = s.Slice.Target
		}
		at := len(*meters)
		*meters = append(*meters, m)
		return func(slots []timeline.Slot) timeline.Slot { return asEvent(slots[at], m.target) }
	}
	var all []Combine
	for _, p := range parts {
		all = append(all, worstOf(p, meters))
	}
	return func(slots []timeline.Slot) timeline.Slot {
		worst := timeline.Slot{Total: 1, Known: true}
		for _, part := range all {
			switch one := part(slots); {
			case one.Bad > 0:
				return one
			case !one.Known:
				worst = timeline.Slot{}
			}
		}
		return worst
	}
}

// asEvent makes one event of a slot, a bad one when less than the target of its
// events are good.
func asEvent(s timeline.Slot, target slo.Objective) timeline.Slot {
	out := timeline.Slot{Known: s.Known || s.Total > 0 || s.Bad > 0}
	if out.Known {
		out.Total = 1
	}
	if fails(s, target) {
		out.Bad = 1
	}
	return out
}

func fails(s timeline.Slot, target slo.Objective) bool { return target.BurnRate(s.Bad, s.Total) > 1 }

// InputSlots are the slots of all meters at a time.
type InputSlots []timeline.Slot

// Keep is for how long slots are recorded, in minutes: the longest slice, and
// what a late scrape may still make known. It is more where samples come seldom.
const Keep = 60 + 30

// One is what the slots of all meters make together.
func (l *Plan) One(all InputSlots) timeline.Slot {
	if l.Combine != nil {
		return l.Combine(all)
	}
	return all[0]
}

// Derived reports whether the ledger's slots are made of the meters'.
func (l *Plan) Derived() bool { return l.Combine != nil || l.Slice != nil || l.AbsentBad }

// SliceOf is the event that a slice of time is: none when nothing of it is
// known, and a bad one when data that should be there is gone in it and it has no
// events.
func (l *Plan) SliceOf(whole timeline.Slot, known, gone bool) (total, bad float64) {
	if !known && whole.Total == 0 && whole.Bad <= 0 {
		return 0, 0
	}
	if fails(whole, l.Slice.Target) || gone && whole.Total == 0 {
		return 1, 1
	}
	return 1, 0
}
