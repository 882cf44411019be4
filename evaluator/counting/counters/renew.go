package counters

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A process that says when it began, by its start time, proves that it began again:
// its counters count from zero, whether they are below, equal to or above what they
// were. Gateways that restored their state say so too, and exporters of what others
// count. Their counters hold most of what they held, and far more than a process can
// have counted since.

// life is what is known of a process since it began.
type life struct {
	began   int64   // its start time, by its last sample; 0 when nobody knows
	said    int64   // when it said so last
	changed int64   // when it counted last, or was seen first
	counted float64 // since it began
	still   bool    // it counted nothing since it was seen first
}

// pace is how many events in a millisecond it counted, 0 when nobody knows. What it
// counted longer ago than counters are remembered says nothing.
func (l life) pace(now int64) float64 {
	if l.began == 0 || l.unknown(now) {
		return 0
	}
	return l.counted / float64(max(l.changed-l.began, 1000))
}

// unknown reports whether it counted nothing for as long as it is remembered.
func (l life) unknown(now int64) bool { return l.still || now-l.changed > counting.Memory }

// after is what is known after a scrape that counted so much, of a process whose
// counters hold a sum.
func (l life) after(b beginning, grown float64) life {
	switch {
	case b.last == 0:
		return life{began: b.began, said: b.now, changed: b.now, counted: b.sum, still: true}
	case b.proven():
		return life{began: b.began, said: b.now, changed: b.now, counted: b.sum}
	case b.began != 0 && b.began != l.began:
		switch {
		case l.began == 0 || !counting.StartMoved(l.began, b.began):
		case b.late():
			l.counted = b.sum
		default: // it began again, with what it held
			l.changed, l.counted, l.still = b.now, 0, false
		}
		l.began = b.began
	}
	if b.began != 0 {
		l.said = b.now
	}
	if grown > 0 {
		l.changed, l.counted, l.still = b.now, l.counted+grown, false
	}
	return l
}

// beginning is a process that says that it began since an instant.
type beginning struct {
	life            // before
	began   int64   // its start time now; 0 when nobody knows
	last    int64   // when it was seen last
	now     int64   // when it is seen
	sum     float64 // of what its counters hold
	before  float64 // of what they held
	same    bool    // as before, each of them
	growing float64 // how many events in a millisecond are plausible by what it counted of late; 0 when nothing is known
	sums    bool    // they may hold what counters had that ended without a marker
}

// clockOff is by how much the clock of a host may be wrong, in milliseconds.
const clockOff = 60_000

// claimed reports whether the start time is a new one. One in the future is of a clock
// that is wrong, and says nothing. Nor does one that is older than what was counted last:
// the clock moved, or two processes are scraped in turns.
func (b beginning) claimed() bool {
	switch {
	case b.last == 0 || b.began == 0 || b.began > b.now+clockOff:
		return false
	case b.life.began != 0:
		return counting.StartMoved(b.life.began, b.began) && b.began > b.changed-clockOff && !b.late()
	}
	return b.began > b.last && b.began <= b.now
}

// late reports whether a start time is known later than what was counted since.
func (b beginning) late() bool { return b.changed > b.said && b.began <= b.changed }

// rate is how many events in a millisecond are plausible, 0 when nothing is known.
func (b beginning) rate() float64 { return max(b.growing, 10*b.pace(b.now)) }

// plausible is how much a process may have counted since it began, or since it was seen
// last where its clock is ahead.
func (b beginning) plausible() float64 {
	since := b.now - b.began
	if since < 0 {
		since = b.now - b.last
	}
	return b.rate() * float64(since)
}

// proven reports whether the process began again. A state that was restored holds most
// of what it held. Where nothing is known of what a process counts, what one holds that
// was up for long and holds the same as before may be such a state.
func (b beginning) proven() bool {
	switch {
	case !b.claimed():
		return false
	case b.sum <= b.before/2 && (!b.sums || b.rate() == 0):
		return true
	case b.rate() == 0 && b.unknown(b.now):
		return !b.same || b.life.began == 0 || b.last-b.life.began <= counting.Memory/2
	case b.same:
		return b.sum <= b.plausible()
	}
	return b.sum <= counting.Slack+b.plausible()
}

// doubtful reports whether a process may have begun again, though that is not proven:
// it holds not so much more than it can have counted.
func (b beginning) doubtful() bool {
	if b.life.began != 0 && counting.StartMoved(b.life.began, b.began) && b.late() {
		return true
	}
	return b.claimed() && !b.proven() && (b.rate() == 0 || b.sum <= 10*(counting.Slack+b.plausible()))
}

// beginning is what a scrape says about the start of a process.
func (p *process) beginning(together []*cursor, began int64, sum float64, now int64) beginning {
	b := beginning{life: p.life, began: began, last: p.last, now: now, sum: sum, same: true, growing: p.rate()}
	for _, c := range together {
		b.before += c.series.last.V
		b.same = b.same && c.series.last.T != 0 && c.series.last.V == timeline.Rounded(c.samples[0].V)
	}
	return b
}

// renew counts a scrape of a process that began again.
func (p *process) renew(together []*cursor, b beginning, out *counting.Events) {
	grown := 0.0
	for _, c := range together {
		last, x := c.series.last, backend.Sample{T: b.now, V: timeline.Rounded(c.samples[0].V)}
		if f, open := p.falls[c.raw.Key]; open && f.verdict != restarted && f.verdict != zeroed {
			out.AddUnproven(f.claim(c.raw, b.now))
		}
		delete(p.falls, c.raw.Key)
		out.FindStart(c.raw, last, x)
		out.Rule(c.raw, last, x, x.V, false)
		grown += c.count(b.now, x.V, false, out)
	}
	p.restarted = p.last
	p.scraped(together, b, grown, out)
}

// claimDoubt claims what a counter holds of a process that may have begun again. No
// start time can decide it.
func (c *cursor) claimDoubt(o *counting.Events, now int64) {
	if last := c.series.last; last.T != 0 && last.V > 0 && timeline.Rounded(c.samples[0].V) >= last.V {
		o.AddUnproven(counting.Unproven{Kind: counting.FindRebirth, Raw: c.raw, At: now, Since: now, Seen: now, Doubtful: true, Undecided: last.V})
	}
}

// beginning is what the sums of a target at a boundary say about its start.
func (p presence) beginning(together []*sumCursor, began, now int64) beginning {
	b := beginning{life: p.life, began: began, last: p.at, now: now, same: true, sums: true}
	for _, c := range together {
		v := timeline.Rounded(c.samples[0].V)
		b.sum, b.before, b.growing, b.same = b.sum+v, b.before+c.sum.last.V, b.growing+c.sum.rate(), b.same && c.sum.last.V == v
	}
	return b
}

// linger is a sum that is the same after a restart that changed others of its target.
// Where series end without a marker a backend shows them for some minutes more, so it
// may be that of the process before.
type linger struct {
	at    int64   // the restart; 0 for none
	shown float64 // counted since, of what it grew by
}

// renew is what a sum counts whose target began again.
func (s *targetSum) renew(raw *counting.RawSeries, x backend.Sample, b beginning, out *counting.Events) float64 {
	if f := s.fall; f != nil && f.verdict != restarted {
		out.AddUnproven(f.claim(raw, x.T))
	}
	s.fall = nil
	count := 0.0
	if s.linger.at != 0 { // it was of the process that ended now
		count = s.last.V - s.linger.shown
	}
	if s.linger = (linger{}); !b.same && x.V == s.last.V && s.last.T == x.T-60_000 {
		s.linger.at = x.T
		return count
	}
	out.FindStart(raw, s.last, x)
	return count + x.V
}

// lingered is what a sum counts that may be of the process before: what it grows by,
// and when that is over all that it holds.
func (s *targetSum) lingered(raw *counting.RawSeries, x backend.Sample, out *counting.Events) float64 {
	if x.V >= s.last.V && x.T-s.linger.at < counting.Lookback {
		s.linger.shown += x.V - s.last.V
		return x.V - s.last.V
	}
	count := max(0, x.V-s.linger.shown)
	s.linger = linger{}
	out.AddFinding(counting.FindRebirth, raw, x.T, count)
	return count
}
