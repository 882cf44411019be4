package counting

import (
	"iter"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Recent contains the last nine values of a series of numbers.
type Recent[T int32 | float32] struct {
	last [9]T
	N    uint32
}

// Push adds a value. It replaces the oldest if there are too many.
func (r *Recent[T]) Push(v T) {
	r.last[r.N%uint32(len(r.last))] = v
	r.N++
}

func (r *Recent[T]) all() []T { return r.last[:min(int(r.N), len(r.last))] }

// Idle reports whether the last four values are 0.
func (r *Recent[T]) Idle() bool {
	const some = 4
	for i := range uint32(some) {
		if r.N < some || r.last[(r.N-1-i)%uint32(len(r.last))] != 0 {
			return false
		}
	}
	return true
}

// Max returns the largest of the values.
func (r *Recent[T]) Max() T {
	var most T
	for _, v := range r.all() {
		most = max(most, v)
	}
	return most
}

const (
	// MaxScrape is the longest usual interval of scrapes, in milliseconds. Samples that
	// come less often are pushed.
	MaxScrape = 5 * 60 * 1000
	// MaxPush is the longest time between two samples whose slots are known, in
	// milliseconds.
	MaxPush = 60 * 60 * 1000
)

// Gaps contains the last times between scrapes of a process, in milliseconds.
type Gaps struct {
	Recent[int32]
	Usual int64 // 0 if unknown
}

// Push adds a gap, and updates the usual one. That is the median, which one outage does
// not move. Of nine gaps it is the third largest: if two replicas scrape in turns, every
// other gap is short.
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

// Limit returns how far apart two samples may be for the slots between them to be known.
func (g *Gaps) Limit() int64 {
	if g.Usual == 0 {
		return timeline.TwoIntervals(MaxScrape)
	}
	return timeline.TwoIntervals(g.Interval())
}

// FirstGap returns the first gap if a second one of similar length shows that samples
// come seldom, else 0.
func (g *Gaps) FirstGap(second int64) int64 {
	if g.N != 1 || g.Usual <= timeline.TwoIntervals(MaxScrape) || second <= g.Usual/2 {
		return 0
	}
	return g.Usual
}

// Patience returns how long after a sample the next may come. A series with one sample
// may be one whose samples come seldom.
func (g *Gaps) Patience() int64 {
	if g.Usual == 0 {
		return timeline.TwoIntervals(MaxPush)
	}
	return g.Limit()
}

// Interval returns the usual time between two samples, or 0 if it is unknown. Samples
// come seldom only if half of the last gaps are long. If most gaps are short, the long
// ones are outages.
func (g *Gaps) Interval() int64 {
	if g.Usual <= MaxScrape {
		return g.Usual
	}
	sorted := g.Recent
	known := sorted.all()
	slices.Sort(known)
	return min(max(int64(known[len(known)/2]), MaxScrape), MaxPush)
}

// LeastInterval returns the smallest of the usual intervals; 0 if none is known.
func LeastInterval(all iter.Seq[*Gaps]) int64 {
	least := int64(0)
	for g := range all {
		if between := g.Interval(); between > 0 && (least == 0 || between < least) {
			least = between
		}
	}
	return least
}

// Replica is the replica of a Prometheus whose samples are counted. Of the replicas that
// scrape a target it is the first in order whose samples come. Following two in turns
// would show a counter fall, because one is later than the other.
type Replica struct {
	name   string
	better int64 // time of the last sample of a replica earlier in order, since then
}

// Follows reports whether to count a sample of a replica. last is the time of the last
// counted sample, or 0 if there is none. usual returns the usual time between two, or 0 if
// it is unknown.
func (r *Replica) Follows(name string, now, last int64, usual func() int64) bool {
	if last != 0 && (name != r.name || r.better != 0) {
		since, each := now-last, usual()
		soon := each * 11 / 10 // when the next sample of a replica is due
		switch {
		case name == r.name:
			if now-r.better <= soon {
				return false
			}
		case each == 0:
			if since <= MaxScrape {
				return false
			}
		case name < r.name && since < each/2:
			r.better = now
			return false
		case name > r.name && since <= soon:
			return false
		}
	}
	*r = Replica{name: name}
	return true
}
