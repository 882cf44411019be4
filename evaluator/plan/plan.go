// Package plan defines which queries an SLO needs, and how their samples become events:
// its inputs, and how the slots of several inputs are combined. A plan does not change,
// and SLOs with equal plans share what is read. It reads nothing.
package plan

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Cells returns the smallest lengths of time that can be compared, among folded slots and
// among others. A slice can only be compared as a whole.
func (p *Plan) Cells() (coarse, fine timeline.Minute) {
	if p.Slice == nil {
		return timeline.Quarter, 1
	}
	fine = timeline.Minutes(p.Slice.Length.Duration())
	for coarse = fine; coarse%timeline.Quarter != 0; {
		coarse += fine
	}
	return coarse, fine
}

// Plan defines which queries an SLO needs and how their samples become events. SLOs with
// equal queries and history share one. It does not change.
type Plan struct {
	Options
	Inputs    []*Input // one for each part of the SLO
	Combine   Combine  // combines their slots; nil for one input
	Slice     *slo.Slice
	AbsentBad bool            // unknown slots are bad, while recent ones are known
	LeadIn    timeline.Minute // read before the timeline, so that the first slots are right
	Groups    *slo.Groups     // what the SLO is split by, or nil
}

// Options are those fields of a Plan that don't follow from an SLO.
type Options struct {
	Key          string
	Settle       timeline.Minute // for how long slots are read again
	History      time.Duration
	WholeChoices []Choice           // how the whole of a group is counted; nil if this is not a group
	Recorder     *counting.Recorder // nil except for Explain
}

// New returns the plan of an SLO.
func New(s *slo.SLO, o Options) *Plan {
	p := &Plan{Options: o, Slice: s.Slice, AbsentBad: s.NoDataBad, Groups: s.Groups}
	p.Inputs, p.Combine = InputsOf(s)
	for _, m := range p.Inputs {
		p.LeadIn = max(p.LeadIn, m.remember)
	}
	if p.Slice != nil {
		p.LeadIn = max(p.LeadIn, RecentLength)
	}
	if p.AbsentBad {
		p.LeadIn = max(p.LeadIn, timeline.Minutes(slo.Remembrance))
	}
	return p
}

// Key returns a text that differs for SLOs with different plans.
func Key(s *slo.SLO, backend string, history time.Duration) string {
	parts := []string{backend, history.String(), strconv.FormatBool(s.NoDataBad), s.Indicator.Kind()}
	if s.Groups != nil {
		parts = append(parts, s.Groups.By...)
	}
	if s.Slice != nil {
		parts = append(parts, s.Slice.Length.String(), s.Slice.Target.RatioText())
	}
	inputs, _ := InputsOf(s)
	for _, m := range inputs {
		parts = append(parts, m.key())
	}
	return strings.Join(parts, "\xff")
}

// Selectors returns the selectors of a plan's queries. The zero Selector stands for an
// expression.
func (p *Plan) Selectors() (out []slo.Selector) {
	for _, m := range p.Inputs {
		for i := range m.Queries {
			out = append(out, m.Queries[i].Selector)
		}
	}
	return out
}

// Choice is how the events of an input are counted.
type Choice struct {
	Method    string   // MethodRaw, MethodAggregated or MethodEvaluated; "" before it is chosen
	Spellings []string // texts of the bound of the threshold's bucket, other than the usual ones
}

// Sparse reports whether the SLO may have no events for a long time.
func (p *Plan) Sparse() bool {
	return slices.ContainsFunc(p.Inputs, func(m *Input) bool { return m.sparse })
}

// ShortLeadIn is the time in minutes that is usually read before the newest part.
const ShortLeadIn = 60

// NewestLeadIn returns the time that is read before the newest part of a timeline. If
// absent data counts as bad for days, all of them are read.
func (p *Plan) NewestLeadIn() timeline.Minute {
	if p.LeadIn > counting.LeadIn {
		return p.LeadIn
	}
	return ShortLeadIn
}
