package evaluator

import (
	"slices"
	"time"
)

// Doubt is a reason why an SLO's number may be wrong. It does not change the state, and
// stops no alert.
type Doubt struct {
	Code    DoubtCode  `json:"code"`
	Message string     `json:"message"` // for people, with numbers
	Since   *time.Time `json:"since"`   // null if unknown

	OfBackend bool // the log has one line for all SLOs of a backend
}

// DoubtCode is a kind of doubt.
type DoubtCode string

// The codes of doubts. docs/reference/states.md describes each.
const (
	DoubtBadExceedsTotal  DoubtCode = "bad_exceeds_total"  // more bad events than events
	DoubtGoodExceedsTotal DoubtCode = "good_exceeds_total" // more good events than events
	DoubtDuplicated       DoubtCode = "duplicated"         // each counter occurs twice, as replicas see it
	DoubtAmbiguous        DoubtCode = "ambiguous"          // evidence could not decide more than 1 % of the events
	DoubtImpossible       DoubtCode = "impossible"         // samples were dropped that are no number of events
	DoubtPartlyKnown      DoubtCode = "partly_known"       // less than 90 % of the SLO's window is known
	DoubtEstimated        DoubtCode = "estimated"          // the counts are estimates
	DoubtAudit            DoubtCode = "audit"              // the backend's own increase() differs
)

// doubtCodes contains all codes, in the order in which doubts are listed.
var doubtCodes = []DoubtCode{
	DoubtBadExceedsTotal, DoubtGoodExceedsTotal, DoubtDuplicated, DoubtAmbiguous, DoubtImpossible, DoubtPartlyKnown, DoubtEstimated, DoubtAudit,
}

// AddDoubt adds a doubt to a status. If the state has no reason, the doubt becomes the
// reason.
func (s *Status) AddDoubt(d *Doubt) {
	if d == nil {
		return
	}
	s.Doubts = append(s.Doubts, *d)
	slices.SortStableFunc(s.Doubts, func(a, b Doubt) int {
		return slices.Index(doubtCodes, a.Code) - slices.Index(doubtCodes, b.Code)
	})
	if s.StateReason == "" {
		s.StateReason = d.Message
	}
}
