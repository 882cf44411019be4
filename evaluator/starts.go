package evaluator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// starts are when the processes of targets had begun, by the samples of their start
// times: both in milliseconds, by target, in the order of the samples. A target that
// is in it without samples says nothing of its processes.
type starts map[string][]sample

// beside is how far the sample of a start time may be from those of the counters that
// were scraped with it, in milliseconds.
const beside = 1000

// at is when the process had begun whose start time was scraped at an instant; 0 when
// nobody knows. Only its slot counts, which is read at once.
func (s starts) at(target string, now int64) int64 {
	samples := s[target]
	i, ok := slices.BinarySearchFunc(samples, now, func(x sample, t int64) int { return cmp.Compare(x.t, t) })
	if ok {
		return int64(samples[i].v)
	}
	var near []sample
	for _, x := range samples[max(i-1, 0):min(i+1, len(samples))] {
		if max(x.t-now, now-x.t) <= beside && slotEnd(x.t) == slotEnd(now) {
			near = append(near, x)
		}
	}
	if len(near) != 1 {
		return 0
	}
	return int64(near[0].v)
}

// last is the newest start time in (from, to]; 0 when nobody knows, or when several
// processes say when they began.
func (s starts) last(target string, from, to int64) int64 {
	newest := int64(0)
	for _, x := range between(s[target], from, to) {
		v := int64(x.v)
		if v == 0 || moved(v, newest) {
			return 0
		}
		newest = max(newest, v)
	}
	return newest
}

// silent reports whether it is known that a target has no start times.
func (s starts) silent(target string) bool {
	samples, asked := s[target]
	return asked && len(samples) == 0
}

// add takes in the answer about a target. Of two processes that are scraped at one
// instant nothing says which is whose: their times are 0.
func (s starts) add(target string, series []rawSeries) {
	var all []sample
	for _, x := range series {
		all = append(all, x.samples...)
	}
	slices.SortStableFunc(all, func(x, y sample) int { return cmp.Compare(x.t, y.t) })
	out := all[:0]
	for _, x := range all {
		if x.v *= 1000; x.v < 0 || x.v > latestStart {
			x.v = 0
		}
		if n := len(out); n > 0 && out[n-1].t == x.t {
			if moved(int64(out[n-1].v), int64(x.v)) || moved(int64(x.v), int64(out[n-1].v)) {
				out[n-1].v = 0
			}
			continue
		}
		out = append(out, x)
	}
	s[target] = out
}

// latestStart is no start time any more, in milliseconds: it is in the year 5138.
const latestStart = 1e14

// moved reports whether a start time is that of another process: it moves by a second
// with the clock of the host.
func moved(from, to int64) bool { return to-from > 5000 }

// startsOf asks when the processes of targets began, by the samples in (from, to].
func (b *reader) startsOf(ctx context.Context, targets []string, from, to Minute) (starts, error) {
	out := starts{}
	byTarget := map[string][]rawSeries{}
	for keys := range slices.Chunk(targets, names) {
		for _, key := range keys {
			out[key] = nil
		}
		series, err := b.startSeries(ctx, keys, from, to)
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			if _, asked := out[s.target]; asked && len(s.samples) > 0 {
				byTarget[s.target] = append(byTarget[s.target], s)
			}
		}
	}
	for key, series := range byTarget {
		out.add(key, series)
	}
	return out, nil
}

// startSeries reads the start times of targets. What is too much for an answer is asked
// for in halves; a backend that refuses it all the same says nothing of processes.
func (b *reader) startSeries(ctx context.Context, keys []string, from, to Minute) ([]rawSeries, error) {
	selector, ok := b.ofTargets(startTime, keys)
	if !ok {
		return nil, nil // there are no target labels
	}
	answer, err := b.query(ctx, selector.Range(time.Duration(to-from)*time.Minute), to.Time())
	switch {
	case err == nil:
		return b.rawSeries(answer), nil
	case refused(err) && !tooMuch(err, to-from):
		return nil, nil
	case !tooMuch(err, to-from):
		return nil, fmt.Errorf("querying %s: %w", selector, err)
	}
	type part struct {
		keys     []string
		from, to Minute
	}
	middle := from + (to-from)/2
	halves := []part{{keys, from, middle}, {keys, middle, to}}
	if n := len(keys) / 2; n > 0 {
		halves = []part{{keys[:n], from, to}, {keys[n:], from, to}}
	}
	var out []rawSeries
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
	from, to Minute
	starts   starts
	used     map[string]bool // targets that were asked for
}

// renew reads the starts of a cycle that settles slots up to an instant, for the targets
// that the last one counted.
func (n *newStarts) renew(ctx context.Context, b *reader, to Minute) (err error) {
	defer b.rescue(&err)
	n.mu.Lock()
	if to <= n.to {
		n.mu.Unlock()
		return nil
	}
	targets := slices.Sorted(maps.Keys(n.used))
	n.from, n.to, n.starts, n.used = max(n.to, to-oneByOne), to, starts{}, map[string]bool{}
	from := n.from
	n.mu.Unlock()
	read, err := b.startsOf(ctx, targets, from, to)
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(n.starts, read)
	return err
}

// release forgets the starts of a cycle that ended, but not for which targets it asked.
func (n *newStarts) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.from, n.starts = n.to, starts{}
}

// of are the starts of targets in (from, to], of which those that are not read yet are
// read; ok says that the cycle settles these slots.
func (n *newStarts) of(ctx context.Context, b *reader, targets []string, from, to Minute) (out starts, ok bool, err error) {
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
func (n *newStarts) have(targets []string, from, to Minute) (out starts, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from < n.from || to > n.to || n.from == n.to {
		return nil, false
	}
	out = make(starts, len(targets))
	for _, key := range targets {
		n.used[key] = true
		if samples, read := n.starts[key]; read {
			out[key] = samples
		}
	}
	return out, true
}

// complete reads the starts of targets that are not in s yet.
func (b *reader) complete(ctx context.Context, s starts, targets []string, from, to Minute) error {
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
func (b *reader) begun(ctx context.Context, e *entry, r *reading, batches [][]rawSeries, settled Minute) (starts, error) {
	to := min(r.to, settled)
	if e.whole != nil || to <= r.from { // the whole judges, or nothing settles
		return nil, nil
	}
	var targets []string
	for i, batch := range batches {
		if e.book.plan.meters[i].fresh == nil {
			for j := range batch {
				targets = append(targets, batch[j].target)
			}
		}
	}
	slices.Sort(targets)
	targets = slices.Compact(targets)
	if out, ok, err := b.newStarts.of(ctx, b, targets, r.from, to); ok || err != nil {
		return out, err
	}
	return r.starts, b.complete(ctx, r.starts, targets, r.from, to)
}
