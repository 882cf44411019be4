package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// About once an hour what was counted is audited: an hour as the backend itself counts
// it is held against it, without what is explained by how the two count. A wrong count
// is found so, whatever the reason. The hours lie on a grid, so that all processes
// audit the same ones, also one that has just begun.

const (
	// AuditLength is how much time is audited at once, in minutes.
	AuditLength = timeline.Minute(60)
)

const (
	// auditsApart is the time between the ends of two such, in minutes. None is
	// in two of them, and what happens at one minute of each hour is not always at an end.
	auditsApart = timeline.Minute(67)
)

const (
	// ripens is how long after its end an hour is known: the slots before a late sample
	// are when it comes.
	ripens = timeline.Minute(10)
)

const (
	// AuditedFor is for how long audits count, in minutes.
	AuditedFor = timeline.Minute(4 * 60)
)

// Hour is what a part counted in an hour that is to be audited.
type Hour struct {
	To      timeline.Minute // its end
	Counted [3]float64      // of good, bad and total
	Apart   [3]float64      // of that what the backend counts otherwise for a known reason
	Young   [3]float64      // what it may count beside, at the ends of counters
}

// phase is where the hours of a meter lie on the grid. Those of meters with the same
// total are the same, and are asked for together.
func phase(m *plan.Input) timeline.Minute {
	h := uint32(2166136261) // FNV-1a
	for _, c := range []byte(m.ClockText()) {
		h = (h ^ uint32(c)) * 16777619
	}
	return timeline.Minute(h % uint32(auditsApart))
}

// auditedBefore is the last end of an hour of the grid at or before an instant.
func auditedBefore(m *plan.Input, at timeline.Minute) timeline.Minute {
	return at - (at-phase(m))%auditsApart
}

// closeHours keeps the hours that are known since an instant, and the surpluses of
// those that are not.
func (k *Record) closeHours(before timeline.Minute, found []*counting.Events) {
	for i := range k.Inputs {
		p, m := &k.Inputs[i], k.Plan.Inputs[i]
		p.Surpluses = p.Surpluses.Plus(found[i].Surpluses)
		last := auditedBefore(m, k.Settled-ripens)
		if last+ripens > before && AuditWayOf(m, p) != "" {
			p.Hours = slices.Clone(p.Hours)
			for to := auditedBefore(m, max(before-ripens, last-AuditedFor)) + auditsApart; to <= last; to += auditsApart {
				if h, ok := k.Hour(i, to); ok {
					p.Hours = append(p.Hours, h)
				}
			}
		}
		if len(p.Hours) > 0 && p.Hours[0].To <= k.Settled-AuditedFor {
			p.Hours = slices.DeleteFunc(slices.Clone(p.Hours), func(h Hour) bool { return h.To <= k.Settled-AuditedFor })
		}
		p.Surpluses = p.Surpluses.After(k.Settled - ripens - AuditLength)
	}
}

// Hour is that of a part which ends at an instant; false when not all of it is known.
func (k *Record) Hour(part int, to timeline.Minute) (Hour, bool) {
	from := to - AuditLength
	var sum timeline.Slot
	if k.Plan.Derived() {
		first := from - k.Recent.from
		if first < 0 || to > k.Recent.end() {
			return Hour{}, false
		}
		for _, all := range k.Recent.slots[first : first+AuditLength] {
			if !all[part].Known {
				return Hour{}, false
			}
			sum.Total, sum.Bad = sum.Total+all[part].Total, sum.Bad+all[part].Bad
		}
	} else {
		all := k.Timeline.Sum(from, to)
		if from < k.Timeline.Start() || !all.Complete() {
			return Hour{}, false
		}
		sum.Total, sum.Bad = all.Total, all.Bad
	}
	more := k.Inputs[part].Surpluses.Sum(from, to)
	return Hour{to, [3]float64{sum.Total - sum.Bad, sum.Bad, sum.Total}, more.ByRole, more.FirstGrowth}, true
}

// AuditWay is how a backend counts an hour itself; "" is not at all.
type AuditWay string

// The ways to count an hour.
const (
	byIncrease   AuditWay = "increase"   // of each counter
	ByTargets    AuditWay = "targets"    // increase of the sums of each target's counters
	ByHistograms AuditWay = "histograms" // increase of native histograms
	BySums       AuditWay = "sums"       // of gauges of increments
)

// Function is the function of PromQL by which it counts.
func (w AuditWay) Function() string {
	if w == BySums {
		return "sum_over_time()"
	}
	return "increase()"
}

// AuditWayOf is how a part is audited. What is evaluated is not: the backend would
// evaluate the same again.
func AuditWayOf(m *plan.Input, p *InputState) AuditWay {
	switch a := p.Counting.(type) {
	case *counters.Targets:
		return ByTargets
	case *gauges.Increments:
		return BySums
	case *counters.Raw:
		switch {
		case a.Interval() > counting.MaxScrape: // an hour has too few samples
			return ""
		case m.Native == nil || !p.Native:
			return byIncrease
		case !p.mixed:
			return ByHistograms
		}
	}
	return ""
}
