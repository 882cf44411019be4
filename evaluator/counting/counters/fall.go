package counters

import (
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A counter that falls began again, was a momentary dip, or is a sum that lost a
// part. The scrape that shows it decides where it can; otherwise the two after it do.

// verdict is what a fall means, as far as the scrape that shows it proves.
type verdict uint8

const (
	// restarted: the counters began again. Their values count, unless they are
	// back at once.
	restarted verdict = iota + 1
	// unsure: they began again, or samples of two replicas came out of order.
	// Their values count once they are not back.
	unsure
	// reduced: they hold far more than they can have counted since. They dipped, or
	// lost a part. Their values count only if the process began since.
	reduced
	// zeroed: a zero long before is the start of the process, whose past was not
	// scraped, or the last sample of one that seldom comes.
	zeroed
)

// fallen is a counter that fell, until the second scrape after it.
type fallen struct {
	verdict   verdict
	scrapes   uint8   // after the fall
	since, at int64   // times of the samples before the fall and at it
	height    float64 // before the fall
	value     float64 // after it
	counted   float64 // since the fall
	sum       float64 // of the process after the fall
	rate      float64 // as a claim's
}

// deciding is the number of scrapes after a fall that decide it.
const deciding = 2

// sides are the sums of a process' counters at two scrapes in a row, of those that
// fell and of the others.
type sides struct{ was, is, held, on float64 }

// judge finds what it means that counters fell, by what they can have counted since
// the scrape before. near says that the scrapes are closer than usual, gap that some
// are missing between them.
func (s sides) judge(plausible float64, near, gap bool) verdict {
	switch {
	case s.was == 0:
		return 0
	case s.on > plausible: // the process went on
		if s.is <= s.was/2 && s.is <= plausible {
			return restarted
		}
		return reduced
	case s.is > plausible:
		return reduced
	case !gap && (near || s.is >= 0.9*s.was):
		return unsure
	}
	return restarted
}

// back reports whether counters that fell are at their old height again. Those that
// began again may reach it by what they count.
func (p *process) back(together []*cursor, now int64) bool {
	var height, grown, v float64
	began := false
	for _, c := range together {
		f, ok := p.falls[c.raw.Key]
		if !ok || f.verdict == zeroed || now-f.at > p.gaps.Limit() {
			continue
		}
		is := timeline.Rounded(c.samples[0].V)
		height, v, grown = height+f.height, v+is, grown+is-c.series.last.V
		began = began || f.verdict == restarted
	}
	return height > 0 && v >= height && (!began || p.near(now) || grown > p.plausible(now-p.last))
}

// fell notes a fall and counts what is certain of it.
func (p *process) fell(c *cursor, now int64, e evidence, out *counting.Events) float64 {
	last, v := c.series.last, timeline.Rounded(c.samples[0].V)
	f, again := p.falls[c.raw.Key]
	if again {
		f.scrapes++
	} else {
		f.height, f.since = last.V, last.T
	}
	f.verdict, f.at, f.value, f.sum, f.rate = e.verdict, now, v, e.sum, p.rate()
	if e.verdict == restarted {
		f.counted += v
		out.AddFinding(counting.FindReset, c.raw, now, v)
	} else if v > 0 {
		out.AddUnproven(counting.Unproven{Kind: counting.FindReset, Raw: c.raw, At: now, Since: f.since, Seen: now, Value: f.sum, Rate: f.rate, Events: v})
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

// rose counts a counter that fell and is back at its height: nothing twice. If the
// process began since, it counted more.
func (p *process) rose(c *cursor, f fallen, now int64, out *counting.Events) float64 {
	v := timeline.Rounded(c.samples[0].V)
	delta := max(0, v-f.height-f.counted)
	if more := v - c.series.last.V - delta; more > 0 && f.verdict != restarted {
		out.AddUnproven(counting.Unproven{Kind: counting.FindReset, Raw: c.raw, At: now, Since: f.since, Seen: f.at, Value: f.sum, Rate: f.rate, Events: more})
	}
	out.AddFinding(counting.FindDip, c.raw, now, 0)
	delete(p.falls, c.raw.Key)
	return delta
}

// decide decides the falls whose time is over, of the series of a scrape.
func (p *process) decide(together []*cursor, now int64, out *counting.Events) {
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
			out.AddUnproven(f.claim(c.raw, now))
		}
		if f.verdict == unsure {
			p.restarted = max(p.restarted, f.since)
		}
	}
}

// claim is what a fall that was not taken back comes to: its value counts, unless it
// counted when it fell because the process said that it began.
func (f fallen) claim(raw *counting.RawSeries, now int64) counting.Unproven {
	c := counting.Unproven{Kind: counting.FindReset, Raw: raw, At: now, Since: f.since, Seen: f.at, Value: f.sum, Rate: f.rate}
	if f.verdict == unsure {
		c.Fallback = f.value
	} else {
		c.Doubtful, c.Undecided = true, f.value
	}
	return c
}
