package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// seldom finds samples that come less often than each 5 minutes. They count too, but
// windows with fewer than four of them have no burn rate.
func (x *inspector) seldom(ctx context.Context, s subject) {
	selectors, often := []slo.Selector{s.Selector}, false
	if s.Way == plan.SlotValues {
		if l, is := x.slo.Indicator.Measure().(slo.Levels); is && l.MaxAge > 0 || x.slo.Indicator.Unit() == slo.UnitRuns {
			return // the last value stays
		}
		all := history.InstantSelectors(s.Expr)
		selectors, often = nil, history.HasRanges(s.Expr, all)
		for _, v := range all {
			selectors = append(selectors, slo.NewSelector(v.LabelMatchers...))
		}
	}
	const scrape = counting.MaxScrape * time.Millisecond
	seldom, least := map[int]time.Duration{}, time.Duration(0)
	for i, selector := range selectors {
		if selector.Name() == "" {
			continue
		}
		each, found := x.cadence(ctx, selector, 4*time.Hour)
		if !found {
			continue
		}
		each = each.Round(time.Minute)
		if each <= scrape {
			often = true
			continue
		}
		seldom[i] = each
		if least == 0 || each < least {
			least = each
		}
	}
	if often {
		least = 0 // the expression has new values as often as the one with the most samples
	}
	for _, i := range slices.Sorted(maps.Keys(seldom)) {
		x.seldomConcern(s, selectors[i], seldom[i], least)
	}
}

// seldomConcern adds a finding about a selector whose samples come seldom. least is how
// often the whole query has new values, or 0 for often.
func (x *inspector) seldomConcern(s subject, selector slo.Selector, each, least time.Duration) {
	lasts := fmt.Sprintf("last_over_time(%s)", selector.Range((2*each).Round(time.Minute)+counting.MaxScrape*time.Millisecond))
	message := fmt.Sprintf("samples of %s come every %s", selector, model.Duration(each))
	if _, is := x.slo.Indicator.Measure().(slo.Rates); is && s.Way == plan.SlotValues {
		x.concern(false, s.field, lasts+" has the value until the next sample", "%s, and its value is there for 5 minutes after each: the time between is unknown", message)
		return
	}
	if least == 0 {
		x.concern(false, s.field, lasts+" has the value until the next sample", "%s: generated rules have its value for 5 minutes after each", message)
		return
	}
	message += fmt.Sprintf(": windows of less than %s have no burn rate", model.Duration(timeline.MinSamples*least))
	if x.Blind != nil {
		if tiers := x.Blind(x.slo, timeline.MinSamples*least); len(tiers) > 0 {
			message += ", and the alert tiers " + strings.Join(tiers, ", ") + " can't fire"
		}
	}
	hint := fmt.Sprintf("scrape at least every %s", model.Duration(x.short.Duration()/perWindow))
	if s.Way == plan.SlotValues {
		hint += "; generated rules have a value for 5 minutes after each sample, and until the next one with " + lasts
	}
	x.concern(false, s.field, hint, "%s", message)
}

// cadence returns the median time between two samples of the selector's series with the
// most samples in a length of time. It reports false for fewer than three samples.
func (x *inspector) cadence(ctx context.Context, selector slo.Selector, length time.Duration) (each time.Duration, found bool) {
	rows := x.ask(ctx, "topk(1, count_over_time("+selector.Range(length)+"))")
	if len(rows) == 0 {
		return 0, false
	}
	one := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, selector.Name())}
	for _, name := range slices.Sorted(maps.Keys(rows[0].Labels)) {
		if name != model.MetricNameLabel {
			one = append(one, labels.MustNewMatcher(labels.MatchEqual, name, rows[0].Labels[name]))
		}
	}
	var most []backend.Sample // others may have its labels and more
	for _, v := range x.ask(ctx, slo.NewSelector(one...).Range(length)) {
		if len(v.Samples) > len(most) {
			most = v.Samples
		}
	}
	if len(most) < 3 {
		return 0, false
	}
	return (time.Duration(history.UsualGap(most)) * time.Millisecond).Round(time.Second), true
}
