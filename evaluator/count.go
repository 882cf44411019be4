package evaluator

import (
	"maps"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// sample is one sample of a counter; t is in milliseconds since the epoch.
type sample struct {
	t int64
	v float64
}

// rawSeries is one series as it was read, its samples in the order of time.
type rawSeries struct {
	key        uint64 // of the labels
	pair       uint64 // of the labels that a bucket shares with its histogram's count
	target     string // the values of the target labels
	replica    string // the values of the replica labels
	labels     labels.Labels
	le         string // of a bucket, as it is written; "" where labels have that
	roles      role
	weights    *[3]float64 // how often good, bad and total count it; nil for once
	samples    []sample
	nans       []int64 // times of values that are NaN, in milliseconds
	histograms []histogram
	refused    sample   // the newest that no counter can have; its time is 0 for none
	sizes      []sample // of an aggregated one: how many counters its samples are sums of; empty when that does not matter
}

// counter turns samples of counters into events per slot. It remembers each
// series' last sample, so that no delta is lost between two reads or over a gap.
// How births, rebirths and resets count follows the rules that docs/explanation/counting.md
// gives, with the evidence each needs.
type counter struct {
	clock   role // the roles whose samples make a slot known
	targets map[string]*target
	witness *witness // nil but for Explain
	rulings *rulings // of what is split into groups; else nil
	follow  *rulings // for the next feed of a group; else nil
	starts  starts   // for the next feed
}

// target is what the target labels tell apart. As a rule that is one process;
// it is several where those labels are missing, or where two replicas of a
// Prometheus scrape the same.
type target struct {
	series  map[uint64]*series
	last    int64  // time of the last sample
	replica string // that it is of
	better  int64  // time of the last sample of a replica before that in order, since then
}

// memory is how long a target or a series that is gone is remembered, in
// milliseconds. A
// process that starts reads as much before its first slot, so that it knows what
// one that is up for long remembers.
const memory = int64(leadIn * 60_000)

// series is what is remembered of a counter.
type series struct {
	process *process
	last    sample // its time is 0 before the first
}

func newCounter(clock role) *counter {
	return &counter{clock: clock, targets: map[string]*target{}}
}

// clone is a copy to try unsettled samples on.
func (c *counter) clone() accounts {
	out := &counter{clock: c.clock, targets: make(map[string]*target, len(c.targets)), witness: c.witness, rulings: c.rulings.clone()}
	processes := map[*process]*process{}
	for key, t := range c.targets {
		copied := *t
		copied.series = make(map[uint64]*series, len(t.series))
		for k, s := range t.series {
			if processes[s.process] == nil {
				p := *s.process
				p.falls, p.lost = maps.Clone(p.falls), cloneLost(p.lost)
				processes[s.process] = &p
			}
			copied.series[k] = &series{process: processes[s.process], last: s.last}
		}
		out.targets[key] = &copied
	}
	return out
}

// feed counts the samples of (from, to] into slots.
func (c *counter) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(c.clock, from, to)
	out.witness, out.rulings, out.follow, out.starts = c.witness, c.rulings, c.follow, c.starts
	c.rulings.extend(from.millis(), to.millis())
	c.follow, c.starts = nil, nil
	byTarget := map[string][]cursor{}
	for i := range batch {
		s := &batch[i]
		samples := between(s.samples, from.millis(), to.millis())
		if len(samples) > 0 {
			byTarget[s.target] = append(byTarget[s.target], cursor{raw: s, samples: samples})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byTarget)) {
		t := c.targets[key]
		if t == nil {
			t = &target{}
			c.targets[key] = t
		}
		t.feed(byTarget[key], out)
	}
	return out
}

func (m Minute) millis() int64 { return int64(m) * 60_000 }

// slotEnd is the end of the slot (start, end] that holds the time.
func slotEnd(millis int64) Minute { return Minute((millis + 59_999) / 60_000) }

// between are the samples in (from, to].
func between(samples []sample, from, to int64) []sample {
	a := sort.Search(len(samples), func(i int) bool { return samples[i].t > from })
	b := sort.Search(len(samples), func(i int) bool { return samples[i].t > to })
	return samples[a:b]
}

// cursor walks over the samples of a series.
type cursor struct {
	raw     *rawSeries
	samples []sample
	series  *series
}

// feed walks over the scrapes of a target.
func (t *target) feed(cursors []cursor, out *tally) {
	slices.SortFunc(cursors, func(a, b cursor) int { return labels.Compare(a.raw.labels, b.raw.labels) })
	var together []*cursor // those with a sample at now
	for {
		now := int64(math.MaxInt64)
		together = together[:0]
		for i := range cursors {
			c := &cursors[i]
			if len(c.samples) == 0 || c.samples[0].t > now {
				continue
			}
			if c.samples[0].t < now {
				now, together = c.samples[0].t, together[:0]
			}
			together = append(together, c)
		}
		if len(together) == 0 {
			return
		}
		if replica := firstReplica(together); t.follows(replica, now) {
			t.scrape(slices.DeleteFunc(slices.Clone(together), func(c *cursor) bool { return c.raw.replica != replica }), now, out)
		}
		for _, c := range together {
			c.samples = c.samples[1:]
		}
	}
}

// scrape counts what one scrape of a target brings.
func (t *target) scrape(together []*cursor, now int64, out *tally) {
	if t.series == nil || now-t.last > memory { // it is as if it were new
		t.series = map[uint64]*series{}
	}
	t.last = now
	t.admit(together, now)
	for rest := together; len(rest) > 0; {
		p := rest[0].series.process
		n := gather(rest, p)
		if now > p.last { // else a second sample of one time
			p.scrape(rest[:n], now, out)
		}
		rest = rest[n:]
	}
}

// firstReplica is the first in order of the replicas that scraped.
func firstReplica(together []*cursor) string {
	first := together[0].raw.replica
	for _, c := range together {
		first = min(first, c.raw.replica)
	}
	return first
}

// follows chooses of the replicas of a Prometheus that scrape a target the first
// in order of those whose samples come. Two that take turns would see a counter
// fall, because neither is as late as the other.
func (t *target) follows(replica string, now int64) bool {
	since := now - t.last
	if t.last != 0 && since <= memory && (replica != t.replica || t.better != 0) {
		usual := t.usual()
		soon := usual * 11 / 10 // when the next sample of a replica should be there
		switch {
		case replica == t.replica:
			if now-t.better <= soon {
				return false
			}
		case usual == 0:
			if since <= maxScrape {
				return false
			}
		case replica < t.replica && since < usual/2:
			t.better = now
			return false
		case replica > t.replica && since <= soon:
			return false
		}
	}
	t.replica, t.better = replica, 0
	return true
}

// usual is the time between two scrapes, 0 when it isn't known.
func (t *target) usual() int64 {
	most := int64(0)
	for _, s := range t.series {
		most = max(most, s.process.gaps.usual)
	}
	return most
}

// admit gives each new series of a scrape its process: that of the first series
// known from before, or one of its own.
func (t *target) admit(together []*cursor, now int64) {
	var home *process
	for _, c := range together {
		c.series = t.series[c.raw.key]
		if c.series != nil && now-c.series.last.t > memory { // it is as if it were new
			delete(c.series.process.falls, c.raw.key)
			c.series.process.forgetLost(c.raw.key)
			delete(t.series, c.raw.key)
			c.series = nil
		}
		if c.series != nil && home == nil {
			home = c.series.process
		}
	}
	if home == nil {
		home = &process{heir: len(t.series) > 0}
	}
	for _, c := range together {
		if c.series == nil {
			c.series = &series{process: home}
			t.series[c.raw.key] = c.series
		}
	}
}

// gather moves the series of a process to the front and counts them.
func gather(cursors []*cursor, p *process) int {
	n := 0
	for i, c := range cursors {
		if c.series.process == p {
			cursors[n], cursors[i] = c, cursors[n]
			n++
		}
	}
	return n
}

// forget drops what had no sample for so long that it is not remembered.
func (c *counter) forget(now, before int64) {
	for key, t := range c.targets {
		maps.DeleteFunc(t.series, func(key uint64, s *series) bool {
			if s.last.t > before {
				return false
			}
			delete(s.process.falls, key)
			s.process.forgetLost(key)
			return true
		})
		if now-t.last > memory || len(t.series) == 0 {
			delete(c.targets, key)
		}
	}
}

// interval is the usual time between two scrapes, the smallest of the processes',
// in milliseconds; 0 when it isn't known.
func (c *counter) interval() int64 {
	least := int64(0)
	for _, t := range c.targets {
		for _, s := range t.series {
			if between := s.process.gaps.between(); between > 0 && (least == 0 || between < least) {
				least = between
			}
		}
	}
	return least
}

// lag is how old the last sample of a live target is at most, in minutes, or as old as
// makes the time since then unknown.
const lag = Minute(5)

// hold is the instant up to which slots can be settled at an end: not behind
// the last sample of targets whose samples come late.
func (c *counter) hold(batch []rawSeries, end, settled Minute) Minute {
	w := waiting{end: end.millis()}
	newest := map[string]int64{}
	for key, t := range c.targets {
		newest[key] = t.last
	}
	for i := range batch {
		s := &batch[i]
		if n := len(s.samples); n > 0 && s.roles&c.clock != 0 {
			newest[s.target] = max(newest[s.target], s.samples[n-1].t)
		}
	}
	for key, last := range newest {
		w.add(last, c.between(key), settled)
	}
	return w.hold(settled)
}

// between is the usual time between two samples of a target, 0 when it isn't known.
func (c *counter) between(key string) int64 {
	most := int64(0)
	if t := c.targets[key]; t != nil {
		for _, s := range t.series {
			most = max(most, s.process.gaps.between())
		}
	}
	return most
}

// leadIn is how much is read before a timeline, in minutes, so that the first
// deltas have a sample to begin from, and births and restarts their evidence.
const leadIn = Minute(24 * time.Hour / time.Minute)
