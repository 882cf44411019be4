package counting

import (
	"math"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Waiting finds until when slots can be settled, when samples come late.
type Waiting struct {
	End      int64
	all      int
	late     int
	earliest timeline.Minute
}

// Add adds a series or a target with the time of its last sample and the usual
// time between two, 0 when that isn't known.
func (w *Waiting) Add(last, usual int64, settled timeline.Minute) {
	// What is late by so much is gone, and not waited for.
	if gone := max(Lag.Millis(), timeline.TwoIntervals(usual)); last <= w.End-gone {
		return
	}
	w.all++
	if usual == 0 {
		return
	}
	if w.late == 0 {
		w.earliest = math.MaxInt64
	}
	// The next sample is due then, at the earliest.
	if due := timeline.Minute((last + usual*9/10) / 60_000); due < settled {
		w.late++
		w.earliest = min(w.earliest, due)
	}
}

// Hold is the instant up to which slots can be settled. A single one among many
// that is late is not waited for: it is gone.
func (w *Waiting) Hold(settled timeline.Minute) timeline.Minute {
	if w.late == 0 || w.late*10 < w.all {
		return settled
	}
	return w.earliest
}
