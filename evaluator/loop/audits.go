package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// audit starts the audits that are due. It does nothing while others are under way or
// the backend is down.
func (st *state) audit(ctx context.Context, b *lane, jobs []*job) {
	if b.auditing || b.down != nil || b.stale != nil {
		return
	}
	var due []audit.Audit
	for _, j := range jobs {
		if j.err == nil && j.record != nil && !j.newestOnly && st.jobs[j.Key] == j {
			due = append(due, j.auditLog.Due(j.record)...)
		}
	}
	if len(due) == 0 {
		return
	}
	b.auditing = true
	results := st.auditResults
	st.started.Go(func() {
		b.Safely(func() { audit.Run(ctx, b.Reader, due) })
		send(ctx, results, auditResult{b, due})
	})
}

// auditOnce runs all audits that are due and waits for them. It does nothing for
// Explain, which has checks of its own.
func (st *state) auditOnce(ctx context.Context) {
	if st.recorder != nil {
		return
	}
	for _, b := range st.lanes {
		var due []audit.Audit
		for _, j := range st.jobsOf(b) {
			if j.err == nil && j.record != nil {
				due = append(due, j.auditLog.Due(j.record)...)
			}
		}
		audit.Run(ctx, b.Reader, due)
		st.takeAudits(auditResult{b, due})
	}
}

// auditResult contains audits of a lane that were run.
type auditResult struct {
	lane   *lane
	audits []audit.Audit
}

// takeAudits stores the results of audits.
func (st *state) takeAudits(done auditResult) {
	done.lane.auditing = false
	id, _ := done.lane.Identity()
	for i := range done.audits {
		a := &done.audits[i]
		if !a.Done {
			continue
		}
		r, outcomes := a.Result(id.Kind)
		for _, o := range outcomes {
			st.metrics.audits.WithLabelValues(done.lane.Name, o).Inc()
		}
		if j := st.jobOf(a.Plan); j != nil {
			j.auditLog = j.auditLog.Add(len(j.Inputs), a.Part, r)
		}
	}
}

// auditDoubt returns the doubt about an SLO whose last audits differ.
func (t *followed) auditDoubt(*timeline.Timeline, timeline.Minute) *evaluator.Doubt {
	return t.job.auditLog.Doubt(t.job.record)
}
