package evaluator

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"
)

// Once an hour each ledger that counts counters is audited: the newest settled hour as
// the backend's own increase() gives it is held against what was counted, without what
// is explained by how the two count. Who counts wrong is seen so, whatever the reason.
// Groups sum to their whole, as it was judged once: its audits are theirs.

// surplus is what was counted in a slot beyond what increase() counts there, and why
// that is right is known: births, and falls.
type surplus struct {
	slot Minute
	by   [3]float64 // of good, bad and total
}

// surpluses are such in the order of time.
type surpluses []surplus

func (a *surpluses) add(slot Minute, raw *rawSeries, events float64) {
	if events == 0 {
		return
	}
	i := len(*a) - 1
	if i < 0 || (*a)[i].slot != slot {
		*a = append(*a, surplus{slot: slot})
		i++
	}
	for r, each := range allRoles {
		if raw.roles&each == 0 {
			continue
		}
		if raw.weights != nil {
			(*a)[i].by[r] += events * raw.weights[r]
		} else {
			(*a)[i].by[r] += events
		}
	}
}

// with adds those of newer slots, and forgets what no audit asks for any more.
func (a surpluses) with(more surpluses, settled Minute) surpluses {
	a = append(a, more...)
	return slices.DeleteFunc(a, func(x surplus) bool { return x.slot <= settled-2*auditLength })
}

func (a surpluses) sum(from, to Minute, r int) float64 {
	sum := 0.0
	for _, x := range a {
		if x.slot > from && x.slot <= to {
			sum += x.by[r]
		}
	}
	return sum
}

// explained is what a sample counts beyond what increase() counts by it, as far as
// there is a reason: the first sample of a series, and one that is lower than the last
// or belongs to such a fall.
func explained(last sample, v, delta float64, fell bool) float64 {
	switch {
	case last.t == 0:
		return delta
	case v < last.v:
		return delta - v
	case fell:
		return delta - (v - last.v)
	}
	return max(delta-(v-last.v), 0)
}

const (
	// auditLength is how long the time is that is auditLength, in minutes.
	auditLength = Minute(60)
	// differing is how many audits in a row must differ for a doubt.
	differing = 2
	// differsBy and differsEvents are what an audit must differ by.
	differsBy, differsEvents = 0.05, 10
	// auditsApart is how much later in the hour the next audit is, so that what happens
	// at one minute of each hour is not always at the edge of what is audited.
	auditsApart = Minute(17)
)

// auditState is what the last audits of a ledger said.
type auditState struct {
	all    streak    // of audits of which any counter differs
	byRole [3]streak // of those of a counter
	said   string    // by the last of them
}

// streak are audits in a row that differ.
type streak struct {
	n     int
	since Minute // where the first of them begins
	last  Minute // where the last ends
}

// push adds an audit. Of one time all that differ are one.
func (s *streak) push(from, to Minute, differs bool) {
	switch {
	case !differs && s.last != to:
		*s = streak{}
	case !differs || s.last == to:
	case s.n == 0:
		*s = streak{1, from, to}
	default:
		s.n, s.last = s.n+1, to
	}
}

// auditDue reports whether a ledger's audit is due in a slot. Those of the same total
// are due together, and ask for it once.
func (l *ledger) auditDue(end Minute) bool {
	h := fnv.New32a()
	h.Write([]byte(l.meters[0].clockText()))
	return (end-Minute(h.Sum32()%60)-end/60*auditsApart)%60 == 0
}

// audit is one that is to be done, or was done.
type audit struct {
	ledger   *ledger
	from, to Minute
	role     int
	nested   bool // its counters are among others of the ledger
	counted  float64
	apart    float64
	query    string
	direct   float64
	err      error
}

// inTurns are the audits of one hour: where counters hold others, each second hour
// those of the total, which others share, and in the hours between one of the others.
// So audits load no sample twice.
func inTurns(all []audit) []audit {
	parts := map[string][]string{} // of a total, the queries of what it holds
	for _, a := range all {
		if total := a.ledger.meters[0].clockText(); a.nested && allRoles[a.role] != roleTotal && !slices.Contains(parts[total], a.query) {
			parts[total] = append(parts[total], a.query)
		}
	}
	return slices.DeleteFunc(all, func(a audit) bool {
		hour, queries := int(a.to/60), parts[a.ledger.meters[0].clockText()]
		switch isTotal := allRoles[a.role] == roleTotal; {
		case !a.nested:
			return false
		case hour%2 == 0 || isTotal:
			return hour%2 != 0 || !isTotal
		default:
			return a.query != queries[hour/2%len(queries)]
		}
	})
}

// auditOf is what to ask about a ledger; false for nothing.
func (l *ledger) auditOf() ([]audit, bool) {
	k, m := l.book, l.meters[0]
	_, isCounter := k.parts[0].accounts.(*counter)
	to := k.settled
	sum := k.timeline.Sum(to-auditLength, to)
	if !isCounter || m.ofGroup() || l.derived() || m.native != nil && k.parts[0].native || !sum.Complete() || to-auditLength < k.timeline.Start() || k.timeline.seldom > 0 {
		return nil, false
	}
	counted := [3]float64{sum.Total - sum.Bad, sum.Bad, sum.Total}
	var out []audit
	for i, r := range allRoles {
		var grown []string
		for _, q := range m.queries {
			if q.weight != 1 {
				return nil, false
			}
			if q.role == r {
				grown = append(grown, "("+l.backend.increase(q.selector, auditLength)+" or vector(0))")
			}
		}
		if len(grown) > 0 {
			out = append(out, audit{ledger: l, from: to - auditLength, to: to, role: i, counted: counted[i], apart: k.surpluses.sum(to-auditLength, to, i), query: strings.Join(grown, " + ")})
		}
	}
	nested := len(largest(selectors(m.queries))) < len(out)
	for i := range out {
		out[i].nested = nested
	}
	return out, len(out) > 0
}

// audit asks the backend for the audits that are due, beside its cycles. One that is
// still under way, or a backend that is down, leaves them out.
func (e *Evaluator) audit(parent context.Context, b *backend, ledgers []*ledger, end Minute) {
	if b.auditing || b.down != nil || b.stale != nil {
		return
	}
	var due []audit
	for _, l := range ledgers {
		if l.err == nil && l.book != nil && !l.preview && l.auditDue(end) {
			if one, ok := l.auditOf(); ok {
				due = append(due, one...)
			}
		}
	}
	if due = inTurns(due); len(due) == 0 {
		return
	}
	b.auditing = true
	e.started.Go(func() {
		ctx, cancel := context.WithTimeout(parent, time.Minute)
		defer cancel()
		b.answerAll(ctx, due)
		select {
		case e.audits <- auditsOf{b, due}:
		case <-parent.Done():
		}
	})
}

// auditsOf are audits that were done.
type auditsOf struct {
	backend *backend
	audits  []audit
}

// answerAll asks the questions of audits, each once.
func (b *backend) answerAll(ctx context.Context, due []audit) {
	type question struct {
		query string
		to    Minute
	}
	known := map[question]*audit{}
	for i := range due {
		a := &due[i]
		if same := known[question{a.query, a.to}]; same != nil {
			a.direct, a.err = same.direct, same.err
			continue
		}
		b.answer(ctx, a)
		known[question{a.query, a.to}] = a
	}
}

// answer asks the question of an audit.
func (b *backend) answer(ctx context.Context, a *audit) {
	found, err := b.query(ctx, a.query, a.to.Time())
	switch {
	case err != nil:
		a.err = err
	case len(found) != 1 || len(found[0].samples) != 1:
		a.err = fmt.Errorf("the answer to %s is not one number", a.query)
	default:
		a.direct = found[0].samples[0].v
	}
}

// takeAudits takes over what audits found.
func (e *Evaluator) takeAudits(done auditsOf) {
	done.backend.auditing = false
	id, _ := done.backend.known()
	for i := range done.audits {
		a := &done.audits[i]
		result := "failed"
		if a.err == nil {
			if result = "agrees"; a.differs(id.kind) {
				result = "differs"
			}
			a.ledger.audits.take(a, result == "differs")
			e.auditGroups(a.ledger)
		}
		e.metrics.audits.WithLabelValues(done.backend.Name, result).Inc()
	}
}

// auditGroups has the groups of a ledger's SLOs doubted as they are.
func (e *Evaluator) auditGroups(l *ledger) {
	for _, t := range e.byLedger[l] {
		for _, g := range t.groups {
			g.ledger.audits = l.audits
			if s := &g.ledger.audits; s.said != "" {
				s.said = "of all groups together, " + s.said
			}
		}
	}
}

// differs reports whether what was counted is not what the backend says.
func (a *audit) differs(kind string) bool {
	off := func(difference float64) bool {
		difference = math.Abs(difference)
		return difference > differsEvents && difference > differsBy*max(a.counted, a.direct)
	}
	unexplained := off(a.counted - a.direct - a.apart)
	if kind == kindVictoriaMetrics { // it has a rule of its own for births
		return unexplained && off(a.counted-a.direct)
	}
	return unexplained
}

// take notes an audit.
func (s *auditState) take(a *audit, differs bool) {
	s.all.push(a.from, a.to, differs)
	s.byRole[a.role].push(a.from, a.to, differs)
	if differs {
		s.said = fmt.Sprintf("from %s to %s %s %s events were counted, and increase() gives %s",
			clockText(a.from), clockText(a.to), plainCount(a.counted), allRoles[a.role].names()[0], plainCount(a.direct))
	}
}

// audited is the doubt of a ledger whose audits differ.
func (t *track) audited(*Timeline, Minute) *Doubt {
	s := &t.ledger.audits
	for _, x := range []streak{s.all, s.byRole[0], s.byRole[1], s.byRole[2]} {
		if x.n >= differing {
			since := x.since.Time()
			return &Doubt{Code: DoubtAudit, Message: s.said, Since: &since}
		}
	}
	return nil
}
