package loop

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// dataState is the state that follows from the data alone, its reason, and
// since when. longest is the longest page window.
func (t *followed) dataState(end timeline.Minute, longest slo.Window) (evaluator.State, string, *time.Time) {
	k := t.job.book
	for i := range k.Inputs {
		p, text := &k.Inputs[i], t.job.Inputs[i].ClockText()
		switch until := p.NewestTime(); {
		case p.Silent(end) && p.NewestNaN != 0 && end.Time().Sub(time.UnixMilli(p.NewestNaN)) <= p.Silence():
			return evaluator.StateNoTraffic, "NaN: " + text + " has nothing to measure", until
		case !p.Silent(end) || t.job.AbsentBad && k.Timeline.Sum(k.Settled-1, k.Settled).Known > 0:
		case until == nil:
			return evaluator.StateNoData, "no series match " + text + timesHint(t.slo.Indicator), nil
		default:
			reason := fmt.Sprintf("no samples of %s since %s", text, until.Format("2006-01-02 15:04 MST"))
			if cause := t.job.absence.cause; cause != "" {
				reason += ": " + cause
			}
			return evaluator.StateNoData, reason, until
		}
	}
	switch {
	case t.job.Sparse():
	case k.Timeline.Sum(end.Add(-longest.Duration()), end).Events() == 0:
		return evaluator.StateNoTraffic, "no events in the last " + longest.String(), t.lastTraffic(end)
	}
	return evaluator.StateOK, "", t.knownSince(end)
}

// timesHint returns which values an indicator accepts as values, for those of times:
// times in milliseconds are none.
func timesHint(i slo.Indicator) string {
	_, isRuns := i.Measure().(slo.Runs)
	if i.Kind() == "freshness" || isRuns {
		return " with a time of the past in seconds"
	}
	return ""
}

// lastTraffic is the end of the last quarter of an hour with events.
func (t *followed) lastTraffic(end timeline.Minute) *time.Time {
	return t.last(end, func(sum timeline.Sum) bool { return sum.Events() > 0 })
}

// knownSince is the end of the last quarter of an hour with no known slot.
func (t *followed) knownSince(end timeline.Minute) *time.Time {
	return t.last(end, func(sum timeline.Sum) bool { return int(sum.End-sum.Start)-sum.Known >= timeline.Quarter })
}

// last is the end of the last quarter of an hour in the SLO's window for which
// may is true, and the beginning of the window without any. What may is not
// true of has no such quarter in it.
func (t *followed) last(end timeline.Minute, may func(timeline.Sum) bool) *time.Time {
	end -= end % timeline.Quarter
	start := end.Add(-t.slo.Window.Length.Duration())
	var find func(from, to timeline.Minute) timeline.Minute
	find = func(from, to timeline.Minute) timeline.Minute {
		if from >= to || !may(t.job.book.Timeline.Sum(from, to)) {
			return start
		}
		if to-from < 2*timeline.Quarter {
			return to
		}
		middle := from + (to-from)/timeline.Quarter/2*timeline.Quarter
		if at := find(middle, to); at > start {
			return at
		}
		return find(from, middle)
	}
	at := find(start, end).Time()
	return &at
}
