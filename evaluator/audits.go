package evaluator

import (
	"context"
)

// audit asks the backend for the audits that are due, beside its cycles. One that is
// still under way, or a backend that is down, leaves them out.
func (e *Evaluator) audit(parent context.Context, b *lane, jobs []*job) {
	if b.auditing || b.down != nil || b.stale != nil {
		return
	}
	due := auditsOf{backend: b.reader}
	for _, l := range jobs {
		if l.err == nil && l.book != nil && !l.preview && e.jobs[l.key] == l {
			due.audits = append(due.audits, l.audits.due(l.book)...)
		}
	}
	if len(due.audits) == 0 {
		return
	}
	b.auditing = true
	e.started.Go(func() {
		b.safely(func() { due.ask(parent) })
		select {
		case e.audits <- auditsDone{b, due.audits}:
		case <-parent.Done():
		}
	})
}

// auditOnce does the audits of who evaluates once, but of who proves a number.
func (e *Evaluator) auditOnce(ctx context.Context) {
	if e.witness != nil {
		return
	}
	for _, b := range e.backends {
		due := auditsOf{backend: b.reader}
		for _, l := range e.jobsOf(b) {
			if l.err == nil && l.book != nil {
				due.audits = append(due.audits, l.audits.due(l.book)...)
			}
		}
		due.ask(ctx)
		e.takeAudits(auditsDone{b, due.audits})
	}
}

// auditsDone are audits of a lane that were asked for.
type auditsDone struct {
	lane   *lane
	audits []audit
}

// takeAudits takes over what audits found.
func (e *Evaluator) takeAudits(done auditsDone) {
	done.lane.auditing = false
	id, _ := done.lane.known()
	for i := range done.audits {
		a := &done.audits[i]
		if !a.done {
			continue
		}
		r, outcomes := a.result(id.kind)
		for _, o := range outcomes {
			e.metrics.audits.WithLabelValues(done.lane.Name, o).Inc()
		}
		if l := e.jobOf(a.plan); l != nil {
			l.audits = l.audits.note(len(l.meters), a.part, r)
		}
	}
}

// audited is the doubt about an SLO whose last audits differ.
func (t *track) audited(*Timeline, Minute) *Doubt { return t.job.audits.doubt(t.job.book) }
