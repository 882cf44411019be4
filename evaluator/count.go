package evaluator

import (
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
)

// role says what the increments of a series count.
type role uint8

const (
	roleGood role = 1 << iota
	roleBad
	roleTotal
)

// sample is one sample of a counter; t is in milliseconds since the epoch.
type sample struct {
	t int64
	v float64
}

// rawSeries is one series as it was read, its samples in the order of time.
type rawSeries struct {
	key     string // the labels, as text
	pair    string // the labels that a bucket shares with its histogram's count
	target  string // the values of the target labels
	roles   role
	samples []sample
}

// counter turns samples of counters into events per slot. It remembers each
// series' last sample however old, so that no delta is lost between two reads
// or over a gap. How births, rebirths and resets count follows the rules that
// docs/counting.md gives, with the evidence each needs.
type counter struct {
	clock   role // the roles whose samples make a slot known
	targets map[string]*target
}

// target is what the target labels tell apart. As a rule that is one process;
// it is several where those labels are missing, or where two replicas of a
// Prometheus scrape the same.
type target struct {
	series map[string]*series
}

// process is a set of series that are scraped together, at the same times.
type process struct {
	heir      bool  // its target had other series before
	last      int64 // time of the last scrape; 0 before the first
	size      int   // series in the last scrape
	restarted int64 // it restarted after this time, the latest such; 0 for never
	ticks     int64 // time of the last sample of a clock series
	gaps      gaps
}

// series is what is remembered of a counter.
type series struct {
	process *process
	last    sample // its time is 0 before the first
}

// tally is where a counter puts what it finds.
type tally struct {
	clock     role   // as the counter's
	from      Minute // the slots begin here
	total     []float64
	good, bad []float64
	known     []bool      // slots with samples near enough to each other
	before    [][2]Minute // (from, to] that are known, in slots before these
	births    int         // counted from zero, on evidence
	ambiguous int         // births without evidence, counted as nothing
	newest    int64       // time of the newest clock sample, in milliseconds
}

func (c *counter) newTally(from, to Minute) *tally {
	n := int(to - from)
	return &tally{
		clock: c.clock, from: from, known: make([]bool, n),
		total: make([]float64, n), good: make([]float64, n), bad: make([]float64, n),
	}
}

// mark makes the slots of (from, to] known.
func (o *tally) mark(from, to Minute) {
	if from < o.from {
		o.before = append(o.before, [2]Minute{from, min(to, o.from)})
		from = o.from
	}
	for m := from; m < to; m++ {
		o.known[m-o.from] = true
	}
}

func newCounter(clock role) *counter {
	return &counter{clock: clock, targets: map[string]*target{}}
}

// clone is a copy to try unsettled samples on.
func (c *counter) clone() *counter {
	out := newCounter(c.clock)
	processes := map[*process]*process{}
	for key, t := range c.targets {
		copied := &target{series: make(map[string]*series, len(t.series))}
		for k, s := range t.series {
			if processes[s.process] == nil {
				p := *s.process
				processes[s.process] = &p
			}
			copied.series[k] = &series{process: processes[s.process], last: s.last}
		}
		out.targets[key] = copied
	}
	return out
}

// feed counts the samples of (from, to] into slots.
func (c *counter) feed(batch []rawSeries, from, to Minute) *tally {
	out := c.newTally(from, to)
	byTarget := map[string][]cursor{}
	for _, s := range batch {
		samples := between(s.samples, from.millis(), to.millis())
		if len(samples) > 0 {
			byTarget[s.target] = append(byTarget[s.target], cursor{key: s.key, roles: s.roles, samples: samples})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byTarget)) {
		t := c.targets[key]
		if t == nil {
			t = &target{series: map[string]*series{}}
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
	key     string
	roles   role
	samples []sample
	series  *series
}

// feed walks over the scrapes of a target.
func (t *target) feed(cursors []cursor, out *tally) {
	slices.SortFunc(cursors, func(a, b cursor) int { return strings.Compare(a.key, b.key) })
	for i := range cursors {
		cursors[i].series = t.series[cursors[i].key]
	}
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
		t.admit(together)
		for rest := together; len(rest) > 0; {
			p := rest[0].series.process
			n := gather(rest, p)
			if now > p.last { // else a second sample of one time
				p.scrape(rest[:n], now, out)
			}
			rest = rest[n:]
		}
		for _, c := range together {
			c.samples = c.samples[1:]
		}
	}
}

// admit gives each new series of a scrape its process: that of the first series
// known from before, or one of its own.
func (t *target) admit(together []*cursor) {
	var home *process
	for _, c := range together {
		if c.series != nil {
			home = c.series.process
			break
		}
	}
	if home == nil {
		home = &process{heir: len(t.series) > 0}
	}
	for _, c := range together {
		if c.series == nil {
			c.series = &series{process: home}
			t.series[c.key] = c.series
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

// scrape counts what one scrape brings. A process restarted when one of its
// counters fell: when it did is known as well as when that counter was scraped
// before. A series that was not there at the scrape before was born, and counts
// from zero, when the process restarted since that scrape or when the scrapes
// around are whole: some series is in both, and none ended in between. It was
// born again when it had ended and the process restarted since.
func (p *process) scrape(together []*cursor, now int64, out *tally) {
	went := 0
	for _, c := range together {
		last := c.series.last
		if last.t != 0 && last.t == p.last {
			went++
		}
		if last.t != 0 && rounded(c.samples[0].v) < last.v {
			p.restarted = max(p.restarted, last.t)
		}
	}
	whole := went > 0 && went == p.size
	for _, c := range together {
		last, v, delta := c.series.last, rounded(c.samples[0].v), 0.0
		switch {
		case last.t != 0 && (v < last.v || last.t < p.last && last.t <= p.restarted):
			delta = v
		case last.t != 0:
			delta = v - last.v
		case p.last == 0 && !p.heir:
			// The first scrape of a target tells nothing of its past.
		case whole || p.last != 0 && p.restarted == p.last:
			delta = v
			out.births++
		case v > 0:
			out.ambiguous++
		}
		out.add(slotEnd(now), c.roles, delta)
		c.series.last = sample{t: now, v: v}
	}
	p.tick(together, now, out)
	p.last, p.size = now, len(together)
}

// tick finds whether the time since the last sample of a clock series is known.
func (p *process) tick(together []*cursor, now int64, out *tally) {
	if !slices.ContainsFunc(together, func(c *cursor) bool { return c.roles&out.clock != 0 }) {
		return
	}
	if p.ticks != 0 {
		gap := now - p.ticks
		if gap <= p.gaps.limit() {
			out.mark(slotEnd(p.ticks+1)-1, slotEnd(now))
		}
		p.gaps.push(gap)
	}
	p.ticks = now
	out.newest = max(out.newest, now)
}

func (o *tally) add(slot Minute, roles role, events float64) {
	i := int(slot-o.from) - 1
	if roles&roleTotal != 0 {
		o.total[i] += events
	}
	if roles&roleGood != 0 {
		o.good[i] += events
	}
	if roles&roleBad != 0 {
		o.bad[i] += events
	}
}

// slot is the i-th slot: of good, bad and total two are counted, the third
// follows. A bad count that follows is signed, and clamped in sums only.
func (o *tally) slot(i int, counted role) Slot {
	s := Slot{Total: o.total[i], Bad: o.bad[i], Known: o.known[i]}
	switch counted {
	case roleGood | roleTotal:
		s.Bad = o.total[i] - o.good[i]
	case roleGood | roleBad:
		s.Total = o.good[i] + o.bad[i]
	}
	return s
}

// forget drops series and targets that had no sample since a time, so that a
// process that is up for long knows what one that starts now would read.
func (c *counter) forget(before int64) {
	for key, t := range c.targets {
		maps.DeleteFunc(t.series, func(_ string, s *series) bool { return s.last.t <= before })
		if len(t.series) == 0 {
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
			if g := s.process.gaps.usual; g > 0 && (least == 0 || g < least) {
				least = g
			}
		}
	}
	return least
}

// maxScrape is the longest scrape interval that gives known slots.
const maxScrape = 5 * 60 * 1000

// gaps are the last times between scrapes of a process, in milliseconds.
type gaps struct {
	last  [9]int64
	n     int
	usual int64 // the median, which one outage among nine scrapes doesn't move; 0 for none
}

func (g *gaps) push(gap int64) {
	g.last[g.n%len(g.last)] = gap
	g.n++
	sorted := g.last
	known := sorted[:min(g.n, len(sorted))]
	slices.Sort(known)
	g.usual = known[len(known)/2]
}

// limit is how far two samples may be apart for the time between them to be
// known: two scrapes, and a tenth for the jitter of scraping.
func (g *gaps) limit() int64 {
	usual := g.usual
	if usual == 0 || usual > maxScrape {
		usual = maxScrape
	}
	return usual*2 + usual/10
}
