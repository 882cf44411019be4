package evaluator

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

	"github.com/slowburn-slo/slowburn/slo"
)

// leastGrowth is how often two counters must have grown alike to be copies of one:
// those that stand still are alike by chance.
const leastGrowth = 3

// replicaName is what labels of replicas are called. Counters of one process with
// the same samples at the same times may count alike, as those of the phases of
// requests do; with a label of such a name they are copies.
var replicaName = regexp.MustCompile(`(?i)replica|prometheus|monitor|scrape|receive|agent`)

// twinLabel returns the label by which a batch has each counter twice or more, as
// several replicas of a Prometheus scrape it, or "". The labels of replicas that
// are configured are not in the batch, and those of targets tell processes apart,
// which may count alike.
func (b *reader) twinLabel(batch []rawSeries) string {
	names := map[string]bool{}
	for i := range batch {
		batch[i].labels.Range(func(l labels.Label) { names[l.Name] = true })
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

// allTwins reports whether all counters that grow have a copy that differs in a
// label.
func allTwins(batch []rawSeries, name string) bool {
	byRest := map[uint64][]*rawSeries{}
	var buf []byte
	for i := range batch {
		s := &batch[i]
		if s.labels.Get(name) == "" {
			continue
		}
		var rest uint64
		rest, buf = s.labels.HashWithoutLabels(buf, name)
		byRest[rest] = append(byRest[rest], s)
	}
	found := false
	for i := range batch {
		s := &batch[i]
		if growth(s.samples) < leastGrowth {
			continue
		}
		var rest uint64
		rest, buf = s.labels.HashWithoutLabels(buf, name)
		if !slices.ContainsFunc(byRest[rest], func(o *rawSeries) bool {
			return o != s && o.labels.Get(name) != s.labels.Get(name) && copies(s.samples, o.samples, replicaName.MatchString(name))
		}) {
			return false
		}
		found = true
	}
	return found
}

// findTwins finds the counters that a book has twice, in the newest long piece of
// history: in a cycle there are too few samples to say.
func (b *reader) findTwins(ctx context.Context, e *entry, r *reading, batches [][]rawSeries, settled Minute) {
	if r.to-r.from < minutes(twinsLength) || r.to <= settled-24*60 {
		return
	}
	for i, m := range e.book.plan.meters {
		p := &e.book.parts[i]
		_, given := p.accounts.(*increments)
		switch {
		case !given && m.fresh != nil:
		case p.method == MethodRaw && len(batches[i]) <= mostTwins:
			p.twin = b.twinLabel(batches[i])
		default:
			if label, err := b.twinsOfTarget(ctx, m.clockQuery().own, r.to); err == nil {
				p.twin = label
			}
		}
	}
}

// twinsOfTarget is twinLabel of one target: of all there are too many series to read.
func (b *reader) twinsOfTarget(ctx context.Context, s slo.Selector, at Minute) (string, error) {
	one, err := b.query(ctx, fmt.Sprintf("topk(1, count by (%s) (%s) <= %d)", slo.LabelList(b.TargetLabels...), s, mostTwins), at.Time())
	if err != nil || len(one) == 0 {
		return "", err
	}
	for _, name := range b.TargetLabels {
		s = s.With(labels.MustNewMatcher(labels.MatchEqual, name, one[0].labels[name]))
	}
	answer, err := b.query(ctx, s.Range(twinsLength), at.Time())
	return b.twinLabel(b.rawSeries(answer)), err
}

const (
	// twinsLength is how much of series is read to find copies of them.
	twinsLength = 15 * time.Minute
	// mostTwins is how many series are read for that.
	mostTwins = 2000
)

// twins asks whether a backend has each counter twice.
func (x *inspector) twins(ctx context.Context, s subject) error {
	n, _, err := x.number(ctx, "count("+s.text()+")", x.end)
	if err != nil || n < 2 {
		return err
	}
	label := ""
	if n > mostTwins {
		label, err = x.twinsOfTarget(ctx, s.selector, x.end)
	} else if answer, failed := x.query(ctx, s.selector.Range(twinsLength), x.end.Time()); failed != nil {
		err = failed
	} else {
		label = x.twinLabel(x.rawSeries(answer))
	}
	if err == nil && label != "" {
		x.concern(false, s.field, fmt.Sprintf("write replica_labels: [%s] in the configuration of the backend, so that one of them counts", label),
			"%s has each counter more than once, as replicas see it, which differ in the label %s", s.selector, label)
	}
	return err
}

// growth is how many samples are higher than the one before.
func growth(samples []sample) int {
	n := 0
	for i := 1; i < len(samples); i++ {
		if samples[i].v > samples[i-1].v {
			n++
		}
	}
	return n
}

// copies reports whether two series are samples of one counter: each value of one
// is between those of the other that are around it in time. A fall in either
// says nothing, nor do samples at the same time, unless they are asked for.
func copies(a, b []sample, atOnce bool) bool {
	n := 0
	for _, s := range a {
		i, same := slices.BinarySearchFunc(b, s.t, func(o sample, t int64) int { return cmp.Compare(o.t, t) })
		switch {
		case same && b[i].v != s.v:
			return false
		case same && atOnce:
			n++
		case same || i == 0 || i == len(b) || b[i].v < b[i-1].v:
		case s.v < b[i-1].v || s.v > b[i].v:
			return false
		default:
			n++
		}
	}
	return n > leastGrowth
}
