package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// About once an hour the counts are audited. An hour is compared with the backend's own
// count of it, except for known differences between the two ways. So a wrong count is
// found, whatever its reason. The hours lie on a grid, so that all processes audit the
// same ones, even right after their start.

// AuditLength is the time that an audit covers, in minutes.
const AuditLength = timeline.Minute(60)

// auditSpacing is the time between the ends of two audits, in minutes. Audits don't
// overlap. Events at one minute of each hour are not always at their end.
const auditSpacing = timeline.Minute(67)

// auditDelay is how long after its end an hour is audited. A late sample makes the
// slots before it known.
const auditDelay = timeline.Minute(10)

// AuditedFor is how long audits count, in minutes.
const AuditedFor = timeline.Minute(4 * 60)

// Hour contains the counts of an input in an hour to audit.
type Hour struct {
	To          timeline.Minute // end of the hour
	Counted     [3]float64      // good, bad and total
	Surplus     [3]float64      // the part that the backend counts differently, for known reasons
	FirstGrowth [3]float64      // events that the backend may add, at the ends of counters
}

// phase returns the offset of an input's hours on the grid. Inputs with the same total
// have the same offset, so that they share queries.
func phase(m *plan.Input) timeline.Minute {
	h := uint32(2166136261) // FNV-1a
	for _, c := range []byte(m.ClockText()) {
		h = (h ^ uint32(c)) * 16777619
	}
	return timeline.Minute(h % uint32(auditSpacing))
}

// auditedBefore returns the last end of an hour of the grid at or before an instant.
func auditedBefore(m *plan.Input, at timeline.Minute) timeline.Minute {
	return at - (at-phase(m))%auditSpacing
}

// closeHours stores the hours that became known since an instant, and the surpluses of
// later slots.
func (r *Record) closeHours(before timeline.Minute, found []*counting.Events) {
	for i := range r.Inputs {
		p, m := &r.Inputs[i], r.Plan.Inputs[i]
		p.Surpluses = p.Surpluses.Plus(found[i].Surpluses)
		last := auditedBefore(m, r.Settled-auditDelay)
		if last+auditDelay > before && AuditWayOf(m, p) != "" {
			p.Hours = slices.Clone(p.Hours)
			for to := auditedBefore(m, max(before-auditDelay, last-AuditedFor)) + auditSpacing; to <= last; to += auditSpacing {
				if h, ok := r.Hour(i, to); ok {
					p.Hours = append(p.Hours, h)
				}
			}
		}
		if len(p.Hours) > 0 && p.Hours[0].To <= r.Settled-AuditedFor {
			p.Hours = slices.DeleteFunc(slices.Clone(p.Hours), func(h Hour) bool { return h.To <= r.Settled-AuditedFor })
		}
		p.Surpluses = p.Surpluses.After(r.Settled - auditDelay - AuditLength)
	}
}

// Hour returns the counts of an input in the hour that ends at an instant, or false if
// some slots are unknown.
func (r *Record) Hour(part int, to timeline.Minute) (Hour, bool) {
	from, t := to-AuditLength, r.Timeline
	if r.Plan.Derived() {
		t = r.Recent.Timeline(part)
	}
	sum := t.Sum(from, to)
	if from < t.Start() || to > t.End() || !sum.Complete() {
		return Hour{}, false
	}
	more := r.Inputs[part].Surpluses.Sum(from, to)
	return Hour{to, [3]float64{sum.Total - sum.Bad, sum.Bad, sum.Total}, more.ByRole, more.FirstGrowth}, true
}

// AuditWay is how a backend counts an hour itself; "" if it can't.
type AuditWay string

// The ways to count an hour.
const (
	auditIncrease   AuditWay = "increase"   // of each counter
	AuditTargets    AuditWay = "targets"    // increase of the sums of each target's counters
	AuditHistograms AuditWay = "histograms" // increase of native histograms
	AuditSums       AuditWay = "sums"       // of gauges of increments
)

// Function returns the PromQL function that counts.
func (w AuditWay) Function() string {
	if w == AuditSums {
		return "sum_over_time()"
	}
	return "increase()"
}

// AuditWayOf returns how an input is audited. Evaluated values are not audited, because
// the backend would only evaluate them again.
func AuditWayOf(m *plan.Input, p *InputState) AuditWay {
	switch a := p.Counting.(type) {
	case *counters.Targets:
		return AuditTargets
	case *gauges.Increments:
		return AuditSums
	case *counters.Raw:
		switch {
		case a.Interval() > counting.MaxScrape: // an hour has too few samples
			return ""
		case m.Native == nil || !p.Native:
			return auditIncrease
		case !p.mixed:
			return AuditHistograms
		}
	}
	return ""
}
