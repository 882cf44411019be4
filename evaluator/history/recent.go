package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// recentSlots contains the newest slots of each input, for plans that combine inputs or
// slots.
type recentSlots struct {
	from  timeline.Minute // start of the first slot
	slots []plan.InputSlots
	seen  timeline.Minute // end of the last known slot before them; 0 for none
	usual timeline.Minute // number of settled slots after the last known one that may still become known

	rereads bool              // the slots may have been counted before
	absent  []timeline.Period // of these: slots that are known because they have no samples
}

func (r *recentSlots) clone() *recentSlots {
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

func (r *recentSlots) end() timeline.Minute { return r.from + timeline.Minute(len(r.slots)) }

// mark marks an input's slots of (from, to] as known. It returns the end of the slot
// before the first.
func (r *recentSlots) mark(input int, from, to timeline.Minute) timeline.Minute {
	from = max(from, r.from)
	for m := from; m < min(to, r.end()); m++ {
		r.slots[m-r.from][input].Known = true
	}
	return from
}

// trim removes old slots.
func (r *recentSlots) trim(p *plan.Plan) {
	n := len(r.slots) - int(max(plan.RecentLength, 60+r.usual))
	if n <= 0 {
		return
	}
	for i := range n {
		if p.SlotOf(r.slots[i]).Known {
			r.seen = r.from + timeline.Minute(i) + 1
		}
	}
	r.from += timeline.Minute(n)
	r.slots = slices.Clone(r.slots[n:])
}

// combine appends to a timeline the slots after an instant. Slots after settled may be
// late, and the first ones after the last known slot may still become known. Both are not
// bad because they are unknown.
func (r *recentSlots) combine(p *plan.Plan, t *timeline.Timeline, after, settled timeline.Minute) {
	length := timeline.Minute(1)
	if p.Slice != nil {
		length = timeline.Minutes(p.Slice.Length.Duration())
		after = max(after-after%length, r.from+(length-r.from%length)%length)
	}
	t.Truncate(max(after, t.Start()))
	seen := r.seen
	var whole timeline.Slot
	known, gone := false, false
	for i, all := range r.slots {
		end := r.from + timeline.Minute(i) + 1
		s := p.SlotOf(all)
		if s.Known {
			seen = end
		}
		absent := p.AbsentBad && !s.Known && end <= settled && seen > 0 && end-seen > r.usual && end-seen <= timeline.Minutes(slo.Remembrance)
		if absent && r.rereads {
			r.noteAbsent(end)
		}
		switch {
		case p.Slice != nil:
			whole.Total, whole.Bad = whole.Total+s.Total, whole.Bad+s.Bad
			known, gone = known || s.Known || absent, gone || absent
			s = timeline.Slot{Known: s.Known || absent}
			if end%length == 0 {
				s.Total, s.Bad = p.SliceEvent(whole, known, gone)
				whole = timeline.Slot{}
				known, gone = false, false
			}
		case absent:
			s = timeline.Slot{Total: 1, Bad: 1, Known: true}
		}
		if end > t.End() {
			t.Append(s)
		}
	}
}

// EndReread stops noting slots without samples.
func (r *recentSlots) EndReread() {
	if r != nil {
		r.rereads, r.absent = false, nil
	}
}

// noteAbsent notes a slot that is known because it has no samples.
func (r *recentSlots) noteAbsent(end timeline.Minute) {
	if last := len(r.absent) - 1; last >= 0 && r.absent[last].End >= end-1 {
		r.absent[last].End = max(r.absent[last].End, end)
		return
	}
	r.absent = append(r.absent, timeline.Period{Start: end - 1, End: end})
}

// Timeline returns the timeline of an input in these slots.
func (r *recentSlots) Timeline(input int) *timeline.Timeline {
	first := (timeline.Quarter - r.from%timeline.Quarter) % timeline.Quarter
	t := timeline.NewTimeline(r.from + first)
	for _, all := range r.slots[min(int(first), len(r.slots)):] {
		t.Append(all[input])
	}
	return t
}
