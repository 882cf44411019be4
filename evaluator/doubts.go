package evaluator

import (
	"fmt"
	"slices"

	"github.com/slowburn-slo/slowburn/slo"
)

// doubtsOf are the doubts about a track's numbers, in the order of DoubtCodes. Each is
// a function of what was read.
func (t *track) doubtsOf(v *Timeline, end Minute) []Doubt {
	out := []Doubt{}
	for _, find := range []func(v *Timeline, end Minute) *Doubt{
		t.badExceeds, t.goodExceeds, t.duplicated, t.impossible, t.partlyKnown, t.estimated, t.audited,
	} {
		if d := find(v, end); d != nil {
			out = append(out, *d)
		}
	}
	return out
}

func (t *track) badExceeds(v *Timeline, end Minute) *Doubt {
	return t.exceeds(v, end, roleBad|roleTotal, DoubtBadExceedsTotal, "bad")
}

func (t *track) goodExceeds(v *Timeline, end Minute) *Doubt {
	return t.exceeds(v, end, roleGood|roleTotal, DoubtGoodExceedsTotal, "good")
}

// duplicated is the doubt about counters that replicas have twice.
func (t *track) duplicated(*Timeline, Minute) *Doubt {
	for i := range t.job.book.parts {
		if label := t.job.book.parts[i].twin; label != "" {
			return &Doubt{Code: DoubtDuplicated, Message: fmt.Sprintf(
				"%s has each counter more than once, as replicas see it, which differ in the label %s: all events count as often; write replica_labels: [%s] in the configuration of the backend",
				t.job.meters[i].clockText(), label, label)}
		}
	}
	return nil
}

// exceeds finds an excess in what a meter counts that counts two of good, bad and
// total. Slots that are made of others don't show it: what is recorded does, of the
// last hour.
func (t *track) exceeds(v *Timeline, end Minute, counted role, code DoubtCode, kind string) *Doubt {
	l, k := t.job, t.job.book
	for i, m := range l.meters {
		if m.counted != counted {
			continue
		}
		of, start := v, ownStart(t.slo.Window, end)
		if l.joined != nil || l.slice != nil {
			of = k.record.timeline(i)
			start = of.Start()
		}
		if x := excessOf(of, start, min(k.settled, of.End()), k.scrapeOf(), counted == roleGood|roleTotal); x != nil {
			d := x.doubt(code, kind)
			return &d
		}
	}
	return nil
}

// timeline is the timeline of what a meter counted in the slots that are recorded.
func (r *record) timeline(meter int) *Timeline {
	first := (quarter - r.from%quarter) % quarter
	t := NewTimeline(r.from + first)
	for _, all := range r.slots[min(int(first), len(r.slots)):] {
		t.Append(all[meter])
	}
	return t
}

// wellKnownShare is the share of a window that is known when nothing is said of it.
const wellKnownShare = 0.9

// partlyKnown is the doubt about a number of which too little is known.
func (t *track) partlyKnown(v *Timeline, end Minute) *Doubt {
	for _, d := range []*Doubt{t.missedDoubt(end), t.keptDoubt(end), t.goneDoubt(end)} {
		if d != nil {
			return d
		}
	}
	sum := v.Sum(ownStart(t.slo.Window, end), end)
	share := sum.Coverage()
	if share >= wellKnownShare || share == 0 {
		return nil
	}
	return &Doubt{Code: DoubtPartlyKnown, Message: fmt.Sprintf("%.3g %% of the window is known; the numbers are of that part", 100*share)}
}

// goneDoubt is the doubt about an SLO whose backend lost a store.
func (t *track) goneDoubt(end Minute) *Doubt {
	gone, at, is := t.job.lane.lost(t.job.selectors, ownStart(t.slo.Window, end), end)
	if !is {
		return nil
	}
	return &Doubt{Code: DoubtPartlyKnown, Since: &at, Message: gone + ": its samples may be missing"}
}

// estimated is the doubt about events that are not counted one by one.
func (t *track) estimated(*Timeline, Minute) *Doubt {
	l := t.job
	if _, exact := l.book.method(); exact {
		return nil
	}
	message := "events between the bounds of histogram buckets are interpolated"
	for i := range l.meters {
		measure := l.meters[i].indicator.Measure()
		rates, isRate := measure.(slo.Rates)
		recorded, _ := measure.(slo.Increments)
		switch {
		case isRate:
			message = fmt.Sprintf("an expression gives the events at the end of each minute; they are not counted one by one, because %s is no sum of counters", rates.Obstacle())
		case recorded.PerSecond:
			message = "recorded rates are averages; they count for the time between two samples"
		case l.book.parts[i].method == MethodAggregated:
			message = "events are counted in the sums of each target's counters, because there are too many to read each"
		}
	}
	return &Doubt{Code: DoubtEstimated, Message: message}
}

// noteDoubts logs which doubts about an SLO began and ended since the last time; none
// while its history is read, which each SLO is in doubt for.
func (e *Evaluator) noteDoubts(t *track) {
	if t.job.preview {
		return
	}
	has := func(all []Doubt, code DoubtCode) bool {
		return slices.ContainsFunc(all, func(d Doubt) bool { return d.Code == code && !d.ofBackend })
	}
	for _, d := range t.status.Doubts {
		if !d.ofBackend && !has(t.doubted, d.Code) {
			e.Log.Warn("SLO's number is in doubt", "slo_id", t.slo.ID(), "code", string(d.Code), "reason", d.Message)
		}
	}
	for _, d := range t.doubted {
		if !d.ofBackend && !has(t.status.Doubts, d.Code) {
			e.Log.Info("SLO's number is in doubt no longer", "slo_id", t.slo.ID(), "code", string(d.Code))
		}
	}
	t.doubted = t.status.Doubts
}
