package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// startsOf asks when the processes of targets began, by the samples in (from, to].
func (b *Reader) startsOf(ctx context.Context, targets []string, from, to timeline.Minute) (counting.Starts, error) {
	out := counting.Starts{}
	byTarget := map[string][]counting.RawSeries{}
	for keys := range slices.Chunk(targets, names) {
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

// startSeries reads the start times of targets. What is too much for an answer is asked
// for in halves; a backend that refuses it all the same says nothing of processes.
func (b *Reader) startSeries(ctx context.Context, keys []string, from, to timeline.Minute) ([]counting.RawSeries, error) {
	selector, ok := b.ofTargets(startTime, keys)
	if !ok {
		return nil, nil // there are no target labels
	}
	answer, err := b.Query(ctx, selector.Range(time.Duration(to-from)*time.Minute), to.Time())
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

// newStarts are the starts of a backend in the slots that the newest cycle settles,
// which what counts the same targets shares.
type newStarts struct {
	mu       sync.Mutex // not held while anything is read
	from, to timeline.Minute
	starts   counting.Starts
	used     map[string]bool // targets that were asked for
}

// Renew reads the starts of a cycle that settles slots up to an instant, for the targets
// that the last one counted.
func (n *newStarts) Renew(ctx context.Context, b *Reader, to timeline.Minute) (err error) {
	defer b.Rescue(&err)
	n.mu.Lock()
	if to <= n.to {
		n.mu.Unlock()
		return nil
	}
	targets := slices.Sorted(maps.Keys(n.used))
	n.from, n.to, n.starts, n.used = max(n.to, to-oneByOne), to, counting.Starts{}, map[string]bool{}
	from := n.from
	n.mu.Unlock()
	read, err := b.startsOf(ctx, targets, from, to)
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(n.starts, read)
	return err
}

// Release forgets the starts of a cycle that ended, but not for which targets it asked.
func (n *newStarts) Release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.from, n.starts = n.to, counting.Starts{}
}

// of are the starts of targets in (from, to], of which those that are not read yet are
// read; ok says that the cycle settles these slots.
func (n *newStarts) of(ctx context.Context, b *Reader, targets []string, from, to timeline.Minute) (out counting.Starts, ok bool, err error) {
	out, ok = n.have(targets, from, to)
	if !ok {
		return nil, false, nil
	}
	if len(out) == len(targets) {
		return out, true, nil
	}
	if err := b.complete(ctx, out, targets, from, to); err != nil {
		return nil, true, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.from == from && n.to == to {
		maps.Copy(n.starts, out)
	}
	return out, true, nil
}

// have are those of the starts that are read; ok says that the cycle settles the slots
// of (from, to].
func (n *newStarts) have(targets []string, from, to timeline.Minute) (out counting.Starts, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from < n.from || to > n.to || n.from == n.to {
		return nil, false
	}
	out = make(counting.Starts, len(targets))
	for _, key := range targets {
		n.used[key] = true
		if samples, read := n.starts[key]; read {
			out[key] = samples
		}
	}
	return out, true
}

// complete reads the starts of targets that are not in s yet.
func (b *Reader) complete(ctx context.Context, s counting.Starts, targets []string, from, to timeline.Minute) error {
	var missing []string
	for _, key := range targets {
		if _, read := s[key]; !read {
			missing = append(missing, key)
		}
	}
	if missing == nil {
		return nil
	}
	read, err := b.startsOf(ctx, missing, from, to)
	if err == nil {
		maps.Copy(s, read)
	}
	return err
}

// begun are the starts of the targets whose counters batches hold, in the slots of a
// reading that settle. Those who count in one reading share them.
func (b *Reader) begun(ctx context.Context, e *Read, r *batch, batches [][]counting.RawSeries, settled timeline.Minute) (counting.Starts, error) {
	to := min(r.to, settled)
	if e.whole != nil || to <= r.from { // the whole judges, or nothing settles
		return nil, nil
	}
	var targets []string
	for i, batch := range batches {
		if e.Record.Plan.Inputs[i].Fresh == nil {
			for j := range batch {
				targets = append(targets, batch[j].Target)
			}
		}
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	if out, ok, err := b.NewStarts.of(ctx, b, targets, r.from, to); ok || err != nil {
		return out, err
	}
	return r.starts, b.complete(ctx, r.starts, targets, r.from, to)
}
