package evaluator

import (
	"fmt"
	"time"
)

// refuse notes the newest sample of a batch that was left out, because no number of
// events can be as it is.
func (p *part) refuse(batch []rawSeries) {
	for i := range batch {
		if s := batch[i].refused; s.t > p.refused.t || s.t == p.refused.t && s.v < p.refused.v {
			p.refused = s
		}
	}
}

// impossible is the doubt about a number for which samples were left out in the last
// day: as much as a process that starts reads before its timeline.
func (t *track) impossible(_ *Timeline, end Minute) *Doubt {
	if text := t.job.book.impossible(end); text != "" {
		return &Doubt{Code: DoubtImpossible, Message: text}
	}
	return nil
}

// impossible says which samples were left out in the day before an instant; "" for none.
func (k *book) impossible(end Minute) string {
	for i := range k.parts {
		if s := k.parts[i].refused; s.t > (end-leadIn).millis() && s.t <= end.millis() {
			return fmt.Sprintf("samples that no number of events can have are left out, the last at %s: %g",
				time.UnixMilli(s.t).UTC().Format("2006-01-02 15:04:05 MST"), s.v)
		}
	}
	return ""
}
