package evaluator

import (
	"fmt"
	"slices"
)

// lot is events of a slot that may have happened, but that no evidence could decide.
// They are not counted.
type lot struct {
	slot       Minute // its end; of old ones the end of the quarter of an hour
	kind       FindingKind
	counters   int
	total, bad float64
}

// undecided are lots in the order of time.
type undecided []lot

// add notes what a claim leaves undecided.
func (u *undecided) add(c claim) {
	l := lot{slot: slotEnd(c.at), kind: c.kind, counters: 1}
	if c.raw.roles&(roleTotal|roleGood) != 0 {
		l.total = c.undecided
	}
	if c.raw.roles&roleBad != 0 {
		l.bad = c.undecided
	}
	u.merge(l)
}

// merge adds a lot to that of its slot and kind, or takes it in.
func (u *undecided) merge(l lot) {
	all := *u
	at := len(all)
	for at > 0 && all[at-1].slot > l.slot {
		at--
	}
	for i := at - 1; i >= 0 && all[i].slot == l.slot; i-- {
		if all[i].kind == l.kind {
			all[i].counters += l.counters
			all[i].total += l.total
			all[i].bad += l.bad
			return
		}
	}
	*u = slices.Insert(all, at, l)
}

// with are lots together with later ones.
func (u undecided) with(more undecided) undecided {
	out := slices.Clone(u)
	for _, l := range more {
		out.merge(l)
	}
	return out
}

// until are the lots up to an instant.
func (u undecided) until(end Minute) undecided {
	return slices.DeleteFunc(slices.Clone(u), func(l lot) bool { return l.slot > end })
}

// in are the lots in some times, or outside of them.
func (u undecided) in(times []period, inside bool) undecided {
	return slices.DeleteFunc(slices.Clone(u), func(l lot) bool {
		return inside != slices.ContainsFunc(times, func(p period) bool { return l.slot > p.start && l.slot <= p.end })
	})
}

// fold keeps one lot of each kind for a quarter of an hour before an instant, and none
// before start.
func (u *undecided) fold(start, at Minute) {
	at -= at % quarter
	if len(*u) == 0 || (*u)[0].slot > start && ((*u)[0].slot > at || (*u)[0].slot%quarter == 0 && len(*u) == 1) {
		return
	}
	var out undecided
	for _, l := range *u {
		if l.slot <= at {
			l.slot += (quarter - l.slot%quarter) % quarter
		}
		if l.slot > start {
			out.merge(l)
		}
	}
	*u = out
}

// sum adds up the lots of a window, without what is excluded, and finds the first.
func (u undecided) sum(t *Timeline, from, to Minute) (sum, first lot) {
	for _, l := range u {
		if l.slot <= from || l.slot > to || t.Sum(l.slot-1, l.slot).Excluded > 0 {
			continue
		}
		if sum.counters == 0 {
			first = l
		}
		sum.counters += l.counters
		sum.total += l.total
		sum.bad += l.bad
	}
	return sum, first
}

// tolerated is the share of events that may stay undecided without a doubt.
const tolerated = 0.01

// ambiguous is the doubt about an SLO whose counters left more undecided; nil for none.
func (t *track) ambiguous(v *Timeline, end Minute) *Doubt {
	k := t.job.book
	from := ownStart(t.slo.Window, end)
	left, first := k.undecided.with(k.unsettled).sum(v, from, end)
	if left.counters == 0 {
		return nil
	}
	n, of, tooMuch := left.share(v.Sum(from, end))
	if !tooMuch {
		return nil
	}
	what, since := "events", first.slot.Time()
	if n != left.total {
		what = "bad events"
	}
	return &Doubt{Code: DoubtAmbiguous, Since: &since, Message: fmt.Sprintf(
		"ambiguous: %s %s may have happened that are not counted, beside %s that are: counters began again or lost a part %s, and nothing proves which",
		forPeople(n), what, forPeople(of-n), times(left.counters))}
}

// share is how many events of how many are undecided, of all or of the bad ones, where
// the share is larger; and whether it is more than tolerated.
func (l lot) share(sum Sum) (n, of float64, tooMuch bool) {
	n, of = l.total, sum.Total+l.total
	if bad := max(sum.Bad, 0) + l.bad; l.bad*of > n*bad {
		n, of = l.bad, bad
	}
	return n, of, n > tolerated*of
}

// times is how often something happened.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// doubt adds a doubt to a status, and to the reason of a state that has none.
func (s *Status) doubt(d *Doubt) {
	if d == nil {
		return
	}
	s.Doubts = append(s.Doubts, *d)
	slices.SortStableFunc(s.Doubts, func(a, b Doubt) int {
		return slices.Index(DoubtCodes, a.Code) - slices.Index(DoubtCodes, b.Code)
	})
	if s.StateReason == "" {
		s.StateReason = d.Message
	}
}
