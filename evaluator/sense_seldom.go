package evaluator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// seldom asks whether samples come less often than what is scraped: each 5 minutes.
// They count as well, but windows with fewer than four of them have no burn rate.
func (x *inspector) seldom(ctx context.Context, s subject) error {
	selectors := []slo.Selector{s.selector}
	if s.way == slotValues {
		if l, is := x.slo.Indicator.Measure().(slo.Levels); is && l.Remember > 0 || x.slo.Indicator.Kind() == "runs" {
			return nil // the last value goes on
		}
		selectors = nil
		for _, v := range instants(s.expr) {
			selectors = append(selectors, slo.NewSelector(v.LabelMatchers...))
		}
	}
	const scrape = maxScrape * time.Millisecond
	for _, selector := range selectors {
		if selector.Name() == "" {
			continue
		}
		each, found, err := x.cadence(ctx, selector, 4*time.Hour)
		if err != nil {
			return err
		}
		if each = each.Round(time.Minute); !found || each <= scrape {
			continue
		}
		lasts := fmt.Sprintf("last_over_time(%s)", selector.Range((2*each).Round(time.Minute)+scrape))
		if _, is := x.slo.Indicator.Measure().(slo.Rates); is && s.way == slotValues {
			x.concern(false, s.field, lasts+" has the value until the next sample",
				"samples of %s come every %s, and its value is there for 5 minutes after each: the time between is unknown", selector, model.Duration(each))
			continue
		}
		least := fewest * each
		message := fmt.Sprintf("samples of %s come every %s: windows of less than %s have no burn rate", selector, model.Duration(each), model.Duration(least))
		if x.blind != nil {
			if tiers := x.blind(x.slo, least); len(tiers) > 0 {
				message += ", and the alert tiers " + strings.Join(tiers, ", ") + " can't fire"
			}
		}
		hint := fmt.Sprintf("scrape at least every %s", model.Duration(x.short.Duration()/perWindow))
		if s.way == slotValues {
			hint += "; generated rules have a value for 5 minutes after each sample, and until the next one with " + lasts
		}
		x.concern(false, s.field, hint, "%s", message)
	}
	return nil
}

// cadence is the usual time between two samples of the series of a selector that has
// the most in a length of time: the median. What has fewer than three is not known.
func (x *inspector) cadence(ctx context.Context, selector slo.Selector, length time.Duration) (each time.Duration, found bool, err error) {
	rows, err := x.ask(ctx, "topk(1, count_over_time("+selector.Range(length)+"))", x.end)
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	one := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, selector.Name())}
	for _, name := range slices.Sorted(maps.Keys(rows[0].labels)) {
		if name != model.MetricNameLabel {
			one = append(one, labels.MustNewMatcher(labels.MatchEqual, name, rows[0].labels[name]))
		}
	}
	answer, err := x.ask(ctx, slo.NewSelector(one...).Range(length), x.end)
	if err != nil || len(answer) == 0 {
		return 0, false, err
	}
	var most []sample // others may have its labels and more
	for _, v := range answer {
		if len(v.samples) > len(most) {
			most = v.samples
		}
	}
	if len(most) < 3 {
		return 0, false, nil
	}
	return (time.Duration(usualGap(most)) * time.Millisecond).Round(time.Second), true, nil
}
