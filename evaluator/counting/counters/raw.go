package counters

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Raw turns samples of counters into events per slot. It remembers each
// series' last sample, so that no delta is lost between two reads or over a gap.
// How births, rebirths and resets count follows the rules that docs/explanation/counting.md
// gives, with the evidence each needs.
type Raw struct {
	clock    counting.Role // the roles whose samples make a slot known
	targets  map[string]*target
	Recorder *counting.Recorder // nil but for Explain
	Rulings  *counting.Rulings  // of what is split into groups; else nil
	Followed *counting.Rulings  // for the next feed of a group; else nil
	starts   counting.Starts    // for the next feed
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

// series is what is remembered of a counter.
type series struct {
	process *process
	last    backend.Sample // its time is 0 before the first
}

// NewRaw makes a Raw that has seen nothing; samples of clock tell which slots are known.
func NewRaw(clock counting.Role) *Raw {
	return &Raw{clock: clock, targets: map[string]*target{}}
}

// Clone is a copy to try unsettled samples on.
func (c *Raw) Clone() counting.Method {
	out := &Raw{clock: c.clock, targets: make(map[string]*target, len(c.targets)), Recorder: c.Recorder, Rulings: c.Rulings.Clone()}
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

// Feed counts the samples of (from, to] into slots.
func (c *Raw) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(c.clock, from, to)
	out.Recorder, out.Rulings, out.Followed, out.Starts = c.Recorder, c.Rulings, c.Followed, c.starts
	c.Rulings.Extend(from.Millis(), to.Millis())
	c.Followed, c.starts = nil, nil
	byTarget := map[string][]cursor{}
	for i := range batch {
		s := &batch[i]
		samples := backend.Between(s.Samples, from.Millis(), to.Millis())
		if len(samples) > 0 {
			byTarget[s.Target] = append(byTarget[s.Target], cursor{raw: s, samples: samples})
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

// cursor walks over the samples of a series.
type cursor struct {
	raw     *counting.RawSeries
	samples []backend.Sample
	series  *series
}

// feed walks over the scrapes of a target.
func (t *target) feed(cursors []cursor, out *counting.Events) {
	slices.SortFunc(cursors, func(a, b cursor) int { return labels.Compare(a.raw.Labels, b.raw.Labels) })
	var together []*cursor // those with a sample at now
	for {
		now := int64(math.MaxInt64)
		together = together[:0]
		for i := range cursors {
			c := &cursors[i]
			if len(c.samples) == 0 || c.samples[0].T > now {
				continue
			}
			if c.samples[0].T < now {
				now, together = c.samples[0].T, together[:0]
			}
			together = append(together, c)
		}
		if len(together) == 0 {
			return
		}
		if replica := firstReplica(together); t.follows(replica, now) {
			t.scrape(slices.DeleteFunc(slices.Clone(together), func(c *cursor) bool { return c.raw.Replica != replica }), now, out)
		}
		for _, c := range together {
			c.samples = c.samples[1:]
		}
	}
}

// scrape counts what one scrape of a target brings.
func (t *target) scrape(together []*cursor, now int64, out *counting.Events) {
	if t.series == nil || now-t.last > counting.Memory { // it is as if it were new
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
	first := together[0].raw.Replica
	for _, c := range together {
		first = min(first, c.raw.Replica)
	}
	return first
}

// follows chooses of the replicas of a Prometheus that scrape a target the first
// in order of those whose samples come. Two that take turns would see a counter
// fall, because neither is as late as the other.
func (t *target) follows(replica string, now int64) bool {
	since := now - t.last
	if t.last != 0 && since <= counting.Memory && (replica != t.replica || t.better != 0) {
		usual := t.usual()
		soon := usual * 11 / 10 // when the next sample of a replica should be there
		switch {
		case replica == t.replica:
			if now-t.better <= soon {
				return false
			}
		case usual == 0:
			if since <= counting.MaxScrape {
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
		most = max(most, s.process.gaps.Usual)
	}
	return most
}

// admit gives each new series of a scrape its process: that of the first series
// known from before, or one of its own.
func (t *target) admit(together []*cursor, now int64) {
	var home *process
	for _, c := range together {
		c.series = t.series[c.raw.Key]
		if c.series != nil && now-c.series.last.T > counting.Memory { // it is as if it were new
			delete(c.series.process.falls, c.raw.Key)
			c.series.process.forgetLost(c.raw.Key)
			delete(t.series, c.raw.Key)
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
			t.series[c.raw.Key] = c.series
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

// Forget drops what had no sample for so long that it is not remembered.
func (c *Raw) Forget(now, before int64) {
	for key, t := range c.targets {
		maps.DeleteFunc(t.series, func(key uint64, s *series) bool {
			if s.last.T > before {
				return false
			}
			delete(s.process.falls, key)
			s.process.forgetLost(key)
			return true
		})
		if now-t.last > counting.Memory || len(t.series) == 0 {
			delete(c.targets, key)
		}
	}
}

// Interval is the usual time between two scrapes, the smallest of the processes',
// in milliseconds; 0 when it isn't known.
func (c *Raw) Interval() int64 {
	least := int64(0)
	for _, t := range c.targets {
		for _, s := range t.series {
			if between := s.process.gaps.Interval(); between > 0 && (least == 0 || between < least) {
				least = between
			}
		}
	}
	return least
}

// Hold is the instant up to which slots can be settled at an end: not behind
// the last sample of targets whose samples come late.
func (c *Raw) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	w := counting.Waiting{End: end.Millis()}
	newest := map[string]int64{}
	for key, t := range c.targets {
		newest[key] = t.last
	}
	for i := range batch {
		s := &batch[i]
		if n := len(s.Samples); n > 0 && s.Roles&c.clock != 0 {
			newest[s.Target] = max(newest[s.Target], s.Samples[n-1].T)
		}
	}
	for key, last := range newest {
		w.Add(last, c.between(key), settled)
	}
	return w.Hold(settled)
}

// between is the usual time between two samples of a target, 0 when it isn't known.
func (c *Raw) between(key string) int64 {
	most := int64(0)
	if t := c.targets[key]; t != nil {
		for _, s := range t.series {
			most = max(most, s.process.gaps.Interval())
		}
	}
	return most
}
