package evaluator

import (
	"maps"
	"slices"
	"sort"
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

// target is one scraped process: series that are scraped together.
type target struct {
	series map[string]*series
	last   int64 // time of the last scrape; 0 before the first
	fell   int64 // the process has restarted since this time, by a counter that fell
	ticks  int64 // time of the last sample of a clock series
	gaps   gaps
}

// series is what is remembered of a counter.
type series struct {
	roles role
	last  sample
}

// tally is where a counter puts what it finds.
type tally struct {
	from      Minute // the slots begin here
	total     []float64
	good, bad []float64
	known     []bool      // slots with samples near enough to each other
	before    [][2]Minute // (from, to] that are known, in slots before these
	births    int         // counted from zero, on evidence
	ambiguous int         // births without evidence, counted as nothing
	newest    int64       // time of the newest clock sample, in milliseconds
}

func newTally(from, to Minute) *tally {
	n := int(to - from)
	return &tally{
		from: from, known: make([]bool, n),
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
	for key, t := range c.targets {
		copied := *t
		copied.series = make(map[string]*series, len(t.series))
		for k, s := range t.series {
			remembered := *s
			copied.series[k] = &remembered
		}
		out.targets[key] = &copied
	}
	return out
}

// feed counts the samples of (from, to] into slots.
func (c *counter) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(from, to)
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
		t.feed(byTarget[key], c.clock, out)
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
	known   *series
}

// feed walks over the scrapes of a target. All series of a scrape have the
// same time.
func (t *target) feed(cursors []cursor, clock role, out *tally) {
	for i := range cursors {
		cursors[i].known = t.series[cursors[i].key]
	}
	for {
		now := int64(0)
		for _, c := range cursors {
			if len(c.samples) > 0 && (now == 0 || c.samples[0].t < now) {
				now = c.samples[0].t
			}
		}
		if now == 0 {
			return
		}
		if now <= t.last {
			skip(cursors, now)
			continue
		}
		t.scrape(cursors, now, out)
		t.tick(cursors, clock, now, out)
		t.remember(cursors, now)
	}
}

// skip passes samples of a time that was counted before.
func skip(cursors []cursor, now int64) {
	for i := range cursors {
		if c := &cursors[i]; len(c.samples) > 0 && c.samples[0].t == now {
			c.samples = c.samples[1:]
		}
	}
}

// scrape counts what one scrape brings. A process restarted when one of its
// counters fell: when it did is known as well as when that counter was scraped
// before. A series that was not there at the scrape before was born, and counts
// from zero, when the process restarted since that scrape or when the scrapes
// around are whole: some series is in both, and none ended in between. It was
// born again when it had ended and the process restarted since.
func (t *target) scrape(cursors []cursor, now int64, out *tally) {
	went, came := 0, 0
	for i := range cursors {
		c := &cursors[i]
		if len(c.samples) == 0 || c.samples[0].t != now || c.known == nil {
			continue
		}
		if c.known.last.t == t.last {
			went++
		}
		if c.samples[0].v < c.known.last.v {
			t.fell = max(t.fell, c.known.last.t)
		}
	}
	for _, s := range t.series {
		if s.last.t == t.last {
			came++
		}
	}
	whole := went > 0 && went == came
	for i := range cursors {
		c := &cursors[i]
		if len(c.samples) == 0 || c.samples[0].t != now {
			continue
		}
		v, delta := c.samples[0].v, 0.0
		switch {
		case c.known != nil && (v < c.known.last.v || c.known.last.t < t.last && t.fell >= c.known.last.t):
			delta = v
		case c.known != nil:
			delta = v - c.known.last.v
		case t.last == 0:
			// The first scrape of a target tells nothing of its past.
		case whole || t.fell == t.last:
			delta = v
			out.births++
		case v > 0:
			out.ambiguous++
		}
		out.add(slotEnd(now), c.roles, delta)
	}
}

// remember moves on behind a scrape.
func (t *target) remember(cursors []cursor, now int64) {
	for i := range cursors {
		c := &cursors[i]
		if len(c.samples) == 0 || c.samples[0].t != now {
			continue
		}
		if c.known == nil {
			c.known = &series{}
			t.series[c.key] = c.known
		}
		c.known.roles, c.known.last = c.roles, c.samples[0]
		c.samples = c.samples[1:]
	}
	t.last = now
}

// tick finds whether the time since the last sample of a clock series is known.
func (t *target) tick(cursors []cursor, clock role, now int64, out *tally) {
	if !slices.ContainsFunc(cursors, func(c cursor) bool {
		return c.roles&clock != 0 && len(c.samples) > 0 && c.samples[0].t == now
	}) {
		return
	}
	if t.ticks != 0 {
		gap := now - t.ticks
		if gap <= t.gaps.limit() {
			out.mark(slotEnd(t.ticks+1)-1, slotEnd(now))
		}
		t.gaps.push(gap)
	}
	t.ticks = now
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

// interval is the usual time between two scrapes, the smallest of the targets',
// in milliseconds; 0 when it isn't known.
func (c *counter) interval() int64 {
	least := int64(0)
	for _, t := range c.targets {
		if g := t.gaps.usual(); g > 0 && (least == 0 || g < least) {
			least = g
		}
	}
	return least
}

// maxScrape is the longest scrape interval that gives known slots.
const maxScrape = 5 * 60 * 1000

// gaps are the last times between scrapes of a target, in milliseconds.
type gaps struct {
	last [9]int64
	n    int
}

func (g *gaps) push(gap int64) {
	g.last[g.n%len(g.last)] = gap
	g.n++
}

// usual is the median, which one outage among nine scrapes doesn't move.
func (g *gaps) usual() int64 {
	n := min(g.n, len(g.last))
	if n == 0 {
		return 0
	}
	sorted := slices.Clone(g.last[:n])
	slices.Sort(sorted)
	return sorted[n/2]
}

// limit is how far two samples may be apart for the time between them to be
// known: two scrapes, and a tenth for the jitter of scraping.
func (g *gaps) limit() int64 {
	usual := g.usual()
	if usual == 0 || usual > maxScrape {
		usual = maxScrape
	}
	return usual*2 + usual/10
}
