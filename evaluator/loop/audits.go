package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator/audit"
)

// audit starts the audits that are due. It does nothing while others are under way or
// the backend is down.
func (st *state) audit(ctx context.Context, b *lane, jobs []*job) {
	if b.auditing || b.down != nil || b.stale != nil {
		return
	}
	var due []audit.Audit
	for _, j := range jobs {
		if j.err == nil && j.complete() && st.jobs[j.Key] == j {
			due = append(due, j.auditLog.Due(j.record)...)
		}
	}
	if len(due) == 0 {
		return
	}
	b.auditing = true
	st.background(ctx, func(deliver func(func())) {
		b.Safely(func() { audit.Run(ctx, b.Reader, due) })
		deliver(func() { st.takeAudits(b, due) })
	})
}

// takeAudits stores the results of audits.
func (st *state) takeAudits(b *lane, audits []audit.Audit) {
	b.auditing = false
	id, _ := b.Identity()
	for i := range audits {
		a := &audits[i]
		if !a.Done {
			continue
		}
		r, outcomes := a.Result(id.Kind)
		for _, o := range outcomes {
			st.metrics.audits.WithLabelValues(b.Name, o).Inc()
		}
		if j := st.jobOf(a.Plan); j != nil {
			j.auditLog = j.auditLog.Add(len(j.Inputs), a.Part, r)
		}
	}
}
