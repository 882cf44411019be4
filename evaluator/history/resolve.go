package history

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// startTime is the metric in which client libraries report when their process began, in
// seconds since the epoch.
const startTime = "process_start_time_seconds"

// maxTargets is the number of targets that one query names.
const maxTargets = 100

// findStarts stores the start times of the processes of unproven events.
func (b *Reader) findStarts(ctx context.Context, claims []*counting.Unproven) error {
	if len(claims) == 0 {
		return nil
	}
	targets := map[string]bool{}
	from, to := timeline.SlotEnd(claims[0].At)-1, timeline.SlotEnd(claims[0].At)
	for _, c := range claims {
		targets[c.Raw.Target] = true
		from, to = min(from, timeline.SlotEnd(c.At)-1), max(to, timeline.SlotEnd(c.At))
	}
	starts, err := b.startsOf(ctx, slices.Sorted(maps.Keys(targets)), from, to)
	for _, c := range claims {
		c.Began = nearestStart(starts[c.Raw.Target], c.At)
	}
	return err
}

// targetSelector returns a selector of a metric of targets. If a label has several
// values, it matches any of them, which may select too much. It reports false if there
// are no target labels.
func (b *Reader) targetSelector(metric string, keys []string) (slo.Selector, bool) {
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)}
	for i, name := range b.TargetLabels {
		values := map[string]bool{}
		for _, key := range keys {
			values[strings.Split(key, "\xff")[i]] = true
		}
		sorted := slices.Sorted(maps.Keys(values))
		if len(sorted) == 1 {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, sorted[0]))
			continue
		}
		for i, v := range sorted {
			sorted[i] = regexp.QuoteMeta(v)
		}
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, name, strings.Join(sorted, "|")))
	}
	return slo.NewSelector(matchers...), len(matchers) > 1
}

// nearestStart returns the start time of the sample in the slot of an instant that is
// nearest to it, or 0.
func nearestStart(samples []backend.Sample, at int64) int64 {
	end := timeline.SlotEnd(at).Millis()
	samples = backend.Between(samples, end-60_000, end)
	if len(samples) == 0 {
		return 0
	}
	distance := func(s backend.Sample) int64 { return max(s.T-at, at-s.T) }
	s := slices.MinFunc(samples, func(x, y backend.Sample) int { return cmp.Compare(distance(x), distance(y)) })
	return int64(s.V)
}
