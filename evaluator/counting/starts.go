package counting

import (
	"cmp"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Slack is the number of events that are plausible at any time, even for a process that
// counts few.
const Slack = 100

// FindStart records the finding of a counter that begins from zero.
func (e *Events) FindStart(raw *RawSeries, last, x backend.Sample) {
	kind := FindRebirth
	switch {
	case x.V == 0:
		return
	case last.T == 0:
		kind = FindBirth
		e.Births++
	case x.V < last.V:
		kind = FindReset
	}
	e.AddFinding(kind, raw, x.T, x.V)
}

// Lookback is how long a backend shows a series that ended, in milliseconds.
const Lookback = 5 * 60_000

// Starts contains the start times of the processes of targets, by target, in the order of
// samples. T and V are in milliseconds. A target without samples reports no start times.
type Starts map[string][]backend.Sample

// maxStartOffset is how far apart the samples of a start time and of the counters of the
// same scrape may be, in milliseconds.
const maxStartOffset = 1000

// At returns the start time of the process that was scraped at an instant, or 0 if it is
// unknown. It uses only samples in the same slot, because these are read together.
func (s Starts) At(target string, now int64) int64 {
	samples := s[target]
	i, ok := slices.BinarySearchFunc(samples, now, func(x backend.Sample, t int64) int { return cmp.Compare(x.T, t) })
	if ok {
		return int64(samples[i].V)
	}
	var near []backend.Sample
	for _, x := range samples[max(i-1, 0):min(i+1, len(samples))] {
		if max(x.T-now, now-x.T) <= maxStartOffset && timeline.SlotEnd(x.T) == timeline.SlotEnd(now) {
			near = append(near, x)
		}
	}
	if len(near) != 1 {
		return 0
	}
	return int64(near[0].V)
}

// Last returns the newest start time in (from, to]. It returns 0 if there is none, or if
// several processes report different ones.
func (s Starts) Last(target string, from, to int64) int64 {
	newest := int64(0)
	for _, x := range backend.Between(s[target], from, to) {
		v := int64(x.V)
		if v == 0 || StartMoved(v, newest) {
			return 0
		}
		newest = max(newest, v)
	}
	return newest
}

// hasNone reports whether a target is known to have no start times.
func (s Starts) hasNone(target string) bool {
	samples, asked := s[target]
	return asked && len(samples) == 0
}

// Add stores the start times of a target. If two processes are scraped at one instant, it
// is unknown which is which: their times become 0.
func (s Starts) Add(target string, series []RawSeries) {
	var all []backend.Sample
	for _, x := range series {
		all = append(all, x.Samples...)
	}
	slices.SortStableFunc(all, func(x, y backend.Sample) int { return cmp.Compare(x.T, y.T) })
	out := all[:0]
	for _, x := range all {
		x.V *= 1000
		if x.V < 0 || x.V > latestStart {
			x.V = 0
		}
		if n := len(out); n > 0 && out[n-1].T == x.T {
			if StartMoved(int64(out[n-1].V), int64(x.V)) || StartMoved(int64(x.V), int64(out[n-1].V)) {
				out[n-1].V = 0
			}
			continue
		}
		out = append(out, x)
	}
	s[target] = out
}

// latestStart is later than any start time, in milliseconds: the year 5138.
const latestStart = 1e14

// StartMoved reports whether a start time belongs to another process. The start time of
// one process moves by up to a second with the clock of the host.
func StartMoved(from, to int64) bool { return to-from > 5000 }
