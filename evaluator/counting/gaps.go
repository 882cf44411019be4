package counting

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Recent are the last values of something.
type Recent[T int32 | float32] struct {
	last [9]T
	N    uint32
}

// Push adds a value, and forgets the oldest when there are too many.
func (r *Recent[T]) Push(v T) {
	r.last[r.N%uint32(len(r.last))] = v
	r.N++
}

func (r *Recent[T]) all() []T { return r.last[:min(int(r.N), len(r.last))] }

// Still reports whether the last of them are 0.
func (r *Recent[T]) Still() bool {
	const some = 4
	for i := range uint32(some) {
		if r.N < some || r.last[(r.N-1-i)%uint32(len(r.last))] != 0 {
			return false
		}
	}
	return true
}

// Most is the largest value that is kept.
func (r *Recent[T]) Most() T {
	var most T
	for _, v := range r.all() {
		most = max(most, v)
	}
	return most
}

const (
	// MaxScrape is the longest scrape interval of what is scraped, as a rule; what
	// comes less often is pushed.
	MaxScrape = 5 * 60 * 1000
	// MaxPush is the longest time between samples that gives known slots.
	MaxPush = 60 * 60 * 1000
)

// Gaps are the last times between scrapes of a process, in milliseconds.
type Gaps struct {
	Recent[int32]
	Usual int64 // 0 when it isn't known
}

// Push remembers a gap. The usual one is the median, which one outage doesn't
// move; among nine it is the third largest, because where two replicas scrape
// in turns every other gap is short.
func (g *Gaps) Push(gap int64) {
	g.Recent.Push(int32(min(gap, 1<<31-1)))
	sorted := g.Recent
	known := sorted.all()
	slices.Sort(known)
	at := len(known) / 2
	if len(known) == len(sorted.last) {
		at = 6
	}
	g.Usual = int64(known[at])
}

// Limit is how far two samples may be apart for the time between them to be
// known.
func (g *Gaps) Limit() int64 {
	if g.Usual == 0 {
		return timeline.TwoIntervals(MaxScrape)
	}
	return timeline.TwoIntervals(g.Between())
}

// First is the first gap of all where a second one as long shows that samples come
// seldom; else 0.
func (g *Gaps) First(second int64) int64 {
	if g.N != 1 || g.Usual <= timeline.TwoIntervals(MaxScrape) || second <= g.Usual/2 {
		return 0
	}
	return g.Usual
}

// Patience is how long after a sample the next may come. That of a series with one
// sample may be one that comes seldom.
func (g *Gaps) Patience() int64 {
	if g.Usual == 0 {
		return timeline.TwoIntervals(MaxPush)
	}
	return g.Limit()
}

// Between is the usual time between two samples, 0 when it isn't known. Samples
// seldom come only where half of the last gaps are long: where most are short the
// long ones are outages.
func (g *Gaps) Between() int64 {
	if g.Usual <= MaxScrape {
		return g.Usual
	}
	sorted := g.Recent
	known := sorted.all()
	slices.Sort(known)
	return min(max(int64(known[len(known)/2]), MaxScrape), MaxPush)
}
