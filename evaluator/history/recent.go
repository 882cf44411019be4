package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// recentSlots holds the newest slots as meters count them, for ledgers whose slots
// are made of them: of parts, or of slices.
type recentSlots struct {
	from  timeline.Minute // the slots begin here
	slots []plan.InputSlots
	seen  timeline.Minute // the end of the last slot before them that is known; 0 for none
	usual timeline.Minute // how many slots behind the last known one may become known though they are settled

	rereads bool              // the slots may have been counted before
	absent  []timeline.Period // of these: slots that are known for being without samples
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

// mark makes a meter's slots of (from, to] known. It gives the end of the slot
// before the first.
func (r *recentSlots) mark(meter int, from, to timeline.Minute) timeline.Minute {
	from = max(from, r.from)
	for m := from; m < min(to, r.end()); m++ {
		r.slots[m-r.from][meter].Known = true
	}
	return from
}

// trim forgets what is recorded for long.
func (r *recentSlots) trim(l *plan.Plan) {
	n := len(r.slots) - int(max(plan.Keep, 60+r.usual))
	if n <= 0 {
		return
	}
	for i := range n {
		if l.One(r.slots[i]).Known {
			r.seen = r.from + timeline.Minute(i) + 1
		}
	}
	r.from += timeline.Minute(n)
	r.slots = slices.Clone(r.slots[n:])
}

// derive appends to a timeline the slots behind an instant that follow from what
// is recorded. Slots behind settled may be late, and the first behind the last known
// one may still become known: neither is bad for being unknown.
func (r *recentSlots) derive(l *plan.Plan, t *timeline.Timeline, behind, settled timeline.Minute) {
	length := timeline.Minute(1)
	if l.Slice != nil {
		length = timeline.Minutes(l.Slice.Length.Duration())
		behind = max(behind-behind%length, r.from+(length-r.from%length)%length)
	}
	t.Truncate(max(behind, t.Start()))
	seen, whole, known, gone := r.seen, timeline.Slot{}, false, false
	for i, all := range r.slots {
		end := r.from + timeline.Minute(i) + 1
		s := l.One(all)
		if s.Known {
			seen = end
		}
		absent := l.AbsentBad && !s.Known && end <= settled && seen > 0 && end-seen > r.usual && end-seen <= timeline.Minutes(slo.Remembrance)
		if absent && r.rereads {
			r.noteAbsent(end)
		}
		switch {
		case l.Slice != nil:
			whole.Total, whole.Bad = whole.Total+s.Total, whole.Bad+s.Bad
			known, gone = known || s.Known || absent, gone || absent
			s = timeline.Slot{Known: s.Known || absent}
			if end%length == 0 {
				s.Total, s.Bad = l.SliceOf(whole, known, gone)
				whole, known, gone = timeline.Slot{}, false, false
			}
		case absent:
			s = timeline.Slot{Total: 1, Bad: 1, Known: true}
		}
		if end > t.End() {
			t.Append(s)
		}
	}
}

// Reread ends the noting of slots without samples.
func (r *recentSlots) Reread() {
	if r != nil {
		r.rereads, r.absent = false, nil
	}
}

// noteAbsent notes a slot that is known for being without samples.
func (r *recentSlots) noteAbsent(end timeline.Minute) {
	if last := len(r.absent) - 1; last >= 0 && r.absent[last].End >= end-1 {
		r.absent[last].End = max(r.absent[last].End, end)
		return
	}
	r.absent = append(r.absent, timeline.Period{Start: end - 1, End: end})
}

// Timeline is the timeline of what a meter counted in the slots that are recorded.
func (r *recentSlots) Timeline(meter int) *timeline.Timeline {
	first := (timeline.Quarter - r.from%timeline.Quarter) % timeline.Quarter
	t := timeline.NewTimeline(r.from + first)
	for _, all := range r.slots[min(int(first), len(r.slots)):] {
		t.Append(all[meter])
	}
	return t
}
