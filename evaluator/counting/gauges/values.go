package gauges

import (
	"maps"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Values counts slots by the values of an expression at their ends: a slot with
// values is one event, a bad one unless all of them are good.
type Values struct {
	slo.Levels
	last  map[uint64]backend.Sample // of each series, as long as it is remembered
	late  bool                      // what is fed may not have come yet
	until int64                     // the end of the last slot that had values, in milliseconds
	shows map[uint64]shows          // of each series that came in the last day
	Paces []Pace                    // of what is fed
	Worst backend.Sample            // the newest value that was bad; its time is 0 for none
}

// NewValues makes Values that have seen nothing.
func NewValues(l slo.Levels) *Values {
	return &Values{Levels: l, last: map[uint64]backend.Sample{}, shows: map[uint64]shows{}}
}

// Clone implements counting.Method.
func (l *Values) Clone() counting.Method {
	out := *l
	out.last, out.shows, out.late = maps.Clone(l.last), maps.Clone(l.shows), true
	return &out
}

// Forget implements counting.Method.
func (l *Values) Forget(_, _ int64) {} // it does by itself

// Interval is how often values are new. Of a/b that is as often as the one of the two
// that has more samples.
func (l *Values) Interval() int64 {
	if n := len(l.Paces); n > 0 && l.Paces[n-1].Often > Densest {
		return l.Paces[n-1].Often
	}
	return 60_000
}

// Hold implements counting.Method.
func (l *Values) Hold(_ []counting.RawSeries, _, settled timeline.Minute) timeline.Minute {
	return settled
}

// Feed implements counting.Method.
func (l *Values) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(counting.RoleTotal, from, to)
	bySlot, nans := valuesBySlot(batch, from, to), nansBySlot(batch)
	for m := from + 1; m <= to; m++ {
		now := m.Millis()
		for _, v := range bySlot[m] {
			if l.Possible != nil && !l.Possible(m.Time(), v.v) {
				continue
			}
			l.last[v.key] = backend.Sample{T: now, V: v.v}
			l.shows[v.key] = l.shows[v.key].at(now)
			l.until, out.Newest = now, now
		}
		bad := false
		for key, s := range l.last {
			if now-s.T > l.Remember.Milliseconds() {
				delete(l.last, key)
				continue
			}
			if !l.Good(m.Time(), s.V) {
				if !bad || s.V > l.Worst.V { // of several the highest, whatever their order
					l.Worst = backend.Sample{T: now, V: s.V}
				}
				bad = true
			}
		}
		known := len(l.last) > 0
		if !known && nans[m] { // it is there, with nothing to measure
			if out.NewestNaN = now; l.until > 0 {
				l.until = now
			}
			continue
		}
		if !known && l.Absent && !l.late && l.until > 0 && now-l.until <= slo.Remembrance.Milliseconds() && !l.waits(now) {
			known, bad = true, true
		}
		if known {
			out.CountEvent(m, bad)
		}
	}
	return out
}

// shows is when a series has values.
type shows struct {
	until int64         // the end of the last slot that had one, in milliseconds
	since int64         // the end of the first slot of those that had some in a row until then
	gaps  counting.Gaps // between such beginnings
}

// at is what is known after a slot with a value.
func (s shows) at(now int64) shows {
	if now-s.until > 60_000 {
		if s.since != 0 {
			s.gaps.Push(now - s.since)
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
func (l *Values) waits(now int64) bool {
	const each = counting.Lookback / 60_000
	if p := PaceAt(l.Paces, timeline.SlotEnd(now)); p.Dense || p.Usual > 0 {
		return false
	}
	waits := false
	for key, s := range l.shows {
		slots := (s.until-s.since)/60_000 + 1
		switch {
		case now-s.until > counting.Memory:
			delete(l.shows, key)
		case slots < each || slots > each+1:
			return false
		case now-s.since <= s.gaps.Patience() && (s.gaps.Usual == 0 || s.gaps.Interval() > counting.MaxScrape):
			waits = true
		}
	}
	return waits
}

// value is the value of a series at the end of a slot.
type value struct {
	key uint64
	raw *counting.RawSeries
	v   float64
}

// valuesBySlot are the values of series by the ends of slots, of replicas the
// first.
func valuesBySlot(batch []counting.RawSeries, from, to timeline.Minute) map[timeline.Minute][]value {
	out := map[timeline.Minute][]value{}
	for i := range batch {
		s := &batch[i]
		for _, x := range backend.Between(s.Samples, from.Millis(), to.Millis()) {
			m := timeline.SlotEnd(x.T)
			if !slices.ContainsFunc(out[m], func(v value) bool { return v.key == s.Key }) {
				out[m] = append(out[m], value{s.Key, s, x.V})
			}
		}
	}
	return out
}

// nansBySlot are the slots at whose ends values are NaN.
func nansBySlot(batch []counting.RawSeries) map[timeline.Minute]bool {
	var out map[timeline.Minute]bool
	for i := range batch {
		for _, t := range batch[i].NaNs {
			if out == nil {
				out = map[timeline.Minute]bool{}
			}
			out[timeline.SlotEnd(t)] = true
		}
	}
	return out
}

// Runs counts runs of jobs by the time of their last success.
type Runs struct {
	slo.Runs
	jobs map[uint64]lastRun
}

// lastRun is what is remembered of a job.
type lastRun struct {
	success float64 // the time of its last success, in seconds
	seen    int64   // the end of the last slot in which it was there, in milliseconds
}

// NewRuns makes Runs that have seen no job.
func NewRuns(r slo.Runs) *Runs { return &Runs{Runs: r, jobs: map[uint64]lastRun{}} }

// Clone implements counting.Method.
func (r *Runs) Clone() counting.Method { return &Runs{Runs: r.Runs, jobs: maps.Clone(r.jobs)} }

// Forget implements counting.Method.
func (r *Runs) Forget(_, _ int64) {} // it does by itself

// Interval implements counting.Method.
func (r *Runs) Interval() int64 { return 60_000 }

// Hold implements counting.Method.
func (r *Runs) Hold(_ []counting.RawSeries, _, settled timeline.Minute) timeline.Minute {
	return settled
}

// justNow is how old the first success that is seen of a job may be for it to
// count as a run that was seen.
const justNow = 5 * time.Minute

// Feed implements counting.Method.
func (r *Runs) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(counting.RoleTotal, from, to)
	bySlot := valuesBySlot(batch, from, to)
	remember := (r.Every + r.Grace + slo.Remembrance).Milliseconds()
	for m := from + 1; m <= to; m++ {
		i, now := m-from-1, m.Millis()
		for _, v := range bySlot[m] {
			if v.v < 0 || v.v > float64(m.Time().Add(slo.Ahead).Unix()) {
				continue
			}
			j, known := r.jobs[v.key]
			if known && v.v > j.success || !known && float64(now)/1000-v.v <= justNow.Seconds() {
				out.Total[i]++
			}
			r.jobs[v.key] = lastRun{max(v.v, j.success), now}
			out.Newest = now
		}
		for key, j := range r.jobs {
			if now-j.seen > remember {
				delete(r.jobs, key)
				continue
			}
			missed := r.missed(j.success, m)
			out.Total[i] += missed
			out.Bad[i] += missed
			out.Known[i], out.AliveUntil = true, now
		}
	}
	return out
}

// missed is how many runs after a success were due, and their grace over, in a
// slot.
func (r *Runs) missed(success float64, end timeline.Minute) float64 {
	due := func(m timeline.Minute) int64 {
		late := m.Time().Sub(time.Unix(0, int64(success*1e9))) - r.Grace
		return max(int64(late/r.Every), 0)
	}
	return float64(due(end) - due(end-1))
}

// Rates counts events by expressions that give their number in a slot.
type Rates struct{ Clock counting.Role }

// Clone implements counting.Method.
func (r *Rates) Clone() counting.Method { return r }

// Forget implements counting.Method.
func (r *Rates) Forget(_, _ int64) {}

// Interval implements counting.Method.
func (r *Rates) Interval() int64 { return 60_000 }

// Hold implements counting.Method.
func (r *Rates) Hold(_ []counting.RawSeries, _, settled timeline.Minute) timeline.Minute {
	return settled
}

// Feed implements counting.Method.
func (r *Rates) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(r.Clock, from, to)
	for m, all := range valuesBySlot(batch, from, to) {
		if !slices.ContainsFunc(all, func(v value) bool { return v.raw.Roles&r.Clock != 0 }) {
			continue // of nothing there is no part
		}
		if slices.ContainsFunc(all, func(v value) bool { return v.v > backend.MaxCount }) {
			continue // such as what is divided by nothing: nobody knows how many
		}
		for _, v := range all {
			events := max(v.v, 0)
			if v.raw.Weights == nil {
				events = timeline.Rounded(events)
			}
			out.Add(m, v.raw, events)
			if v.raw.Roles&r.Clock != 0 {
				out.Known[m-from-1] = true
				out.Newest = max(out.Newest, m.Millis())
			}
		}
	}
	return out
}
