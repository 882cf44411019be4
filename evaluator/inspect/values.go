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
func (x *inspector) values(ctx context.Context, s subject) error {
	switch m := x.slo.Indicator.Measure().(type) {
	case slo.States:
		return x.states(ctx, s)
	case slo.Runs:
		return x.times(ctx, s, m.Every)
	case slo.Counters:
		return x.laterGood(ctx, m)
	case slo.Levels:
		if m.MaxAge > 0 {
			return x.times(ctx, s, m.MaxAge)
		}
	}
	return nil
}

// states checks whether a gauge of states had values other than 0 and 1 in a day.
func (x *inspector) states(ctx context.Context, s subject) error {
	rows, err := x.ask(ctx, fmt.Sprintf("topk(1, last_over_time(((%s != 0) != 1)[1d:5m]))", s.Text()), x.end)
	if err != nil || len(rows) == 0 || len(rows[0].Samples) == 0 {
		return err
	}
	other := strconv.FormatFloat(rows[0].Samples[0].V, 'g', -1, 64)
	now, _, err := x.number(ctx, "max("+s.Text()+")", x.end)
	hint := "write an SLO of threshold: {query: '" + s.Text() + `', op: "==", value: ...} with the value that is good`
	if now != 0 && now != 1 {
		hint += ", such as " + strconv.FormatFloat(now, 'g', -1, 64) + " now"
	}
	x.concern(true, s.field, hint, "%s has values such as %s in the last day, and a probe is 0 or 1: all but 0 count as good", s.Text(), other)
	return err
}

// times checks whether a query returns usable times.
func (x *inspector) times(ctx context.Context, s subject, every time.Duration) error {
	rows, err := x.ask(ctx, s.Expr, x.end)
	values := mismatch.NumbersOf(rows)
	if fault, ok := mismatch.TimeFault(s.Expr, values, x.end.Time()); err != nil || ok {
		if ok {
			x.fault(s.field, fault)
		}
		return err
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
	return x.singleRuns(ctx, s, every)
}

// singleRuns finds series of single runs: none changes in the time of a few runs, while
// new ones appear.
func (x *inspector) singleRuns(ctx context.Context, s subject, every time.Duration) error {
	length := slo.Window(min(3*every, slo.MaxWindow.Duration()).Round(time.Minute))
	step := model.Duration(max(every/20, time.Minute).Round(time.Minute))
	ranged := fmt.Sprintf("(%s)[%s:%s]", s.Expr, length, step)
	changed, found, err := x.number(ctx, "max(changes("+ranged+"))", x.end)
	if err != nil || !found || changed > 0 {
		return err
	}
	all, _, err := x.number(ctx, fmt.Sprintf("count(last_over_time(%s) > %d)", ranged, x.end.Time().Add(-length.Duration()).Unix()), x.end)
	if err != nil || all < 2 {
		return err
	}
	x.concern(true, s.field, "write max("+s.Expr+"), so that the last run counts",
		"each series of %s is of one run: %g came in %s, and none of them changed", s.Expr, all, length)
	return nil
}

// laterShare is the share of events counted later from which that is a finding.
const laterShare = 0.1

// laterGood finds good events that are counted later than all events, such as runs that
// are counted when they begin and again when they end.
func (x *inspector) laterGood(ctx context.Context, c slo.Counters) error {
	good, ok := c.Good.Plain()
	total, isPlain := c.Total.Plain()
	if !ok || !isPlain || good.Name() == total.Name() || c.Native != nil {
		return nil
	}
	// Each window shares half with the next, so that growth between two samples is in at
	// least one of them.
	grown := func(s slo.Selector) string { return x.Increase(s, 10) }
	more, found, err := x.number(ctx, fmt.Sprintf("sum_over_time(clamp_min(%s - (%s or vector(0)), 0)[1d:5m]) / 2", grown(good), grown(total)), x.end)
	if err != nil || !found {
		return err
	}
	const day = timeline.Minute(24 * 60)
	all, _, err := x.number(ctx, x.Increase(total, day), x.end)
	if err != nil || all == 0 || more < laterShare*all {
		return err
	}
	if goods, _, err := x.number(ctx, x.Increase(good, day), x.end); err != nil || goods > (1+laterShare)*all {
		return err // they are more, not later
	}
	x.concern(false, "sli.events.good", "count both when an event ends: write a counter of the bad ones, or total as good plus bad",
		"%.0f %% of the good events of a day are counted later than total counts them: meanwhile they are bad, so that pages come though nothing failed", 100*more/all)
	return nil
}
