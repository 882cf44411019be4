package plan

import (
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Combine returns one slot for the slots of all inputs.
type Combine func(slots []timeline.Slot) timeline.Slot

// InputsOf returns the inputs of an SLO, and how their slots are combined; nil for one
// input.
func InputsOf(s *slo.SLO) ([]*Input, Combine) {
	if _, ok := s.Indicator.Measure().(slo.Parts); !ok {
		m := NewInput(s.Indicator)
		m.restrictTo(s.Group)
		if s.Groups != nil {
			for i := range m.Queries {
				m.Queries[i].By = s.Groups.By
			}
		}
		return []*Input{m}, nil
	}
	var inputs []*Input
	join := worstOf(s, &inputs)
	return inputs, join
}

// worstOf adds the inputs of an SLO's parts, and of the parts of these.
func worstOf(s *slo.SLO, inputs *[]*Input) Combine {
	parts, ok := s.Indicator.Measure().(slo.Parts)
	if !ok {
		m := NewInput(s.Indicator)
		m.target = s.Objective
		if s.Slice != nil {
			m.target = s.Slice.Target
		}
		at := len(*inputs)
		*inputs = append(*inputs, m)
		return func(slots []timeline.Slot) timeline.Slot { return asEvent(slots[at], m.target) }
	}
	var all []Combine
	for _, p := range parts {
		all = append(all, worstOf(p, inputs))
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

// asEvent returns a slot as one event. The event is bad if the share of good events is
// below the target.
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

// InputSlots contains the slots of all inputs for one minute.
type InputSlots []timeline.Slot

// RecentLength is the time in minutes for which single slots of inputs are kept: the
// longest slice, and the time in which a late scrape may still make slots known. It is
// longer if samples come seldom.
const RecentLength = 60 + 30

// SlotOf returns the slot that the slots of all inputs make together.
func (p *Plan) SlotOf(all InputSlots) timeline.Slot {
	if p.Combine != nil {
		return p.Combine(all)
	}
	return all[0]
}

// Derived reports whether the slots of the SLO differ from those of its input.
func (p *Plan) Derived() bool { return p.Combine != nil || p.Slice != nil || p.AbsentBad }

// SliceEvent returns the event of a slice. There is none if no slot of the slice is known
// and it has no events. Without events, the slice is bad if data that should be there is
// gone.
func (p *Plan) SliceEvent(whole timeline.Slot, known, gone bool) (total, bad float64) {
	if !known && whole.Total == 0 && whole.Bad <= 0 {
		return 0, 0
	}
	if fails(whole, p.Slice.Target) || gone && whole.Total == 0 {
		return 1, 1
	}
	return 1, 0
}
