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

// startTime is the metric in which client libraries say when their process
// began, in seconds since the epoch.
const startTime = "process_start_time_seconds"

const (
	// oneByOne is how many slots are asked about one by one; behind that it is
	// cheaper to read all in between.
	oneByOne = 20
	// names is how many targets one query names.
	names = 100
)

// proof is what is to be proven: the claims of tallies in slots behind an instant.
type proof struct {
	found  []*counting.Events
	behind timeline.Minute
}

// prove decides claims by the start times of their processes. On an error it has
// decided none.
func (b *Reader) prove(ctx context.Context, proofs []proof) error {
	bySlot := map[timeline.Minute][]*counting.Unproven{}
	for _, p := range proofs {
		for _, f := range p.found {
			for i := range f.Unproven {
				c := &f.Unproven[i]
				if slot := timeline.SlotEnd(c.At); slot > p.behind && !c.Answered {
					bySlot[slot] = append(bySlot[slot], c)
				}
			}
		}
	}
	slots := slices.Sorted(maps.Keys(bySlot))
	if len(slots) > oneByOne {
		var all []*counting.Unproven
		for _, slot := range slots {
			all = append(all, bySlot[slot]...)
		}
		if err := b.began(ctx, all, slots[0]-1, slots[len(slots)-1]); err != nil {
			return err
		}
	} else {
		for _, slot := range slots {
			if err := b.began(ctx, bySlot[slot], slot-1, slot); err != nil {
				return err
			}
		}
	}
	for _, p := range proofs {
		for _, f := range p.found {
			for _, c := range f.Unproven {
				if timeline.SlotEnd(c.At) > p.behind {
					f.Resolve(c)
				}
			}
		}
	}
	return nil
}

// began finds when the processes of claims began, whose samples are in (from, to].
func (b *Reader) began(ctx context.Context, claims []*counting.Unproven, from, to timeline.Minute) error {
	targets := map[string]bool{}
	for _, c := range claims {
		targets[c.Raw.Target] = true
	}
	starts, err := b.startsOf(ctx, slices.Sorted(maps.Keys(targets)), from, to)
	for _, c := range claims {
		c.Began = nearest(starts[c.Raw.Target], c.At)
	}
	return err
}

// ofTargets selects a metric of targets. Labels of one value are matched by it,
// the others by any of their values, which may select too much.
func (b *Reader) ofTargets(metric string, keys []string) (slo.Selector, bool) {
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

// nearest is the start time of the sample in the slot of an instant
// that is nearest to it; 0 without any.
func nearest(samples []backend.Sample, at int64) int64 {
	end := timeline.SlotEnd(at).Millis()
	samples = backend.Between(samples, end-60_000, end)
	if len(samples) == 0 {
		return 0
	}
	distance := func(s backend.Sample) int64 { return max(s.T-at, at-s.T) }
	s := slices.MinFunc(samples, func(x, y backend.Sample) int { return cmp.Compare(distance(x), distance(y)) })
	return int64(s.V)
}
