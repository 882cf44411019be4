package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// leastGrowth is the number of equal rises from which two counters count as copies.
// Counters that don't rise are equal by chance.
const leastGrowth = 3

// replicaName matches usual names of replica labels. Counters of one process with the
// same samples at the same times may be different, such as those of the phases of
// requests. With a label of such a name they are copies.
var replicaName = regexp.MustCompile(`(?i)replica|prometheus|monitor|scrape|receive|agent`)

// TwinLabel returns the label in which copies of each counter differ, as if several
// replicas of a Prometheus scraped it, or "". Configured replica labels are not in the
// batch. Target labels don't count, because different processes may have equal counters.
func (b *Reader) TwinLabel(batch []counting.RawSeries) string {
	names := map[string]bool{}
	for i := range batch {
		batch[i].Labels.Range(func(l labels.Label) { names[l.Name] = true })
	}
	for _, name := range append(slices.Clone(b.TargetLabels), model.MetricNameLabel, labels.BucketLabel) {
		delete(names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if allTwins(batch, name) {
			return name
		}
	}
	return ""
}

// allTwins reports whether each counter that rises has a copy that differs in a label.
func allTwins(batch []counting.RawSeries, name string) bool {
	byRest := map[uint64][]*counting.RawSeries{}
	var buf []byte
	for i := range batch {
		var rest uint64
		rest, buf = batch[i].Labels.HashWithoutLabels(buf, name)
		byRest[rest] = append(byRest[rest], &batch[i])
	}
	found := false
	for _, all := range byRest {
		for _, s := range all {
			if countRises(s.Samples) < leastGrowth {
				continue
			}
			if !slices.ContainsFunc(all, func(o *counting.RawSeries) bool {
				its := o.Labels.Get(name)
				return its != "" && its != s.Labels.Get(name) && sameCounter(s.Samples, o.Samples, replicaName.MatchString(name))
			}) {
				return false
			}
			found = true
		}
	}
	return found
}

// findTwins finds copies of counters in the newest long piece of history. A cycle has too
// few samples for it.
func (b *Reader) findTwins(ctx context.Context, e *Read, r *round, batches [][]counting.RawSeries, settled timeline.Minute) {
	if r.to-r.from < timeline.Minutes(TwinsLength) || r.to <= settled-24*60 {
		return
	}
	for i, m := range e.Record.Plan.Inputs {
		p := &e.Record.Inputs[i]
		_, given := p.Counting.(*gauges.Increments)
		switch {
		case !given && m.NewMethod != nil:
		case p.Method == evaluator.MethodRaw && len(batches[i]) <= MostTwins:
			p.TwinLabel = b.TwinLabel(batches[i])
		default:
			if label, err := b.TargetTwinLabel(ctx, m.ClockQuery().Own, r.to); err == nil {
				p.TwinLabel = label
			}
		}
	}
}

// TargetTwinLabel returns TwinLabel of one target, because all targets have too many
// series to read.
func (b *Reader) TargetTwinLabel(ctx context.Context, s slo.Selector, at timeline.Minute) (string, error) {
	one, err := b.Query(ctx, fmt.Sprintf("topk(1, count by (%s) (%s) <= %d)", slo.LabelList(b.TargetLabels...), s, MostTwins), at.Time())
	if err != nil || len(one) == 0 {
		return "", err
	}
	for _, name := range b.TargetLabels {
		s = s.With(labels.MustNewMatcher(labels.MatchEqual, name, one[0].Labels[name]))
	}
	answer, err := b.Query(ctx, s.Range(TwinsLength), at.Time())
	return b.TwinLabel(b.RawSeries(answer)), err
}

const (
	// TwinsLength is the length of series that are read to find copies.
	TwinsLength = 15 * time.Minute
	// MostTwins is the number of series that are read to find copies.
	MostTwins = 2000
)

// countRises counts the samples that are higher than the one before.
func countRises(samples []backend.Sample) int {
	n := 0
	for i := 1; i < len(samples); i++ {
		if samples[i].V > samples[i-1].V {
			n++
		}
	}
	return n
}

// sameCounter reports whether two series are samples of one counter: each value of one is
// between those around it in the other. It ignores falls, and samples at the same time
// unless atOnce is set.
func sameCounter(a, b []backend.Sample, atOnce bool) bool {
	n := 0
	for _, s := range a {
		i, same := slices.BinarySearchFunc(b, s.T, func(o backend.Sample, t int64) int { return cmp.Compare(o.T, t) })
		switch {
		case same && b[i].V != s.V:
			return false
		case same && atOnce:
			n++
		case same || i == 0 || i == len(b) || b[i].V < b[i-1].V:
		case s.V < b[i-1].V || s.V > b[i].V:
			return false
		default:
			n++
		}
	}
	return n > leastGrowth
}
