package loop

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// followed is one SLO with its last evaluation.
type followed struct {
	slo      *slo.SLO
	job      *job
	groups   map[string]*followed // of an SLO that is split, by their ids
	view     timeline.View        // of the job's timeline, if something is excluded
	begun    timeline.Minute      // when it was first followed
	rejudged bool                 // a judge took the place of another, of slots that are folded
	status   evaluator.Status     // as last evaluated
	memory
}

// memory stays if the files are loaded again and an SLO counts the same.
type memory struct {
	judge        evaluator.Judge
	begins       []begin           // of alerts, found by the judge before
	leftOut      int               // groups that are more than the limit
	logged       bool              // a failure was logged
	loggedDoubts []evaluator.Doubt // that the log has
	inexact      bool              // the view lacks single slots that an exclusion cuts
	cutsRead     bool              // history is or was read again for these slots
}

// judgedAlerts returns what fires. It is called before slots are folded.
func (t *followed) judgedAlerts() []evaluator.FiringAlert {
	alerts := []evaluator.FiringAlert{}
	if rec := t.job.record; t.judge != nil {
		alerts = append(alerts, t.judge(t.sloAt(rec.Timeline.End()), t.timeline(), rec.Settled)...)
		if t.rejudged {
			t.begins = beginsOf(alerts, t.status.Alerts)
			t.rejudged = false
		}
		for i := range alerts {
			a := &alerts[i]
			for _, b := range t.begins {
				if sameAlert(a, &b.alert) && a.Since.Equal(b.judged) {
					a.Since, a.Older = b.alert.Since, b.alert.Older
				}
			}
		}
	}
	return alerts
}

// begin is the beginning of an alert that another judge found in single slots.
type begin struct {
	alert  evaluator.FiringAlert
	judged time.Time // what the present judge found
}

// beginsOf returns the beginnings of alerts that fired before. A new judge may read less than
// the last one did, or folded slots.
func beginsOf(alerts, before []evaluator.FiringAlert) (out []begin) {
	for i := range alerts {
		a := &alerts[i]
		for _, b := range before {
			folded := a.Since.Sub(b.Since).Abs() < timeline.Quarter*time.Minute && !b.Older
			if sameAlert(a, &b) && (folded || a.Older && b.Since.Before(a.Since)) {
				out = append(out, begin{b, a.Since})
			}
		}
	}
	return out
}

func sameAlert(a, b *evaluator.FiringAlert) bool {
	return a.Name == b.Name && a.Severity == b.Severity && a.RemainingBelow == b.RemainingBelow
}

// fail keeps the last good numbers of an SLO whose job can't be read.
func (t *followed) fail(err error) {
	t.status.State, t.status.StateReason, t.status.StateSince = evaluator.StateQueryFailed, err.Error(), nil
	if at := t.status.At; !at.IsZero() {
		t.status.StateSince = &at
	}
	t.status.SetGate()
}

// evaluate computes an SLO's status from its timeline.
func (st *state) evaluate(t *followed, end timeline.Minute, alerts []evaluator.FiringAlert) {
	j, s, missing := t.job, t.sloAt(end), t.status.Missing
	t.status = evaluator.NewStatus(s, j.lane.Name)
	t.status.At = end.Time()
	t.status.Groups = t.groupsStatus()
	t.status.DataUntil = j.record.DataUntil()
	t.status.Failing = j.record.Failing(s)
	t.status.Method, t.status.Exact = j.record.Method()
	t.status.Alerts = alerts
	v := t.timeline()
	t.status.Compute(v, end, st.Windows(s))
	t.status.FillBurning(v, end)
	t.status.Doubts = t.doubtsOf(v, end)
	t.status.FillExcluded(v, end, &t.view)
	t.fillPeriods(end)
	state, reason, since := t.dataState(end, st.pageWindow(t.slo))
	if state == evaluator.StateNoData {
		t.status.Missing = t.missing(since, reason, end)
	}
	if state == evaluator.StateNoData && j.lane.stale != nil {
		t.status.Missing = missing
		state, reason, since = evaluator.StateStale, "the backend has no newer samples of anything", j.lane.stale
	}
	if j.newestOnly && state != evaluator.StateStale {
		state, reason, since = evaluator.StateWarming, t.warming(), nil
	}
	t.status.State, t.status.StateReason, t.status.StateSince = state, reason, since
	if state == evaluator.StateNoData {
		t.status.Cause = j.absence.cause
	}
	t.status.AddDoubt(t.ambiguous(v, end))
	t.status.SetGate()
}

// missing says that there are no samples since last, or since the SLO was added if last
// is nil.
func (t *followed) missing(last *time.Time, reason string, end timeline.Minute) *evaluator.Missing {
	out := &evaluator.Missing{Never: last == nil, Reason: reason, At: end.Time()}
	switch {
	case last != nil:
		out.Since = *last
	case !t.slo.Origin.Came.IsZero():
		out.Since = t.slo.Origin.Came
	default:
		out.Since = t.begun.Time()
	}
	return out
}

// evaluateAll evaluates the SLOs of a job whose record advanced.
func (st *state) evaluateAll(j *job, end timeline.Minute) {
	var tracks []*followed
	var alerts [][]evaluator.FiringAlert
	for _, t := range st.byJob[j] {
		tracks, alerts = append(tracks, t), append(alerts, t.judgedAlerts())
	}
	j.keepCuts(tracks)
	j.record.Age(j.History) // before the numbers, so that a process that starts now gives the same
	for i, t := range tracks {
		st.evaluate(t, end, alerts[i])
	}
}

// pageWindow returns the longest window that pages.
func (l *Loop) pageWindow(s *slo.SLO) slo.Window {
	if l.PageWindow != nil {
		return l.PageWindow(s)
	}
	return min(slo.Window(6*time.Hour), s.Window.Length)
}

// readingHistory is the reason of StateWarming.
const readingHistory = "reading history"

// warming returns the reason of StateWarming, with how much is read.
func (t *followed) warming() string {
	share := 1 - float64(t.job.left.Load())/float64(timeline.Minute(0).Add(t.job.History)+t.job.LeadIn)
	return fmt.Sprintf("%s, %d %%", readingHistory, min(int(100*share), 99))
}
