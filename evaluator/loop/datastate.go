package loop

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// dataState returns the state that follows from the data alone, its reason, and since
// when. longest is the longest page window.
func (t *followed) dataState(end timeline.Minute, longest slo.Window) (evaluator.State, string, *time.Time) {
	rec := t.job.record
	for i := range rec.Inputs {
		p, text := &rec.Inputs[i], t.job.Inputs[i].ClockText()
		switch until := p.NewestTime(); {
		case p.Silent(end) && p.NewestNaN != 0 && end.Time().Sub(time.UnixMilli(p.NewestNaN)) <= p.Silence():
			return evaluator.StateNoTraffic, "NaN: " + text + " has nothing to measure", until
		case !p.Silent(end) || t.job.AbsentBad && rec.Timeline.Sum(rec.Settled-1, rec.Settled).Known > 0:
		case until == nil:
			return evaluator.StateNoData, "no series match " + text + timesHint(t.slo.Indicator), nil
		default:
			reason := fmt.Sprintf("no samples of %s since %s", text, humanize.Minute(*until))
			if cause := t.job.absence.cause; cause != "" {
				reason += ": " + cause
			}
			return evaluator.StateNoData, reason, until
		}
	}
	switch {
	case t.job.Sparse():
	case rec.Timeline.Sum(end.Add(-longest.Duration()), end).Events() == 0:
		return evaluator.StateNoTraffic, "no events in the last " + longest.String(), t.lastTraffic(end)
	}
	return evaluator.StateOK, "", t.knownSince(end)
}

// timesHint returns what the values of an indicator of times must be.
func timesHint(i slo.Indicator) string {
	levels, _ := i.Measure().(slo.Levels)
	if _, isRuns := i.Measure().(slo.Runs); isRuns || levels.MaxAge > 0 {
		return " with a time of the past in seconds"
	}
	return ""
}

// lastTraffic returns the end of the last quarter of an hour with events.
func (t *followed) lastTraffic(end timeline.Minute) *time.Time {
	return t.last(end, func(sum timeline.Sum) bool { return sum.Events() > 0 })
}

// knownSince returns the end of the last quarter of an hour without a known slot.
func (t *followed) knownSince(end timeline.Minute) *time.Time {
	return t.last(end, func(sum timeline.Sum) bool { return int(sum.End-sum.Start)-sum.Known >= timeline.Quarter })
}

// last returns the end of the last quarter of an hour in the SLO's window for which may
// is true, or the beginning of the window if there is none. If may is false for a time,
// it is false for each part.
func (t *followed) last(end timeline.Minute, may func(timeline.Sum) bool) *time.Time {
	end -= end % timeline.Quarter
	start := end.Add(-t.slo.Window.Length.Duration())
	var find func(from, to timeline.Minute) timeline.Minute
	find = func(from, to timeline.Minute) timeline.Minute {
		if from >= to || !may(t.job.record.Timeline.Sum(from, to)) {
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
