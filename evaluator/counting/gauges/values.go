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

// Values counts slots by the values of an expression at their ends. A slot with values is
// one event, which is bad unless all of them are good.
type Values struct {
	slo.Levels
	eachSlot
	last        map[uint64]backend.Sample // of each series, as long as it is remembered
	late        bool                      // values may be late
	until       int64                     // end of the last slot with values, in milliseconds
	appearances map[uint64]appearances    // of each series with values in the last day
	Paces       []Pace                    // of the values that are fed
	Worst       backend.Sample            // the newest bad value; its time is 0 for none
}

// eachSlot is the part of methods whose samples are values at the ends of slots.
type eachSlot struct{ counting.EachMinute }

// Forget does nothing. Feed forgets.
func (eachSlot) Forget(_, _ int64) {}

// NewValues returns an empty Values.
func NewValues(l slo.Levels) *Values {
	return &Values{Levels: l, last: map[uint64]backend.Sample{}, appearances: map[uint64]appearances{}}
}

// Clone implements counting.Method.
func (v *Values) Clone() counting.Method {
	out := *v
	out.last = maps.Clone(v.last)
	out.appearances = maps.Clone(v.appearances)
	out.late = true
	return &out
}

// SetPaces sets the paces of the values that are fed next.
func (v *Values) SetPaces(paces []Pace) { v.Paces = paces }

// Interval returns how often values are new. For a/b that is as often as the one of the
// two with more samples.
func (v *Values) Interval() int64 {
	if n := len(v.Paces); n > 0 && v.Paces[n-1].Often > Densest {
		return v.Paces[n-1].Often
	}
	return 60_000
}

// Feed implements counting.Method.
func (v *Values) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(counting.RoleTotal, from, to)
	bySlot, nans := valuesBySlot(batch, from, to), nansBySlot(batch)
	for m := from + 1; m <= to; m++ {
		now := m.Millis()
		for _, x := range bySlot[m] {
			if !v.Possible(m.Time(), x.v) {
				continue
			}
			v.last[x.key] = backend.Sample{T: now, V: x.v}
			v.appearances[x.key] = v.appearances[x.key].add(now)
			v.until = now
			out.SeeClock(now)
		}
		bad := false
		for key, s := range v.last {
			if now-s.T > v.Remember().Milliseconds() {
				delete(v.last, key)
				continue
			}
			if !v.Good(m.Time(), s.V) {
				if !bad || s.V > v.Worst.V { // of several the highest, whatever their order
					v.Worst = backend.Sample{T: now, V: s.V}
				}
				bad = true
			}
		}
		known := len(v.last) > 0
		if !known && nans[m] { // the series is present, with nothing to measure
			out.SeeNaN(now)
			if v.until > 0 {
				v.until = now
			}
			continue
		}
		if !known && v.Absent && !v.late && v.until > 0 && now-v.until <= slo.Remembrance.Milliseconds() && !v.waits(now) {
			known, bad = true, true
		}
		if known {
			out.CountEvent(m, bad)
		}
	}
	return out
}

// appearances describes when a series has values.
type appearances struct {
	until int64         // end of the last slot with a value, in milliseconds
	since int64         // end of the first slot of those with values in a row until then
	gaps  counting.Gaps // between such first slots
}

// add returns the state after a slot with a value.
func (s appearances) add(now int64) appearances {
	if now-s.until > 60_000 {
		if s.since != 0 {
			s.gaps.Push(now - s.since)
		}
		s.since = now
	}
	s.until = now
	return s
}

// waits reports whether the next value is not due yet.
//
// If the pace is known, a value of seldom samples lasts until the next, and nothing is
// waited for. Otherwise the values decide. A backend returns the value of a sample at the
// ends of five slots, or six if it is of a whole minute. With fewer values, a scrape
// found the series gone. With more, its samples come more often. Both are gone. For the
// others the next sample is waited for, as long as the last pauses, or after a first one.
func (v *Values) waits(now int64) bool {
	const each = counting.Lookback / 60_000
	if p := PaceAt(v.Paces, timeline.SlotEnd(now)); p.Dense || p.Usual > 0 {
		return false
	}
	waits := false
	for key, s := range v.appearances {
		slots := (s.until-s.since)/60_000 + 1
		switch {
		case now-s.until > counting.Memory:
			delete(v.appearances, key)
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

// valuesBySlot returns the values of series by the ends of slots. Of replicas it uses the
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

// nansBySlot returns the slots at whose ends values are NaN.
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
	eachSlot
	jobs map[uint64]lastRun
}

// lastRun is the state of a job.
type lastRun struct {
	success float64 // time of its last success, in seconds
	seen    int64   // end of the last slot with a value, in milliseconds
}

// NewRuns returns an empty Runs.
func NewRuns(r slo.Runs) *Runs { return &Runs{Runs: r, jobs: map[uint64]lastRun{}} }

// Clone implements counting.Method.
func (r *Runs) Clone() counting.Method { return &Runs{Runs: r.Runs, jobs: maps.Clone(r.jobs)} }

// maxFirstAge is the age up to which the first success of a job counts as a run.
const maxFirstAge = 5 * time.Minute

// Feed implements counting.Method.
func (r *Runs) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(counting.RoleTotal, from, to)
	bySlot := valuesBySlot(batch, from, to)
	remember := (r.Every + r.Grace + slo.Remembrance).Milliseconds()
	for m := from + 1; m <= to; m++ {
		now := m.Millis()
		for _, v := range bySlot[m] {
			if v.v < 0 || v.v > float64(m.Time().Add(slo.Ahead).Unix()) {
				continue
			}
			j, known := r.jobs[v.key]
			if known && v.v > j.success || !known && float64(now)/1000-v.v <= maxFirstAge.Seconds() {
				out.AddTo(m, 1, 0)
			}
			r.jobs[v.key] = lastRun{max(v.v, j.success), now}
			out.SeeClock(now)
		}
		for key, j := range r.jobs {
			if now-j.seen > remember {
				delete(r.jobs, key)
				continue
			}
			missed := r.missed(j.success, m)
			out.AddTo(m, missed, missed)
			out.MarkKnown(m-1, m)
			out.KeepAlive(m)
		}
	}
	return out
}

// missed returns the number of runs that became overdue in a slot, after their grace.
func (r *Runs) missed(success float64, end timeline.Minute) float64 {
	due := func(m timeline.Minute) int64 {
		late := m.Time().Sub(time.Unix(0, int64(success*1e9))) - r.Grace
		return max(int64(late/r.Every), 0)
	}
	return float64(due(end) - due(end-1))
}

// Rates counts events by expressions that return their number in a slot.
type Rates struct {
	eachSlot
	Clock counting.Role
}

// Clone implements counting.Method.
func (r *Rates) Clone() counting.Method { return r }

// Feed implements counting.Method.
func (r *Rates) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := counting.NewEvents(r.Clock, from, to)
	for m, all := range valuesBySlot(batch, from, to) {
		if !slices.ContainsFunc(all, func(v value) bool { return v.raw.Roles&r.Clock != 0 }) {
			continue // without a total there is no share
		}
		if slices.ContainsFunc(all, func(v value) bool { return v.v > backend.MaxCount }) {
			continue // for instance a division by zero: the number is unknown
		}
		for _, v := range all {
			events := max(v.v, 0)
			if v.raw.Weights == nil {
				events = timeline.Rounded(events)
			}
			out.Add(m, v.raw, events)
			if v.raw.Roles&r.Clock != 0 {
				out.MarkKnown(m-1, m)
				out.SeeClock(m.Millis())
			}
		}
	}
	return out
}
