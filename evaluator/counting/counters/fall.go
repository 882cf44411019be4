package counters

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
)

// A counter that falls restarted, dipped for a moment, or is a sum that lost a part. The
// scrape that shows the fall decides it if it can. Otherwise the next two scrapes decide
// it.

// verdict is the meaning of a fall, as far as the scrape that shows it proves.
type verdict uint8

const (
	// restarted: the counters restarted. Their values count, unless the old values are
	// back at once.
	restarted verdict = iota + 1
	// unsure: the counters restarted, or samples of two replicas came out of order. Their
	// values count once the old values have not come back.
	unsure
	// reduced: the counters are far higher than they can have counted since. They dipped,
	// or lost a part. Their values count only if the process began since.
	reduced
	// zeroed: a zero long ago is the start of the process, which was not scraped in
	// between, or the last sample of a process whose samples come seldom.
	zeroed
)

// fallen is a counter that fell, until the second scrape after the fall.
type fallen struct {
	verdict   verdict
	scrapes   uint8   // after the fall
	since, at int64   // times of the samples before the fall and at it
	height    float64 // value before the fall
	value     float64 // value at the fall
	counted   float64 // events counted since the fall
	sum       float64 // sum of the process at the fall
	rate      float64 // Rate of its Unproven
}

// deciding is the number of scrapes after a fall that decide it.
const deciding = 2

// sides contains the sums of a process' counters at two scrapes in a row: of those that
// fell, and of the others.
type sides struct{ fellFrom, fellTo, othersFrom, othersTo float64 }

// judge returns the verdict about counters that fell. plausible is how much they can have
// counted since the scrape before. near means that the scrapes are closer than usual, gap
// that some between them are missing.
func (s sides) judge(plausible float64, near, gap bool) verdict {
	switch {
	case s.fellFrom == 0:
		return 0
	case s.othersTo > plausible: // the process did not restart
		if s.fellTo <= s.fellFrom/2 && s.fellTo <= plausible {
			return restarted
		}
		return reduced
	case s.fellTo > plausible:
		return reduced
	case !gap && (near || s.fellTo >= 0.9*s.fellFrom):
		return unsure
	}
	return restarted
}

// back reports whether counters that fell are at their old height again. Counters that
// restarted may reach it by counting.
func (p *process) back(together []*seriesCursor, now int64) bool {
	var height, grown, v float64
	began := false
	for _, c := range together {
		f, ok := p.falls[c.raw.Key]
		if !ok || f.verdict == zeroed || now-f.at > p.gaps.Limit() {
			continue
		}
		height += f.height
		v += c.now.V
		grown += c.now.V - c.state.last.V
		began = began || f.verdict == restarted
	}
	return height > 0 && v >= height && (!began || p.near(now) || grown > p.plausible(now-p.last))
}

// fell records a fall, and returns the events that are certain.
func (p *process) fell(c *seriesCursor, now int64, e evidence, out *counting.Events) float64 {
	last, v := c.state.last, c.now.V
	f, again := p.falls[c.raw.Key]
	if again {
		f.scrapes++
	} else {
		f.height, f.since = last.V, last.T
	}
	f.verdict = e.verdict
	f.at = now
	f.value = v
	f.sum = e.sum
	f.rate = p.rate()
	if e.verdict == restarted {
		f.counted += v
		out.AddFinding(counting.FindReset, c.raw, now, v)
	} else if v > 0 {
		claim := f.claim(c.raw, now)
		claim.Events = v
		out.AddUnproven(claim)
	}
	p.remember(c.raw.Key, f)
	if e.verdict == restarted {
		return v
	}
	return 0
}

func (p *process) remember(key uint64, f fallen) {
	if p.falls == nil {
		p.falls = map[uint64]fallen{}
	}
	p.falls[key] = f
}

// rose counts a counter that fell and is back at its height, so that nothing counts
// twice. If the process restarted in between, it counted more. last is the value before.
func (f fallen) rose(raw *counting.RawSeries, last float64, x backend.Sample, out *counting.Events) float64 {
	delta := max(0, x.V-f.height-f.counted)
	if more := x.V - last - delta; more > 0 && f.verdict != restarted {
		c := f.claim(raw, x.T)
		c.Events = more
		out.AddUnproven(c)
	}
	out.AddFinding(counting.FindDip, raw, x.T, 0)
	return delta
}

// decide resolves the falls of the series of a scrape whose time is over.
func (p *process) decide(together []*seriesCursor, now int64, out *counting.Events) {
	for _, c := range together {
		f, ok := p.falls[c.raw.Key]
		if !ok {
			continue
		}
		if f.at != now {
			f.scrapes++
		}
		if f.scrapes < deciding && now-f.at <= p.gaps.Limit() {
			p.falls[c.raw.Key] = f
			continue
		}
		delete(p.falls, c.raw.Key)
		p.lose(c.raw.Key, f)
		if f.verdict != restarted {
			out.AddUnproven(f.unproven(c.raw, now))
		}
		if f.verdict == unsure {
			p.restarted = max(p.restarted, f.since)
		}
	}
}

// unproven returns the events of a fall that was not taken back. Its value counts, unless
// it counted at the fall because the start time proved a restart.
func (f fallen) unproven(raw *counting.RawSeries, now int64) counting.Unproven {
	c := f.claim(raw, now)
	if f.verdict == unsure {
		c.Fallback = f.value
	} else {
		c.Doubtful, c.Undecided = true, f.value
	}
	return c
}

// claim returns an unproven count of no events: the process may have restarted at the fall.
func (f fallen) claim(raw *counting.RawSeries, now int64) counting.Unproven {
	return counting.Unproven{Kind: counting.FindReset, Raw: raw, At: now, Since: f.since, Seen: f.at, Value: f.sum, Rate: f.rate}
}
