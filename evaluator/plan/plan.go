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

// Cells are the smallest times that are told apart among folded slots and among
// others: of slices one holds nothing without the rest.
func (l *Plan) Cells() (coarse, fine timeline.Minute) {
	if l.Slice == nil {
		return timeline.Quarter, 1
	}
	fine = timeline.Minutes(l.Slice.Length.Duration())
	for coarse = fine; coarse%timeline.Quarter != 0; {
		coarse += fine
	}
	return coarse, fine
}

// Plan says which queries an SLO needs and how their samples become events. SLOs with
// equal queries and history share one. It does not change.
type Plan struct {
	Key       string
	Inputs    []*Input // as many as the SLO is made of
	Combine   Combine  // what their slots make together; nil for one
	Slice     *slo.Slice
	AbsentBad bool // slots that are not known are bad, as long as some were of late
	History   time.Duration
	Settle    timeline.Minute    // for how long slots are read again
	LeadIn    timeline.Minute    // read before it, so that the first slots are right
	Groups    *slo.Groups        // what the SLO is split by; nil unless it is
	Like      []Choice           // how the whole is counted, of which this is a group; nil where there is none
	Witness   *counting.Recorder // of how it is counted; nil but for Explain
}

// New makes the plan of an SLO. Slots settle after settle, and history is how far its
// timeline goes back.
func New(key string, s *slo.SLO, settle timeline.Minute, history time.Duration) *Plan {
	l := &Plan{Key: key, Settle: settle, Slice: s.Slice, AbsentBad: s.NoDataBad, Groups: s.Groups, History: history}
	l.Inputs, l.Combine = InputsOf(s)
	for _, m := range l.Inputs {
		l.LeadIn = max(l.LeadIn, m.remember)
	}
	if l.Slice != nil {
		l.LeadIn = max(l.LeadIn, Keep)
	}
	if l.AbsentBad {
		l.LeadIn = max(l.LeadIn, timeline.Minutes(slo.Remembrance))
	}
	return l
}

// Key tells ledgers apart.
func Key(s *slo.SLO, backend string, history time.Duration) string {
	parts := []string{backend, history.String(), strconv.FormatBool(s.NoDataBad), s.Indicator.Kind()}
	if s.Groups != nil {
		parts = append(parts, s.Groups.By...)
	}
	if s.Slice != nil {
		parts = append(parts, s.Slice.Length.String(), s.Slice.Target.RatioText())
	}
	meters, _ := InputsOf(s)
	for _, m := range meters {
		parts = append(parts, m.key())
	}
	return strings.Join(parts, "\xff")
}

// Selectors are those of a plan's queries; the zero Selector stands for an expression.
func (l *Plan) Selectors() (out []slo.Selector) {
	for _, m := range l.Inputs {
		for i := range m.Queries {
			out = append(out, m.Queries[i].Selector)
		}
	}
	return out
}

// Choice is how a meter's events are counted.
type Choice struct {
	Method    string   // MethodRaw, MethodAggregated or MethodEvaluated; "" before that is chosen
	Spellings []string // of the threshold's bucket, beside the usual ones
}

// Sparse reports whether the ledger may be without events for long.
func (l *Plan) Sparse() bool {
	return slices.ContainsFunc(l.Inputs, func(m *Input) bool { return m.sparse })
}

// NewestLeadIn is what is read before the newest part, in minutes.
const NewestLeadIn = 60

// NewestLeadIn is what a ledger reads before its newest part. What counts as bad
// for days when it is gone needs all of them.
func (l *Plan) NewestLeadIn() timeline.Minute {
	if l.LeadIn > counting.LeadIn {
		return l.LeadIn
	}
	return NewestLeadIn
}
