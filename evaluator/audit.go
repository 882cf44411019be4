package evaluator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// About once an hour what was counted is audited: an hour as the backend itself counts
// it is held against it, without what is explained by how the two count. A wrong count
// is found so, whatever the reason. The hours lie on a grid, so that all processes
// audit the same ones, also one that has just begun.

const (
	// auditLength is how much time is audited at once, in minutes.
	auditLength = Minute(60)
	// auditsApart is the time between the ends of two such, in minutes. None is
	// in two of them, and what happens at one minute of each hour is not always at an end.
	auditsApart = Minute(67)
	// ripens is how long after its end an hour is known: the slots before a late sample
	// are when it comes.
	ripens = Minute(10)
	// auditedFor is for how long audits count, in minutes.
	auditedFor = Minute(4 * 60)
	// differing is how many audits in a row must differ for a doubt.
	differing = 2
	// differsBy and differsEvents are what an audit must differ by.
	differsBy, differsEvents = 0.05, 10
)

// hour is what a part counted in an hour that is to be audited.
type hour struct {
	to      Minute     // its end
	counted [3]float64 // of good, bad and total
	apart   [3]float64 // of that what the backend counts otherwise for a known reason
	young   [3]float64 // what it may count beside, at the ends of counters
}

// verdicts are what the last audits of a part found, in the order of time.
type verdicts []auditResult

type auditResult struct {
	to      Minute
	failed  bool   // there was no answer
	differs string // how; "" when they agree
}

// of is the result of the audit of an hour; false when there was none.
func (v verdicts) of(to Minute) (auditResult, bool) {
	i := slices.IndexFunc(v, func(r auditResult) bool { return r.to == to })
	if i < 0 {
		return auditResult{}, false
	}
	return v[i], true
}

// phase is where the hours of a meter lie on the grid. Those of meters with the same
// total are the same, and are asked for together.
func phase(m *meter) Minute {
	h := uint32(2166136261) // FNV-1a
	for _, c := range []byte(m.clockText()) {
		h = (h ^ uint32(c)) * 16777619
	}
	return Minute(h % uint32(auditsApart))
}

// auditedBefore is the last end of an hour of the grid at or before an instant.
func auditedBefore(m *meter, at Minute) Minute { return at - (at-phase(m))%auditsApart }

// closeHours keeps the hours that are known since an instant, and the surpluses of
// those that are not.
func (k *book) closeHours(before Minute, found []*tally) {
	for i := range k.parts {
		p, m := &k.parts[i], k.plan.meters[i]
		p.surpluses = p.surpluses.with(found[i].surpluses)
		last := auditedBefore(m, k.settled-ripens)
		if last+ripens > before && auditWayOf(m, p) != "" {
			p.hours = slices.Clone(p.hours)
			for to := auditedBefore(m, max(before-ripens, last-auditedFor)) + auditsApart; to <= last; to += auditsApart {
				if h, ok := k.hour(i, to); ok {
					p.hours = append(p.hours, h)
				}
			}
		}
		if len(p.hours) > 0 && p.hours[0].to <= k.settled-auditedFor {
			p.hours = slices.DeleteFunc(slices.Clone(p.hours), func(h hour) bool { return h.to <= k.settled-auditedFor })
		}
		p.surpluses = p.surpluses.after(k.settled - ripens - auditLength)
	}
}

// hour is that of a part which ends at an instant; false when not all of it is known.
func (k *book) hour(part int, to Minute) (hour, bool) {
	from := to - auditLength
	var sum Slot
	if k.plan.derived() {
		first := from - k.record.from
		if first < 0 || to > k.record.end() {
			return hour{}, false
		}
		for _, all := range k.record.slots[first : first+auditLength] {
			if !all[part].Known {
				return hour{}, false
			}
			sum.Total, sum.Bad = sum.Total+all[part].Total, sum.Bad+all[part].Bad
		}
	} else {
		all := k.timeline.Sum(from, to)
		if from < k.timeline.Start() || !all.Complete() {
			return hour{}, false
		}
		sum.Total, sum.Bad = all.Total, all.Bad
	}
	more := k.parts[part].surpluses.sum(from, to)
	return hour{to, [3]float64{sum.Total - sum.Bad, sum.Bad, sum.Total}, more.by, more.young}, true
}

// audit is that of an hour of a part of a plan.
type audit struct {
	plan    *plan
	part    int
	hour    hour
	queries []query
	way     auditWay
	usual   time.Duration // between two samples
	asked   role          // the counters that it is about
	direct  [3]float64
	err     error
	done    bool
}

// auditLog is what the last audits of each part of a plan found.
type auditLog []verdicts

// due are the audits of a book that were not done: of the newest hours of each part.
func (a auditLog) due(k *book) (out []audit) {
	for i, m := range k.plan.meters {
		p := &k.parts[i]
		for _, h := range p.hours[max(0, len(p.hours)-differing):] {
			if _, known := a.of(i).of(h.to); known {
				continue
			}
			way := auditWayOf(m, p)
			if way == "" {
				continue
			}
			x := audit{plan: k.plan, part: i, hour: h, way: way, usual: time.Duration(p.accounts.interval()) * time.Millisecond}
			if x.queries = k.queriesOf(i)[:len(m.queries)]; way == byHistograms {
				x.queries, x.asked = []query{m.nativeQuery()}, roleGood|roleTotal
			}
			for _, q := range x.queries {
				x.asked |= q.role
			}
			out = append(out, x)
		}
	}
	return out
}

func (a auditLog) of(part int) verdicts {
	if a == nil {
		return nil
	}
	return a[part]
}

// auditsOf are audits of a backend.
type auditsOf struct {
	backend *reader
	audits  []audit
}

// ask asks for audits, for a minute. What is not done then is due again.
func (a *auditsOf) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answerAll(ctx, a.backend, a.audits)
}

// result is what an audit of a backend of some kind found, and what of each counter.
func (a *audit) result(kind string) (r auditResult, outcomes []string) {
	r = auditResult{to: a.hour.to, failed: a.err != nil}
	for i, each := range allRoles {
		switch {
		case a.asked&each == 0:
		case r.failed:
			outcomes = append(outcomes, "failed")
		case a.differs(i, kind):
			r.differs = a.text(i)
			outcomes = append(outcomes, "differs")
		default:
			outcomes = append(outcomes, "agrees")
		}
	}
	return r, outcomes
}

// note is the log of a plan's audits with the result of one of a part, without old ones.
func (a auditLog) note(parts, part int, r auditResult) auditLog {
	if a == nil {
		a = make(auditLog, parts)
	}
	all := slices.DeleteFunc(append(a[part], r), func(x auditResult) bool { return x.to <= r.to-auditedFor })
	slices.SortFunc(all, func(x, y auditResult) int { return int(x.to - y.to) })
	a[part] = all
	return a
}

// differs reports whether what was counted of a role is not what the backend counts.
func (a *audit) differs(r int, kind string) bool {
	counted, direct := a.hour.counted[r], a.direct[r]
	extrapolated := 0.0
	if a.way != bySums { // increase() takes a counter to grow on to the ends of the hour
		extrapolated = math.Abs(direct*a.usual.Minutes()/float64(auditLength)) + math.Abs(a.hour.young[r])
	}
	off := func(expected float64) bool {
		difference := math.Abs(counted - expected)
		return difference > differsEvents && difference > differsBy*max(counted, expected)+extrapolated
	}
	unexplained := off(direct + a.hour.apart[r])
	if kind == kindVictoriaMetrics { // it has a rule of its own for births
		return unexplained && off(direct)
	}
	return unexplained
}

// text says how a role differs.
func (a *audit) text(r int) string {
	of := ""
	if m := a.plan.meters[a.part]; len(a.plan.meters) > 1 {
		of = " of " + m.clockText()
	}
	text := fmt.Sprintf("from %s to %s %s %s events%s were counted, and %s gives %s", clockText(a.hour.to-auditLength), clockText(a.hour.to),
		plainCount(a.hour.counted[r]), allRoles[r].names()[0], of, a.way.function(), plainCount(a.direct[r]+a.hour.apart[r]))
	if a.hour.apart[r] != 0 {
		text += ", births and falls apart"
	}
	return text
}

// doubt is the doubt about a book whose last audits differ.
func (a auditLog) doubt(k *book) *Doubt {
	for i := range a {
		var last []auditResult
		for _, h := range k.parts[i].hours {
			if r, ok := a[i].of(h.to); ok && !r.failed {
				last = append(last, r)
			}
		}
		last = last[max(0, len(last)-differing):]
		if len(last) == differing && !slices.ContainsFunc(last, func(r auditResult) bool { return r.differs == "" }) {
			since := (last[0].to - auditLength).Time()
			return &Doubt{Code: DoubtAudit, Message: last[differing-1].differs, Since: &since}
		}
	}
	return nil
}
