package evaluator

import (
	"maps"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// levels counts slots by the values of an expression at their ends: a slot with
// values is one event, a bad one unless all of them are good.
type levels struct {
	slo.Levels
	last  map[uint64]sample // of each series, as long as it is remembered
	late  bool              // what is fed may not have come yet
	until int64             // the end of the last slot that had values, in milliseconds
	shows map[uint64]shows  // of each series that came in the last day
	paces []pace            // of what is fed
	worst sample            // the newest value that was bad; its time is 0 for none
}

func newLevels(l slo.Levels) *levels {
	return &levels{Levels: l, last: map[uint64]sample{}, shows: map[uint64]shows{}}
}

func (l *levels) clone() accounts {
	out := *l
	out.last, out.shows, out.late = maps.Clone(l.last), maps.Clone(l.shows), true
	return &out
}

func (l *levels) forget(_, _ int64) {} // it does by itself

// interval is how often values are new. Of a/b that is as often as the one of the two
// that has more samples.
func (l *levels) interval() int64 {
	if n := len(l.paces); n > 0 && l.paces[n-1].often > densest {
		return l.paces[n-1].often
	}
	return 60_000
}

func (l *levels) hold(_ []rawSeries, _, settled Minute) Minute { return settled }

func (l *levels) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(roleTotal, from, to)
	bySlot, nans := valuesBySlot(batch, from, to), nansBySlot(batch)
	for m := from + 1; m <= to; m++ {
		now := m.millis()
		for _, v := range bySlot[m] {
			if l.Possible != nil && !l.Possible(m.Time(), v.v) {
				continue
			}
			l.last[v.key] = sample{now, v.v}
			l.shows[v.key] = l.shows[v.key].at(now)
			l.until, out.newest = now, now
		}
		bad := false
		for key, s := range l.last {
			if now-s.t > l.Remember.Milliseconds() {
				delete(l.last, key)
				continue
			}
			if !l.Good(m.Time(), s.v) {
				if !bad || s.v > l.worst.v { // of several the highest, whatever their order
					l.worst = sample{now, s.v}
				}
				bad = true
			}
		}
		known := len(l.last) > 0
		if !known && nans[m] { // it is there, with nothing to measure
			if out.nan = now; l.until > 0 {
				l.until = now
			}
			continue
		}
		if !known && l.Absent && !l.late && l.until > 0 && now-l.until <= slo.Remembrance.Milliseconds() && !l.waits(now) {
			known, bad = true, true
		}
		if known {
			out.event(m, bad)
		}
	}
	return out
}

// failing is the newest value of a threshold that was bad in settled slots.
func (k *book) failing(s *slo.SLO) *Failing {
	if _, is := s.Indicator.(slo.Threshold); !is || len(k.parts) != 1 {
		return nil
	}
	if l, is := k.parts[0].accounts.(*levels); is && l.worst.t != 0 {
		return &Failing{l.worst.v, time.UnixMilli(l.worst.t).UTC()}
	}
	return nil
}

// shows is when a series has values.
type shows struct {
	until int64 // the end of the last slot that had one, in milliseconds
	since int64 // the end of the first slot of those that had some in a row until then
	gaps  gaps  // between such beginnings
}

// at is what is known after a slot with a value.
func (s shows) at(now int64) shows {
	if now-s.until > 60_000 {
		if s.since != 0 {
			s.gaps.push(now - s.since)
		}
		s.since = now
	}
	s.until = now
	return s
}

// waits reports whether the next value is not due yet. Where the pace is known, what
// comes seldom lasts until then, and nothing is waited for. Else the values must say it.
// A backend gives the value of a sample at the ends of five slots, Prometheus 2 of six
// where it is of a whole minute. A series that had values at fewer was found gone by a
// scrape, at more it has samples more often: both are gone. Of the others the next sample
// is waited for, as the last pauses show, or after a first one.
func (l *levels) waits(now int64) bool {
	const each = lookback / 60_000
	if p := paceAt(l.paces, slotEnd(now)); p.dense || p.usual > 0 {
		return false
	}
	waits := false
	for key, s := range l.shows {
		slots := (s.until-s.since)/60_000 + 1
		switch {
		case now-s.until > memory:
			delete(l.shows, key)
		case slots < each || slots > each+1:
			return false
		case now-s.since <= s.gaps.patience() && (s.gaps.usual == 0 || s.gaps.between() > maxScrape):
			waits = true
		}
	}
	return waits
}

// event counts one event in a slot that is known.
func (o *tally) event(end Minute, bad bool) {
	i := end - o.from - 1
	o.known[i] = true
	o.total[i]++
	if bad {
		o.bad[i]++
	}
	o.alive = max(o.alive, end.millis())
}

// value is the value of a series at the end of a slot.
type value struct {
	key uint64
	raw *rawSeries
	v   float64
}

// valuesBySlot are the values of series by the ends of slots, of replicas the
// first.
func valuesBySlot(batch []rawSeries, from, to Minute) map[Minute][]value {
	out := map[Minute][]value{}
	for i := range batch {
		s := &batch[i]
		for _, x := range between(s.samples, from.millis(), to.millis()) {
			m := slotEnd(x.t)
			if !slices.ContainsFunc(out[m], func(v value) bool { return v.key == s.key }) {
				out[m] = append(out[m], value{s.key, s, x.v})
			}
		}
	}
	return out
}

// nansBySlot are the slots at whose ends values are NaN.
func nansBySlot(batch []rawSeries) map[Minute]bool {
	var out map[Minute]bool
	for i := range batch {
		for _, t := range batch[i].nans {
			if out == nil {
				out = map[Minute]bool{}
			}
			out[slotEnd(t)] = true
		}
	}
	return out
}

// runs counts runs of jobs by the time of their last success.
type runs struct {
	slo.Runs
	jobs map[uint64]lastRun
}

// lastRun is what is remembered of a job.
type lastRun struct {
	success float64 // the time of its last success, in seconds
	seen    int64   // the end of the last slot in which it was there, in milliseconds
}

func newRuns(r slo.Runs) *runs { return &runs{Runs: r, jobs: map[uint64]lastRun{}} }

func (r *runs) clone() accounts { return &runs{Runs: r.Runs, jobs: maps.Clone(r.jobs)} }

func (r *runs) forget(_, _ int64) {} // it does by itself

func (r *runs) interval() int64 { return 60_000 }

func (r *runs) hold(_ []rawSeries, _, settled Minute) Minute { return settled }

// justNow is how old the first success that is seen of a job may be for it to
// count as a run that was seen.
const justNow = 5 * time.Minute

func (r *runs) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(roleTotal, from, to)
	bySlot := valuesBySlot(batch, from, to)
	remember := (r.Every + r.Grace + slo.Remembrance).Milliseconds()
	for m := from + 1; m <= to; m++ {
		i, now := m-from-1, m.millis()
		for _, v := range bySlot[m] {
			if v.v < 0 || v.v > float64(m.Time().Add(slo.Ahead).Unix()) {
				continue
			}
			j, known := r.jobs[v.key]
			if known && v.v > j.success || !known && float64(now)/1000-v.v <= justNow.Seconds() {
				out.total[i]++
			}
			r.jobs[v.key] = lastRun{max(v.v, j.success), now}
			out.newest = now
		}
		for key, j := range r.jobs {
			if now-j.seen > remember {
				delete(r.jobs, key)
				continue
			}
			missed := r.missed(j.success, m)
			out.total[i] += missed
			out.bad[i] += missed
			out.known[i], out.alive = true, now
		}
	}
	return out
}

// missed is how many runs after a success were due, and their grace over, in a
// slot.
func (r *runs) missed(success float64, end Minute) float64 {
	due := func(m Minute) int64 {
		late := m.Time().Sub(time.Unix(0, int64(success*1e9))) - r.Grace
		return max(int64(late/r.Every), 0)
	}
	return float64(due(end) - due(end-1))
}

// rates counts events by expressions that give their number in a slot.
type rates struct{ clock role }

func (r *rates) clone() accounts { return r }

func (r *rates) forget(_, _ int64) {}

func (r *rates) interval() int64 { return 60_000 }

func (r *rates) hold(_ []rawSeries, _, settled Minute) Minute { return settled }

func (r *rates) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(r.clock, from, to)
	for m, all := range valuesBySlot(batch, from, to) {
		if !slices.ContainsFunc(all, func(v value) bool { return v.raw.roles&r.clock != 0 }) {
			continue // of nothing there is no part
		}
		if slices.ContainsFunc(all, func(v value) bool { return v.v > maxCount }) {
			continue // such as what is divided by nothing: nobody knows how many
		}
		for _, v := range all {
			events := max(v.v, 0)
			if v.raw.weights == nil {
				events = rounded(events)
			}
			out.add(m, v.raw, events)
			if v.raw.roles&r.clock != 0 {
				out.known[m-from-1] = true
				out.newest = max(out.newest, m.millis())
			}
		}
	}
	return out
}
