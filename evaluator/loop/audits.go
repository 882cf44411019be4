package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// audit asks the backend for the audits that are due, beside its cycles. One that is
// still under way, or a backend that is down, leaves them out.
func (e *Loop) audit(parent context.Context, b *lane, jobs []*job) {
	if b.auditing || b.down != nil || b.stale != nil {
		return
	}
	due := audit.Round{Backend: b.Reader}
	for _, l := range jobs {
		if l.err == nil && l.book != nil && !l.preview && e.jobs[l.Key] == l {
			due.Audits = append(due.Audits, l.audits.Due(l.book)...)
		}
	}
	if len(due.Audits) == 0 {
		return
	}
	b.auditing = true
	e.started.Go(func() {
		b.Safely(func() { due.Run(parent) })
		select {
		case e.audits <- auditsDone{b, due.Audits}:
		case <-parent.Done():
		}
	})
}

// auditOnce does the audits of who evaluates once, but of who proves a number.
func (e *Loop) auditOnce(ctx context.Context) {
	if e.witness != nil {
		return
	}
	for _, b := range e.backends {
		due := audit.Round{Backend: b.Reader}
		for _, l := range e.jobsOf(b) {
			if l.err == nil && l.book != nil {
				due.Audits = append(due.Audits, l.audits.Due(l.book)...)
			}
		}
		due.Run(ctx)
		e.takeAudits(auditsDone{b, due.Audits})
	}
}

// auditsDone are audits of a lane that were asked for.
type auditsDone struct {
	lane   *lane
	audits []audit.Audit
}

// takeAudits takes over what audits found.
func (e *Loop) takeAudits(done auditsDone) {
	done.lane.auditing = false
	id, _ := done.lane.Identity()
	for i := range done.audits {
		a := &done.audits[i]
		if !a.Done {
			continue
		}
		r, outcomes := a.Result(id.Kind)
		for _, o := range outcomes {
			e.metrics.audits.WithLabelValues(done.lane.Name, o).Inc()
		}
		if l := e.jobOf(a.Plan); l != nil {
			l.audits = l.audits.Add(len(l.Inputs), a.Part, r)
		}
	}
}

// audited is the doubt about an SLO whose last audits differ.
func (t *followed) audited(*timeline.Timeline, timeline.Minute) *evaluator.Doubt {
	return t.job.audits.Doubt(t.job.book)
}
