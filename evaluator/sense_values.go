package evaluator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/slo"
)

// values asks whether the values of what is measured can be what the indicator says.
func (x *inspector) values(ctx context.Context, s subject) error {
	switch m := x.slo.Indicator.Measure().(type) {
	case slo.States:
		return x.states(ctx, s)
	case slo.Runs:
		return x.times(ctx, s, m.Every)
	case slo.Counters:
		return x.laterGood(ctx, m)
	}
	if f, ok := x.slo.Indicator.(slo.Freshness); ok {
		return x.times(ctx, s, f.MaxAge)
	}
	return nil
}

// states asks whether a gauge of states had other values than 0 and 1 in a day.
func (x *inspector) states(ctx context.Context, s subject) error {
	rows, err := x.ask(ctx, fmt.Sprintf("topk(1, last_over_time(((%s != 0) != 1)[1d:5m]))", s.text()), x.end)
	if err != nil || len(rows) == 0 || len(rows[0].samples) == 0 {
		return err
	}
	other := strconv.FormatFloat(rows[0].samples[0].v, 'g', -1, 64)
	now, _, err := x.number(ctx, "max("+s.text()+")", x.end)
	hint := "write an SLO of threshold: {query: '" + s.text() + `', op: "==", value: ...} with the value that is good`
	if now != 0 && now != 1 {
		hint += ", such as " + strconv.FormatFloat(now, 'g', -1, 64) + " now"
	}
	x.concern(true, s.field, hint, "%s has values such as %s in the last day, and a probe is 0 or 1: all but 0 count as good", s.text(), other)
	return err
}

// timeFault is why none of the values is a time of the last success, in seconds since the
// epoch. 0 is a job that never succeeded.
func timeFault(query string, values []float64, now time.Time) (unfit, bool) {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v == 0 || math.IsNaN(v) })
	if len(values) == 0 {
		return unfit{}, false
	}
	v := slices.Max(values)
	text := strconv.FormatFloat(v, 'f', -1, 64)
	at := float64(now.Unix())
	isTime := func(seconds float64) bool {
		return seconds > at-slo.MaxWindow.Duration().Seconds()*20 && seconds <= at+slo.Ahead.Seconds()
	}
	if slices.ContainsFunc(values, isTime) {
		return unfit{}, false
	}
	for _, u := range []struct {
		name, form string
		seconds    float64
	}{
		{"milliseconds", "(%s) / 1000", 1e-3}, {"microseconds", "(%s) / 1e6", 1e-6}, {"nanoseconds", "(%s) / 1e9", 1e-9},
		{"minutes", "60 * (%s)", 60}, {"hours", "3600 * (%s)", 3600}, {"days", "86400 * (%s)", 86400},
	} {
		if isTime(v * u.seconds) {
			return unfit{fmt.Sprintf("%s gives %s, which is a time in %s, not in seconds", query, text, u.name), "write " + fmt.Sprintf(u.form, query)}, true
		}
	}
	if v > 0 && v < slo.MaxWindow.Duration().Seconds()*20 {
		return unfit{fmt.Sprintf("%s gives %s, which is an age, not a time: as a time it is of 1970", query, text), "write time() - (" + query + ")"}, true
	}
	if v > at && v < 2*at {
		return unfit{fmt.Sprintf("%s gives %s, which is in the future", query, time.Unix(int64(v), 0).UTC().Format(time.RFC3339)),
			"it must be the time of the last success; check the clock of the program that reports it"}, true
	}
	return unfit{fmt.Sprintf("%s gives %s, which is no time in seconds since 1970", query, text), ""}, true
}

// numbersOf are the values of an answer.
func numbersOf(answer []vector) (out []float64) {
	for _, v := range answer {
		for _, s := range v.samples {
			out = append(out, s.v)
		}
	}
	return out
}

// timely returns an error of a query for times that gives none now.
func (b *reader) timely(ctx context.Context, m *meter, at Minute) error {
	switch m.indicator.Measure().(type) {
	case slo.Runs:
	case slo.Levels:
		if _, ok := m.indicator.(slo.Freshness); !ok {
			return nil
		}
	default:
		return nil
	}
	answer, err := b.query(ctx, m.queries[0].expr, at.Time())
	if err != nil && !refused(err) {
		return fmt.Errorf("querying %s: %w", m.queries[0].expr, err)
	}
	if fault, ok := timeFault(m.queries[0].expr, numbersOf(answer), at.Time()); ok {
		return fault
	}
	return nil
}

// times asks whether a query gives the times of what goes on, and is of use.
func (x *inspector) times(ctx context.Context, s subject, every time.Duration) error {
	rows, err := x.ask(ctx, s.expr, x.end)
	values := numbersOf(rows)
	if fault, ok := timeFault(s.expr, values, x.end.Time()); err != nil || ok {
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
		x.concern(false, s.field, "write ("+s.expr+") > 0 if what never succeeded should not count",
			"%s is 0 for %d of %d series: each counts as a success in 1970", s.expr, never, len(values))
	}
	return x.singleRuns(ctx, s, every)
}

// singleRuns asks whether each series is of one run: none changes in the time of a
// few runs, while new ones come.
func (x *inspector) singleRuns(ctx context.Context, s subject, every time.Duration) error {
	length := slo.Window(min(3*every, slo.MaxWindow.Duration()).Round(time.Minute))
	step := model.Duration(max(every/20, time.Minute).Round(time.Minute))
	over := fmt.Sprintf("(%s)[%s:%s]", s.expr, length, step)
	changed, found, err := x.number(ctx, "max(changes("+over+"))", x.end)
	if err != nil || !found || changed > 0 {
		return err
	}
	all, _, err := x.number(ctx, fmt.Sprintf("count(last_over_time(%s) > %d)", over, x.end.Time().Add(-length.Duration()).Unix()), x.end)
	if err != nil || all < 2 {
		return err
	}
	x.concern(true, s.field, "write max("+s.expr+"), so that the last run counts",
		"each series of %s is of one run: %g came in %s, and none of them changed", s.expr, all, length)
	return nil
}

// laterShare is the share of events above which it matters that they are counted
// later.
const laterShare = 0.1

// laterGood asks whether good events are counted later than all events, as where a
// run is counted when it begins and again when it ends.
func (x *inspector) laterGood(ctx context.Context, c slo.Counters) error {
	good, ok := c.Good.Plain()
	total, isPlain := c.Total.Plain()
	if !ok || !isPlain || good.Name() == total.Name() || c.Native != nil {
		return nil
	}
	// Each window shares half with the next: what grows between two samples is in one of
	// them at least.
	grown := func(s slo.Selector) string { return x.increase(s, 10) }
	more, found, err := x.number(ctx, fmt.Sprintf("sum_over_time(clamp_min(%s - (%s or vector(0)), 0)[1d:5m]) / 2", grown(good), grown(total)), x.end)
	if err != nil || !found {
		return err
	}
	const day = Minute(24 * 60)
	all, _, err := x.number(ctx, x.increase(total, day), x.end)
	if err != nil || all == 0 || more < laterShare*all {
		return err
	}
	if of, _, err := x.number(ctx, x.increase(good, day), x.end); err != nil || of > (1+laterShare)*all {
		return err // they are more, not later
	}
	x.concern(false, "sli.events.good", "count both when an event ends: write a counter of the bad ones, or total as good plus bad",
		"%.0f %% of the good events of a day are counted later than total counts them: meanwhile they are bad, so that pages come though nothing failed", 100*more/all)
	return nil
}
