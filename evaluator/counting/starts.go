package counting

import (
	"cmp"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Slack is how many events are plausible at any time, of a process that counts few.
const Slack = 100

// FindStart notes what a counter counts that begins from zero.
func (o *Events) FindStart(raw *RawSeries, last, x backend.Sample) {
	kind := FindRebirth
	switch {
	case x.V == 0:
		return
	case last.T == 0:
		kind = FindBirth
		o.Births++
	case x.V < last.V:
		kind = FindReset
	}
	o.Find(kind, raw, x.T, x.V)
}

// Lookback is for how long a backend shows a series that ended, in milliseconds.
const Lookback = 5 * 60_000

// Starts are when the processes of targets had begun, by the samples of their start
// times: both in milliseconds, by target, in the order of the samples. A target that
// is in it without samples says nothing of its processes.
type Starts map[string][]backend.Sample

// beside is how far the sample of a start time may be from those of the counters that
// were scraped with it, in milliseconds.
const beside = 1000

// At is when the process had begun whose start time was scraped at an instant; 0 when
// nobody knows. Only its slot counts, which is read at once.
func (s Starts) At(target string, now int64) int64 {
	samples := s[target]
	i, ok := slices.BinarySearchFunc(samples, now, func(x backend.Sample, t int64) int { return cmp.Compare(x.T, t) })
	if ok {
		return int64(samples[i].V)
	}
	var near []backend.Sample
	for _, x := range samples[max(i-1, 0):min(i+1, len(samples))] {
		if max(x.T-now, now-x.T) <= beside && timeline.SlotEnd(x.T) == timeline.SlotEnd(now) {
			near = append(near, x)
		}
	}
	if len(near) != 1 {
		return 0
	}
	return int64(near[0].V)
}

// Last is the newest start time in (from, to]; 0 when nobody knows, or when several
// processes say when they began.
func (s Starts) Last(target string, from, to int64) int64 {
	newest := int64(0)
	for _, x := range backend.Between(s[target], from, to) {
		v := int64(x.V)
		if v == 0 || Moved(v, newest) {
			return 0
		}
		newest = max(newest, v)
	}
	return newest
}

// silent reports whether it is known that a target has no start times.
func (s Starts) silent(target string) bool {
	samples, asked := s[target]
	return asked && len(samples) == 0
}

// Add takes in the answer about a target. Of two processes that are scraped at one
// instant nothing says which is whose: their times are 0.
func (s Starts) Add(target string, series []RawSeries) {
	var all []backend.Sample
	for _, x := range series {
		all = append(all, x.Samples...)
	}
	slices.SortStableFunc(all, func(x, y backend.Sample) int { return cmp.Compare(x.T, y.T) })
	out := all[:0]
	for _, x := range all {
		if x.V *= 1000; x.V < 0 || x.V > latestStart {
			x.V = 0
		}
		if n := len(out); n > 0 && out[n-1].T == x.T {
			if Moved(int64(out[n-1].V), int64(x.V)) || Moved(int64(x.V), int64(out[n-1].V)) {
				out[n-1].V = 0
			}
			continue
		}
		out = append(out, x)
	}
	s[target] = out
}

// latestStart is no start time any more, in milliseconds: it is in the year 5138.
const latestStart = 1e14

// Moved reports whether a start time is that of another process: it moves by a second
// with the clock of the host.
func Moved(from, to int64) bool { return to-from > 5000 }
