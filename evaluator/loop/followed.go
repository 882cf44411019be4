package loop

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// followed follows one SLO.
type followed struct {
	slo     *slo.SLO
	job     *job
	judge   evaluator.Judge
	groups  map[string]*followed // of an SLO that is split, by their ids
	leftOut int                  // groups that are more than the limit
	told    bool                 // the log says that it fails
	doubted []evaluator.Doubt    // that the log has
	view    timeline.View        // of the ledger's timeline, where something is excluded
	inexact bool                 // the view lacks single slots that an exclusion cuts
	begun   timeline.Minute      // when it was first followed

	cutsRead bool             // history is or was read again for these slots
	rejudged bool             // a judge took the place of another, of slots that are folded
	status   evaluator.Status // as last evaluated
}

// judged asks the judge what fires, before slots are folded.
func (t *followed) judged() []evaluator.FiringAlert {
	alerts := []evaluator.FiringAlert{}
	if k := t.job.book; t.judge != nil {
		alerts = append(alerts, t.judge(t.spec(k.Timeline.End()), t.timeline(), k.Settled)...)
		if t.rejudged {
			keepDates(alerts, t.status.Alerts)
		}
		t.rejudged = false
	}
	return alerts
}

// keepDates keeps since when alerts fire that fired before. A judge that takes the place
// of another may read less than that did, or folded slots.
func keepDates(alerts, before []evaluator.FiringAlert) {
	for i := range alerts {
		a := &alerts[i]
		for _, b := range before {
			same := a.Name == b.Name && a.Severity == b.Severity && a.RemainingBelow == b.RemainingBelow
			if folded := a.Since.Sub(b.Since).Abs() < timeline.Quarter*time.Minute && !b.Older; same && (folded || a.Older && b.Since.Before(a.Since)) {
				a.Since, a.Older = b.Since, b.Older
			}
		}
	}
}

// fail keeps the last good numbers of an SLO whose ledger can't be read.
func (t *followed) fail(err error) {
	t.status.State, t.status.StateReason, t.status.StateSince = evaluator.StateQueryFailed, err.Error(), nil
	if at := t.status.At; !at.IsZero() {
		t.status.StateSince = &at
	}
	t.status.SetGate()
}

// evaluate computes a track's status from its timeline.
func (e *Loop) evaluate(t *followed, end timeline.Minute, alerts []evaluator.FiringAlert) {
	l, s, missing := t.job, t.spec(end), t.status.Missing
	t.status = evaluator.NewStatus(s, l.lane.Name)
	t.status.At = end.Time()
	t.status.Groups = t.groupsStatus()
	t.status.DataUntil = l.book.DataUntil()
	t.status.Failing = l.book.Failing(s)
	t.status.Method, t.status.Exact = l.book.Method()
	t.status.Alerts = alerts
	v := t.timeline()
	t.status.Compute(v, end, e.Windows(s))
	t.status.FillBurning(v, end)
	t.status.Doubts = t.doubtsOf(v, end)
	t.status.FillExcluded(v, end, &t.view)
	t.pastOf(end)
	state, reason, since := t.dataState(end, e.pageWindow(t.slo))
	if state == evaluator.StateNoData {
		t.status.Missing = t.missing(since, reason, end)
	}
	if state == evaluator.StateNoData && l.lane.stale != nil {
		t.status.Missing = missing
		state, reason, since = evaluator.StateStale, "the backend has no newer samples of anything", l.lane.stale
	}
	if l.preview && state != evaluator.StateStale {
		state, reason, since = evaluator.StateWarming, t.warming(), nil
	}
	t.status.State, t.status.StateReason, t.status.StateSince = state, reason, since
	if state == evaluator.StateNoData {
		t.status.Cause = l.absence.cause
	}
	t.status.AddDoubt(t.ambiguous(v, end))
	t.status.SetGate()
}

// missing is that there are no samples since the last, or since the SLO came.
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

// evaluateAll evaluates the tracks of a ledger whose book went on.
func (e *Loop) evaluateAll(l *job, end timeline.Minute) {
	var tracks []*followed
	var alerts [][]evaluator.FiringAlert
	for _, t := range e.byJob[l] {
		tracks, alerts = append(tracks, t), append(alerts, t.judged())
	}
	l.keepCuts(tracks)
	l.book.Age(l.History) // before the numbers, so that a process that starts now gives the same
	for i, t := range tracks {
		e.evaluate(t, end, alerts[i])
	}
}

// pageWindow is the longest window that pages.
func (e *Loop) pageWindow(s *slo.SLO) slo.Window {
	if e.PageWindow != nil {
		return e.PageWindow(s)
	}
	return min(slo.Window(6*time.Hour), s.Window.Length)
}

// readingHistory is the reason of StateWarming.
const readingHistory = "reading history"

// warming is the reason of StateWarming, with how much is read.
func (t *followed) warming() string {
	share := 1 - float64(t.job.left.Load())/float64(timeline.Minute(0).Add(t.job.History)+t.job.LeadIn)
	return fmt.Sprintf("%s, %d %%", readingHistory, min(int(100*share), 99))
}
