package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// startsOf queries the start times of targets, by the samples in (from, to].
func (b *Reader) startsOf(ctx context.Context, targets []string, from, to timeline.Minute) (counting.Starts, error) {
	out := counting.Starts{}
	byTarget := map[string][]counting.RawSeries{}
	for keys := range slices.Chunk(targets, maxTargets) {
		for _, key := range keys {
			out[key] = nil
		}
		series, err := b.startSeries(ctx, keys, from, to)
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			if _, asked := out[s.Target]; asked && len(s.Samples) > 0 {
				byTarget[s.Target] = append(byTarget[s.Target], s)
			}
		}
	}
	for key, series := range byTarget {
		out.Add(key, series)
	}
	return out, nil
}

// startSeries reads the start times of targets. If an answer is too large, it queries
// halves. If the backend refuses the query, no start times are known.
func (b *Reader) startSeries(ctx context.Context, keys []string, from, to timeline.Minute) ([]counting.RawSeries, error) {
	selector, ok := b.targetSelector(startTime, keys)
	if !ok {
		return nil, nil // there are no target labels
	}
	answer, err := b.Samples(ctx, selector, from, to)
	switch {
	case err == nil:
		return b.RawSeries(answer), nil
	case backend.Refused(err) && !backend.TooMuch(err, to-from):
		return nil, nil
	case !backend.TooMuch(err, to-from):
		return nil, fmt.Errorf("querying %s: %w", selector, err)
	}
	type part struct {
		keys     []string
		from, to timeline.Minute
	}
	middle := from + (to-from)/2
	halves := []part{{keys, from, middle}, {keys, middle, to}}
	if n := len(keys) / 2; n > 0 {
		halves = []part{{keys[:n], from, to}, {keys[n:], from, to}}
	}
	var out []counting.RawSeries
	for _, h := range halves {
		series, err := b.startSeries(ctx, h.keys, h.from, h.to)
		if err != nil {
			return nil, err
		}
		out = append(out, series...)
	}
	return out, nil
}

// newStarts contains the start times of a backend in (from, to], the slots that the newest
// cycle or a round settles. All plans that count the same targets share them.
type newStarts struct {
	mu       sync.Mutex // not held during queries
	from, to timeline.Minute
	starts   counting.Starts
	used     map[string]bool // targets that were queried
}

// Renew reads the start times for a cycle that settles slots up to an instant, for the
// targets of the last cycle.
func (n *newStarts) Renew(ctx context.Context, b *Reader, to timeline.Minute) (err error) {
	defer b.Rescue(&err)
	n.mu.Lock()
	if to <= n.to {
		n.mu.Unlock()
		return nil
	}
	targets := slices.Sorted(maps.Keys(n.used))
	n.from = max(n.to, to-longestCycle)
	n.to = to
	n.starts = counting.Starts{}
	n.used = map[string]bool{}
	from := n.from
	n.mu.Unlock()
	read, err := b.startsOf(ctx, targets, from, to)
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(n.starts, read)
	return err
}

// longestCycle is the most slots that a cycle settles for which it reads the start times
// first.
const longestCycle = 20

// Release removes the start times after a cycle, but not the names of the targets.
func (n *newStarts) Release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.from, n.starts = n.to, counting.Starts{}
}

// covers reports whether these are the start times of the slots of (from, to].
func (n *newStarts) covers(from, to timeline.Minute) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return from >= n.from && to <= n.to && n.from != n.to
}

// get returns the start times of targets in (from, to]. It reads those that are missing.
func (n *newStarts) get(ctx context.Context, b *Reader, targets []string, from, to timeline.Minute) (counting.Starts, error) {
	out := make(counting.Starts, len(targets))
	var missing []string
	n.mu.Lock()
	for _, key := range targets {
		n.used[key] = true
		samples, read := n.starts[key]
		if read {
			out[key] = samples
		} else {
			missing = append(missing, key)
		}
	}
	n.mu.Unlock()
	if missing == nil {
		return out, nil
	}
	read, err := b.startsOf(ctx, missing, from, to)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, read)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.from == from && n.to == to {
		maps.Copy(n.starts, read)
	}
	return out, nil
}

// startsFor returns the start times of the targets in batches, in the slots that settle.
// Reads in one round share them.
func (b *Reader) startsFor(ctx context.Context, e *Read, r *round, batches [][]counting.RawSeries, settled timeline.Minute) (counting.Starts, error) {
	to := min(r.to, settled)
	if to <= r.from { // nothing settles
		return nil, nil
	}
	var targets []string
	for i, batch := range batches {
		if e.Record.Plan.Inputs[i].NewMethod == nil {
			for j := range batch {
				targets = append(targets, batch[j].Target)
			}
		}
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	if b.NewStarts.covers(r.from, to) {
		return b.NewStarts.get(ctx, b, targets, r.from, to)
	}
	r.starts.from, r.starts.to = r.from, to
	return r.starts.get(ctx, b, targets, r.from, to)
}
