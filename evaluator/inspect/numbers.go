package inspect

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// estimated finds expressions whose events are estimates.
func (x *inspector) estimated() {
	rates, _ := x.slo.Indicator.Measure().(slo.Rates)
	for i, r := range []slo.Rate{rates.Good, rates.Bad, rates.Total} {
		if r.Obstacle != "" {
			hint := "events are counted exactly in sums of rate() and increase() of selectors over $window"
			if strings.HasPrefix(r.Obstacle, "sum_over_time(") {
				hint = "gauges of numbers of events are counted exactly by their selectors alone, with type: delta"
			}
			x.concern(false, x.fieldFor(counting.AllRoles[i]), hint, "the number of events is estimated: %s is not a sum of counters", r.Obstacle)
			return
		}
	}
}

// manyChanges is the number of changes in an hour without a fall from which a gauge looks
// like a counter.
const manyChanges = 10

// grows finds counters in place of gauges of increments. Each of their samples would
// count all events since the start of the process.
func (x *inspector) grows(ctx context.Context, s subject, selector slo.Selector) {
	if x.rises(ctx, selector.Range(time.Hour)) >= manyChanges {
		x.concern(false, s.field, "remove type for counters", "%s rises as counters do, and never fell in the last hour", selector)
	}
}

// rises returns the largest number of changes of a series that never falls in a range.
func (x *inspector) rises(ctx context.Context, ranged string) float64 {
	changes, _ := x.number(ctx, fmt.Sprintf("max(changes(%s) unless (resets(%s) > 0))", ranged, ranged))
	return changes
}

// maxFalls is the share of falling samples that is too high for restarts of processes.
const maxFalls = 0.2

// gaugeHint is the hint for gauges.
const gaugeHint = "write type: delta where each sample is the number of events since the one before, type: rate for events per second; any other gauge is for an SLO of threshold"

// noCounter finds gauges in place of counters: series that fall often, gauges by their
// metadata that don't rise like counters, and a total that never changes.
func (x *inspector) noCounter(ctx context.Context, s subject) {
	hour := s.Selector.Range(time.Hour)
	falls, _ := x.number(ctx, fmt.Sprintf("max(resets(%s) / count_over_time(%s))", hour, hour))
	switch {
	case falls > maxFalls:
		x.concern(false, s.field, gaugeHint, "%s falls as gauges do, in %.0f %% of its samples", s.Selector, 100*falls)
		return
	case x.rises(ctx, s.Selector.Range(24*time.Hour)) >= manyChanges:
		return
	case x.metricType(ctx, s.Selector.Name()) == "gauge":
		x.concern(false, s.field, gaugeHint, "%s is a gauge, by its metadata, and does not grow as counters do", s.Selector)
		return
	case s.Role&plan.NewInput(x.slo.Indicator).Clock() == 0:
		return
	}
	length := slo.Window(2 * time.Hour)
	if counterName.MatchString(s.Selector.Name()) {
		length = slo.Window(24 * time.Hour)
	}
	long := s.Selector.Range(length.Duration())
	still, found := x.number(ctx, fmt.Sprintf("max(last_over_time(%s) > 0 and last_over_time(%s offset %s)) unless max(changes(%s)) > 0", hour, hour, length, long))
	if found {
		x.concern(false, s.field, "if each of its samples is a number of events, write type: delta; if they are rates, type: rate", "%s did not change in the last %s: it is %s, and counted no events", s.Selector, length, humanize.Precise(still))
	}
}

// counterName matches usual names of counters, which may be idle for hours.
var counterName = regexp.MustCompile(`_(total|count|bucket)$`)

// metricType returns the type of a metric by the metadata of its targets; "" if there is
// none, or several.
func (x *inspector) metricType(ctx context.Context, name string) string {
	type metadata struct {
		Type string `json:"type"`
	}
	var answer struct {
		Data map[string][]metadata `json:"data"`
	}
	err := x.Get(ctx, "/api/v1/metadata?metric="+url.QueryEscape(name), &answer)
	found := slices.Compact(answer.Data[name])
	if err != nil || len(found) != 1 { // not every backend has it
		return ""
	}
	return found[0].Type
}
