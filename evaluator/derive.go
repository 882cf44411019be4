package evaluator

import (
	"slices"

	"github.com/slowburn-slo/slowburn/slo"
)

// joined makes one slot of the slots of all meters.
type joined func(slots []Slot) Slot

// metersOf are the meters of an SLO, and what their slots make together; nil for
// one meter.
func metersOf(s *slo.SLO) ([]*meter, joined) {
	if _, ok := s.Indicator.Measure().(slo.Parts); !ok {
		m := newMeter(s.Indicator)
		m.within(s.Group)
		if s.Groups != nil {
			for i := range m.queries {
				m.queries[i].by = s.Groups.By
			}
		}
		return []*meter{m}, nil
	}
	var meters []*meter
	join := worstOf(s, &meters)
	return meters, join
}

// worstOf adds the meters of an SLO's parts, and of the parts of these.
func worstOf(s *slo.SLO, meters *[]*meter) joined {
	parts, ok := s.Indicator.Measure().(slo.Parts)
	if !ok {
		m := newMeter(s.Indicator)
		m.target = s.Objective
		if s.Slice != nil {
			m.target = s.Slice.Target
		}
		at := len(*meters)
		*meters = append(*meters, m)
		return func(slots []Slot) Slot { return asEvent(slots[at], m.target) }
	}
	var all []joined
	for _, p := range parts {
		all = append(all, worstOf(p, meters))
	}
	return func(slots []Slot) Slot {
		worst := Slot{Total: 1, Known: true}
		for _, part := range all {
			switch one := part(slots); {
			case one.Bad > 0:
				return one
			case !one.Known:
				worst = Slot{}
			}
		}
		return worst
	}
}

// asEvent makes one event of a slot, a bad one when less than the target of its
// events are good.
func asEvent(s Slot, target slo.Objective) Slot {
	out := Slot{Known: s.Known || s.Total > 0 || s.Bad > 0}
	if out.Known {
		out.Total = 1
	}
	if fails(s, target) {
		out.Bad = 1
	}
	return out
}

func fails(s Slot, target slo.Objective) bool { return target.BurnRate(s.Bad, s.Total) > 1 }

// record holds the newest slots as meters count them, for ledgers whose slots
// are made of them: of parts, or of slices.
type record struct {
	from  Minute // the slots begin here
	slots []leaves
	seen  Minute // the end of the last slot before them that is known; 0 for none
	usual Minute // how many slots behind the last known one may become known though they are settled

	rereads bool     // the slots may have been counted before
	absent  []period // of these: slots that are known for being without samples
}

// leaves are the slots of all meters at a time.
type leaves []Slot

// keep is for how long slots are recorded, in minutes: the longest slice, and
// what a late scrape may still make known. It is more where samples come seldom.
const keep = 60 + 30

func (r *record) clone() *record {
	if r == nil {
		return nil
	}
	out := *r
	out.absent = slices.Clone(r.absent)
	out.slots = slices.Clone(r.slots)
	for i := range out.slots {
		out.slots[i] = slices.Clone(out.slots[i])
	}
	return &out
}

func (r *record) end() Minute { return r.from + Minute(len(r.slots)) }

// mark makes a meter's slots of (from, to] known. It gives the end of the slot
// before the first.
func (r *record) mark(meter int, from, to Minute) Minute {
	from = max(from, r.from)
	for m := from; m < min(to, r.end()); m++ {
		r.slots[m-r.from][meter].Known = true
	}
	return from
}

// trim forgets what is recorded for long.
func (r *record) trim(l *plan) {
	n := len(r.slots) - int(max(keep, 60+r.usual))
	if n <= 0 {
		return
	}
	for i := range n {
		if l.one(r.slots[i]).Known {
			r.seen = r.from + Minute(i) + 1
		}
	}
	r.from += Minute(n)
	r.slots = slices.Clone(r.slots[n:])
}

// one is what the slots of all meters make together.
func (l *plan) one(all leaves) Slot {
	if l.joined != nil {
		return l.joined(all)
	}
	return all[0]
}

// derived reports whether the ledger's slots are made of the meters'.
func (l *plan) derived() bool { return l.joined != nil || l.slice != nil || l.absentBad }

// derive appends to a timeline the slots behind an instant that follow from what
// is recorded. Slots behind settled may be late, and the first behind the last known
// one may still become known: neither is bad for being unknown.
func (r *record) derive(l *plan, t *Timeline, behind, settled Minute) {
	length := Minute(1)
	if l.slice != nil {
		length = minutes(l.slice.Length.Duration())
		behind = max(behind-behind%length, r.from+(length-r.from%length)%length)
	}
	t.Truncate(max(behind, t.Start()))
	seen, whole, known, gone := r.seen, Slot{}, false, false
	for i, all := range r.slots {
		end := r.from + Minute(i) + 1
		s := l.one(all)
		if s.Known {
			seen = end
		}
		absent := l.absentBad && !s.Known && end <= settled && seen > 0 && end-seen > r.usual && end-seen <= minutes(slo.Remembrance)
		if absent && r.rereads {
			r.noteAbsent(end)
		}
		switch {
		case l.slice != nil:
			whole.Total, whole.Bad = whole.Total+s.Total, whole.Bad+s.Bad
			known, gone = known || s.Known || absent, gone || absent
			s = Slot{Known: s.Known || absent}
			if end%length == 0 {
				s.Total, s.Bad = l.sliceOf(whole, known, gone)
				whole, known, gone = Slot{}, false, false
			}
		case absent:
			s = Slot{Total: 1, Bad: 1, Known: true}
		}
		if end > t.End() {
			t.Append(s)
		}
	}
}

// reread ends the noting of slots without samples.
func (r *record) reread() {
	if r != nil {
		r.rereads, r.absent = false, nil
	}
}

// noteAbsent notes a slot that is known for being without samples.
func (r *record) noteAbsent(end Minute) {
	if last := len(r.absent) - 1; last >= 0 && r.absent[last].end >= end-1 {
		r.absent[last].end = max(r.absent[last].end, end)
		return
	}
	r.absent = append(r.absent, period{end - 1, end})
}

// sliceOf is the event that a slice of time is: none when nothing of it is
// known, and a bad one when data that should be there is gone in it and it has no
// events.
func (l *plan) sliceOf(whole Slot, known, gone bool) (total, bad float64) {
	if !known && whole.Total == 0 && whole.Bad <= 0 {
		return 0, 0
	}
	if fails(whole, l.slice.Target) || gone && whole.Total == 0 {
		return 1, 1
	}
	return 1, 0
}
