package evaluator

import (
	"fmt"
	"slices"
	"time"
)

// Doubt is a reason why an SLO's number may be wrong. It stands beside the state,
// and stops no alert.
type Doubt struct {
	Code    DoubtCode  `json:"code"`
	Message string     `json:"message"` // for people: what was seen, with numbers
	Since   *time.Time `json:"since"`   // null when that is unknown

	OfBackend bool // the log has one line for all of a backend
}

// DoubtCode is a kind of doubt.
type DoubtCode string

// The codes of doubts. docs/reference/states.md describes each.
const (
	DoubtBadExceedsTotal  DoubtCode = "bad_exceeds_total"  // more bad events than events
	DoubtGoodExceedsTotal DoubtCode = "good_exceeds_total" // more good events than events
	DoubtDuplicated       DoubtCode = "duplicated"         // each counter is there twice, as replicas see it
	DoubtAmbiguous        DoubtCode = "ambiguous"          // evidence could not decide more than 1 % of the events
	DoubtImpossible       DoubtCode = "impossible"         // samples that no number of events can have are left out
	DoubtPartlyKnown      DoubtCode = "partly_known"       // less than 90 % of the SLO's window is known
	DoubtEstimated        DoubtCode = "estimated"          // the counts are estimates
	DoubtAudit            DoubtCode = "audit"              // the backend's own increase() differs
)

// DoubtCodes are all codes, in the order in which doubts are listed.
var DoubtCodes = []DoubtCode{
	DoubtBadExceedsTotal, DoubtGoodExceedsTotal, DoubtDuplicated, DoubtAmbiguous, DoubtImpossible, DoubtPartlyKnown, DoubtEstimated, DoubtAudit,
}

// Times is how often something happened.
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Doubt adds a doubt to a status, and to the reason of a state that has none.
func (s *Status) Doubt(d *Doubt) {
	if d == nil {
		return
	}
	s.Doubts = append(s.Doubts, *d)
	slices.SortStableFunc(s.Doubts, func(a, b Doubt) int {
		return slices.Index(DoubtCodes, a.Code) - slices.Index(DoubtCodes, b.Code)
	})
	if s.StateReason == "" {
		s.StateReason = d.Message
	}
}
