package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// values checks whether the values fit the indicator.
func (x *inspector) values(ctx context.Context, s subject) {
	switch m := x.slo.Indicator.Measure().(type) {
	case slo.States:
		x.states(ctx, s)
	case slo.Runs:
		x.times(ctx, s, m.Every)
	case slo.Counters:
		x.laterGood(ctx, m)
	case slo.Levels:
		if m.MaxAge > 0 {
			x.times(ctx, s, m.MaxAge)
		}
	}
}

// states checks whether a gauge of states had values other than 0 and 1 in a day.
func (x *inspector) states(ctx context.Context, s subject) {
	others := mismatch.NumbersOf(x.ask(ctx, fmt.Sprintf("topk(1, last_over_time(((%s != 0) != 1)[1d:5m]))", s.Text())))
	if len(others) == 0 {
		return
	}
	other := strconv.FormatFloat(others[0], 'g', -1, 64)
	now, _ := x.number(ctx, "max("+s.Text()+")")
	hint := "write an SLO of threshold: {query: '" + s.Text() + `', op: "==", value: ...} with the value that is good`
	if now != 0 && now != 1 {
		hint += ", such as " + strconv.FormatFloat(now, 'g', -1, 64) + " now"
	}
	x.concern(true, s.field, hint, "%s has values such as %s in the last day, and a probe is 0 or 1: all but 0 count as good", s.Text(), other)
}

// times checks whether a query returns usable times.
func (x *inspector) times(ctx context.Context, s subject, every time.Duration) {
	values := mismatch.NumbersOf(x.ask(ctx, s.Expr))
	if fault, ok := mismatch.TimeFault(s.Expr, values, x.End.Time()); ok {
		x.fault(s.field, fault)
		return
	}
	never := 0
	for _, v := range values {
		if v == 0 {
			never++
		}
	}
	if never > 0 {
		x.concern(false, s.field, "write ("+s.Expr+") > 0 if what never succeeded should not count",
			"%s is 0 for %d of %d series: each counts as a success in 1970", s.Expr, never, len(values))
	}
	x.singleRuns(ctx, s, every)
}

// singleRuns finds series of single runs: none changes in the time of a few runs, while
// new ones appear.
func (x *inspector) singleRuns(ctx context.Context, s subject, every time.Duration) {
	length := slo.Window(min(3*every, slo.MaxWindow.Duration()).Round(time.Minute))
	step := model.Duration(max(every/20, time.Minute).Round(time.Minute))
	ranged := fmt.Sprintf("(%s)[%s:%s]", s.Expr, length, step)
	if changed, found := x.number(ctx, "max(changes("+ranged+"))"); !found || changed > 0 {
		return
	}
	all, _ := x.number(ctx, fmt.Sprintf("count(last_over_time(%s) > %d)", ranged, x.End.Time().Add(-length.Duration()).Unix()))
	if all < 2 {
		return
	}
	x.concern(true, s.field, "write max("+s.Expr+"), so that the last run counts",
		"each series of %s is of one run: %g came in %s, and none of them changed", s.Expr, all, length)
}

// laterShare is the share of events counted later from which that is a finding.
const laterShare = 0.1

// laterGood finds good events that are counted later than all events, such as runs that
// are counted when they begin and again when they end.
func (x *inspector) laterGood(ctx context.Context, c slo.Counters) {
	good, ok := c.Good.Plain()
	total, isPlain := c.Total.Plain()
	if !ok || !isPlain || good.Name() == total.Name() || c.Native != nil {
		return
	}
	// Each window shares half with the next, so that growth between two samples is in at
	// least one of them.
	grown := func(s slo.Selector) string { return x.Increase(s, 10) }
	more, _ := x.number(ctx, fmt.Sprintf("sum_over_time(clamp_min(%s - (%s or vector(0)), 0)[1d:5m]) / 2", grown(good), grown(total)))
	const day = timeline.Minute(24 * 60)
	all, _ := x.number(ctx, x.Increase(total, day))
	if all == 0 || more < laterShare*all {
		return
	}
	if goods, _ := x.number(ctx, x.Increase(good, day)); goods > (1+laterShare)*all {
		return // they are more, not later
	}
	x.concern(false, "sli.events.good", "count both when an event ends: write a counter of the bad ones, or total as good plus bad",
		"%.0f %% of the good events of a day are counted later than total counts them: meanwhile they are bad, so that pages come though nothing failed", 100*more/all)
}
