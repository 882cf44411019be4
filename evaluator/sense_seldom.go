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
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/slo"
)

// seldom asks whether samples come less often than what is scraped: each 5 minutes.
// They count as well, but windows with fewer than four of them have no burn rate, and
// a backend gives the value of a series for 5 minutes only.
func (x *inspector) seldom(ctx context.Context, s subject) error {
	selectors := []slo.Selector{s.selector}
	if s.way == slotValues {
		selectors = instantSelectors(s.expr)
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
		if s.way == slotValues {
			x.concern(false, s.field, fmt.Sprintf("last_over_time(%s) has the value until the next sample", selector.Range((2*each).Round(time.Minute)+scrape)),
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
		x.concern(false, s.field, fmt.Sprintf("scrape at least every %s", model.Duration(x.short.Duration()/perWindow)), "%s", message)
	}
	return nil
}

// instantSelectors are the selectors of an expression whose newest values count.
func instantSelectors(expr string) []slo.Selector {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil // MetricsQL's own
	}
	var out []slo.Selector
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if len(path) > 0 {
			if _, isRange := path[len(path)-1].(*parser.MatrixSelector); isRange {
				return nil
			}
		}
		out = append(out, slo.NewSelector(v.LabelMatchers...))
		return nil
	})
	return out
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
	var gaps []time.Duration
	for i := range most[min(1, len(most)):] {
		gaps = append(gaps, time.Duration(most[i+1].t-most[i].t)*time.Millisecond)
	}
	if len(gaps) < 2 {
		return 0, false, nil
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2].Round(time.Second), true, nil
}
