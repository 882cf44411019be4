package counters

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
)

// The start time of a process proves that it restarted. Then its counters count from
// zero, whether they are lower than, equal to or higher than before. But gateways that
// restored their state also report a new start time, and so do exporters that count for
// others. Their counters keep most of their old value, which is far more than a process
// can have counted since its start.

// life describes a process since its start.
type life struct {
	began    int64   // its start time, by its last sample; 0 if unknown
	reported int64   // when it last reported its start time
	changed  int64   // when it last counted, or was first seen
	counted  float64 // events since its start
	still    bool    // it has counted nothing since it was first seen
}

// pace returns the events in a millisecond that it counted, or 0 if unknown. It ignores
// processes that last counted too long ago.
func (l life) pace(now int64) float64 {
	if l.began == 0 || l.unknown(now) {
		return 0
	}
	return l.counted / float64(max(l.changed-l.began, 1000))
}

// unknown reports whether it has counted nothing in the time that is remembered.
func (l life) unknown(now int64) bool { return l.still || now-l.changed > counting.Memory }

// after returns the life after a scrape that counted grown events.
func (l life) after(b beginning, grown float64) life {
	switch {
	case b.last == 0:
		return life{began: b.began, reported: b.now, changed: b.now, counted: b.sum, still: true}
	case b.proven():
		return life{began: b.began, reported: b.now, changed: b.now, counted: b.sum}
	case b.began != 0 && b.began != l.began:
		switch {
		case l.began == 0 || !counting.StartMoved(l.began, b.began):
		case b.late():
			l.counted = b.sum
		default: // it restarted, and kept its values
			l.changed = b.now
			l.counted = 0
			l.still = false
		}
		l.began = b.began
	}
	if b.began != 0 {
		l.reported = b.now
	}
	if grown > 0 {
		l.changed = b.now
		l.counted += grown
		l.still = false
	}
	return l
}

// beginning describes a process that may have restarted, by its start time.
type beginning struct {
	life               // before the scrape
	began      int64   // start time in this scrape; 0 if unknown
	last       int64   // time of the last scrape
	now        int64   // time of this scrape
	sum        float64 // of the counters
	before     float64 // of the counters in the last scrape
	same       bool    // each counter has the same value as before
	recentRate float64 // plausible events in a millisecond, by recent growth; 0 if unknown
	sums       bool    // the counters are sums that may contain counters that ended without a marker
}

// clockOff is the largest expected error of a host's clock, in milliseconds.
const clockOff = 60_000

// isNew reports whether the start time is a new one. A start time in the future comes
// from a wrong clock, and is ignored. So is one before the last count: the clock moved,
// or two processes are scraped in turns.
func (b beginning) isNew() bool {
	switch {
	case b.last == 0 || b.began == 0 || b.began > b.now+clockOff:
		return false
	case b.life.began != 0:
		return counting.StartMoved(b.life.began, b.began) && b.began > b.changed-clockOff && !b.late()
	}
	return b.began > b.last && b.began <= b.now
}

// late reports whether the start time became known only after events that followed it.
func (b beginning) late() bool { return b.changed > b.reported && b.began <= b.changed }

// rate returns the plausible events in a millisecond, or 0 if unknown.
func (b beginning) rate() float64 { return max(b.recentRate, 10*b.pace(b.now)) }

// plausible returns what a process can have counted since its start. If its clock is
// ahead, the last scrape is used instead.
func (b beginning) plausible() float64 {
	since := b.now - b.began
	if since < 0 {
		since = b.now - b.last
	}
	return b.rate() * float64(since)
}

// proven reports whether the process restarted. A process with a restored state keeps
// most of its value. If its usual counts are unknown, a process that ran for long and
// keeps exactly its values may be such a process.
func (b beginning) proven() bool {
	switch {
	case !b.isNew():
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

// doubtful reports whether a process may have restarted without proof: its value is not
// so much higher than it can have counted.
func (b beginning) doubtful() bool {
	if b.life.began != 0 && counting.StartMoved(b.life.began, b.began) && b.late() {
		return true
	}
	return b.isNew() && !b.proven() && (b.rate() == 0 || b.sum <= 10*(counting.Slack+b.plausible()))
}

// beginning returns the evidence of a scrape about the start of a process.
func (p *process) beginning(together []*seriesCursor, began int64, sum float64, now int64) beginning {
	b := beginning{life: p.life, began: began, last: p.last, now: now, sum: sum, same: true, recentRate: p.rate()}
	for _, c := range together {
		b.before += c.state.last.V
		b.same = b.same && c.state.last.T != 0 && c.state.last.V == c.now.V
	}
	return b
}

// renew counts a scrape of a process that restarted.
func (p *process) renew(together []*seriesCursor, b beginning, out *counting.Events) {
	grown := 0.0
	for _, c := range together {
		last, x := c.state.last, c.now
		if f, open := p.falls[c.raw.Key]; open && f.verdict != restarted && f.verdict != zeroed {
			out.AddUnproven(f.unproven(c.raw, b.now))
		}
		delete(p.falls, c.raw.Key)
		out.FindStart(c.raw, last, x)
		grown += p.count(c, counting.Increment{Delta: x.V}, out)
	}
	p.restarted = p.last
	p.scraped(together, b, grown, out)
}

// addDoubt adds the value of a counter as unproven, if its process may have restarted. No
// start time can decide it.
func addDoubt(c *seriesCursor, o *counting.Events, now int64) {
	if last := c.state.last; last.T != 0 && last.V > 0 && c.now.V >= last.V {
		o.AddUnproven(counting.Unproven{Kind: counting.FindRebirth, Raw: c.raw, At: now, Since: now, Seen: now, Doubtful: true, Undecided: last.V})
	}
}

// beginning returns the evidence of a target's sums at a boundary about its start.
func (p presence) beginning(together []*sumCursor, began, now int64) beginning {
	b := beginning{life: p.life, began: began, last: p.at, now: now, same: true, sums: true}
	for _, c := range together {
		b.sum += c.now.V
		b.before += c.state.last.V
		b.recentRate += c.state.rate()
		b.same = b.same && c.state.last.V == c.now.V
	}
	return b
}

// linger is a sum that stayed the same in a restart that changed other sums of its
// target. If series end without a marker, a backend shows them for some minutes. So the
// sum may be that of the process before.
type linger struct {
	at    int64   // time of the restart; 0 for none
	shown float64 // growth counted since
}

// renew counts a sum whose target restarted.
func (s *targetSum) renew(raw *counting.RawSeries, x backend.Sample, b beginning, out *counting.Events) float64 {
	if f := s.fall; f != nil && f.verdict != restarted {
		out.AddUnproven(f.unproven(raw, x.T))
	}
	s.fall = nil
	count := 0.0
	if s.linger.at != 0 { // it was of the process that has now ended
		count = s.last.V - s.linger.shown
	}
	s.linger = linger{}
	if !b.same && x.V == s.last.V && s.last.T == x.T-60_000 {
		s.linger.at = x.T
		return count
	}
	out.FindStart(raw, s.last, x)
	return count + x.V
}

// lingered counts a sum that may be of the process before: its growth, and at the end its
// whole value.
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
