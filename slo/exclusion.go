package slo

import (
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
)

// Exclusion is time that counts neither for nor against an SLO: a planned
// window, hours outside operation, or a correction of the past.
type Exclusion struct {
	From, To       time.Time                   // zero when it recurs
	Intervals      []timeinterval.TimeInterval // of one that recurs
	OperatingHours bool                        // Intervals are what is not excluded
	Reason, Ticket string
	Origin         Origin
}
