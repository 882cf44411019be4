package alerting

import (
	"iter"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// lookback is how far back the beginning of an episode is looked for at first.
	lookback = 7 * 24 * time.Hour
	// hold is how many slots an alert stays, beyond those that it is kept firing for,
	// when nobody can know whether it still should.
	hold = 60
)

// maxTiers bounds the tiers of a policy. The parser of the service's own file
// holds it.
const maxTiers = 12

// Lookback is the history that a judge needs at its first call for an SLO: the
// longest window before the first instant it looks at, or the SLO's own where its
// budget decides.
func (p Policies) Lookback(s *slo.SLO) time.Duration { return lookback + newDecider(p, s).longest() }

// NewJudge makes a judge of one SLO, whose window stays the same. What fires is a
// function of the timeline: the first call, and one with another objective or
// policy, replays the last seven days, or as much more as it takes to know what
// fires and since when, each later one the new slots. So a process that was
// restarted, and a second replica, say the same.
func (p Policies) NewJudge() evaluator.Judge {
	at := timeline.Minute(0)
	var final state
	var d decider
	return func(s *slo.SLO, t *timeline.Timeline, settled timeline.Minute) []evaluator.FiringAlert {
		if at == 0 || !d.decides(s) {
			d = newDecider(p, s)
			at = settled
			_, final = d.first(t, settled)
		}
		for end, st := range d.replay(final, d.unpacked(t, at, settled), at, settled) {
			at, final = end, st
		}
		sure, newest := final, final
		for end := settled + 1; end <= t.End(); end++ {
			newest = d.step(newest, t, end)
			if t.Excludes(end) {
				sure = state{spending: sure.spending} // no late data changes that
			}
		}
		name := s.Alerting.AlertName()
		burns := append(firing(sure.page, newest.page, slo.Page), firing(sure.ticket, newest.ticket, slo.Ticket)...)
		for i := range burns {
			burns[i].Name = name
			burns[i].Until = burns[i].Until.Add(time.Duration(t.End()-settled) * time.Minute) // only settled slots end it
			if slices.ContainsFunc(d.tiers, func(t Tier) bool { return t.Name == burns[i].Tier && t.Runs > 0 }) {
				burns[i].Row = newest.row
			}
		}
		return append(burns, d.spends(sure.spending, newest.spending)...)
	}
}

// long is the number of slots from which on a replay is quicker on an unpacked
// timeline.
const long = 60

// unpacked is a timeline as is best for a replay from one instant to another.
func (d decider) unpacked(t *timeline.Timeline, from, to timeline.Minute) *timeline.Timeline {
	if to-from > long {
		return t.Unpacked(from.Add(-d.longest()))
	}
	return t
}

// first is the state at an instant, found by a replay from so far before it that
// what fired there makes no difference any more.
func (d decider) first(t *timeline.Timeline, at timeline.Minute) (from timeline.Minute, st state) {
	d.quiet = d.quiet || d.calm(t, at)
	for back := lookback; ; back *= 2 {
		from = max(t.Start(), at.Add(-back))
		if st, sure := d.both(d.unpacked(t, from, at), from, at); sure || from == t.Start() {
			return from, st
		}
	}
}

// both replays with nothing firing at the beginning, and with everything firing
// until it comes to the same.
func (d decider) both(t *timeline.Timeline, from, to timeline.Minute) (st state, same bool) {
	other := state{page: episode{firing: true, since: from}, ticket: episode{firing: true, since: from}, spending: d.all(from)}
	if d.runs {
		other.row = manyRuns
	}
	for i := range d.tiers {
		other.tiers[i] = tierState{firing: true, since: from, held: from}
	}
	for end, next := range d.replay(st, t, from, to) {
		if st = next; !same {
			other = d.step(other, t, end)
			same = st.fires() == other.fires()
		}
	}
	return st, same
}

// fires is what a state says of now.
func (st state) fires() state {
	for i, t := range st.tiers {
		st.tiers[i] = tierState{firing: t.firing, since: t.since}
	}
	st.page = episode{firing: st.page.firing, since: st.page.since, older: st.page.older}
	st.ticket = episode{firing: st.ticket.firing, since: st.ticket.since, older: st.ticket.older}
	return st
}

// decider is what decides for one SLO.
type decider struct {
	alerting  choice
	slo       *slo.SLO
	tiers     []Tier // but those of severities that are disabled
	objective slo.Objective
	window    time.Duration // of the budget
	long      time.Duration // the longest window of the policy
	quiet     bool          // nothing is said of the budget
	runs      bool          // a tier counts runs in a row
}

// choice is what an SLO file says of when to alert.
type choice struct {
	policy           string
	noPage, noTicket bool
}

func choiceOf(s *slo.SLO) choice {
	return choice{s.Alerting.Policy, s.Alerting.Page.Disabled, s.Alerting.Ticket.Disabled}
}

func newDecider(p Policies, s *slo.SLO) decider {
	tiers := slices.DeleteFunc(p.Tiers(s), func(t Tier) bool { return s.Alerting.Severity(t.Severity).Disabled })
	out := decider{
		alerting: choiceOf(s), slo: s, tiers: tiers, objective: s.Objective, window: s.Window.Length.Duration(),
		quiet: s.Alerting.Ticket.Disabled, runs: slices.ContainsFunc(tiers, func(t Tier) bool { return t.Runs > 0 }),
	}
	if windows := p.Windows(s); len(windows) > 1 {
		out.long = windows[len(windows)-2].Duration()
	}
	return out
}

// decides reports whether a decider is that of an SLO as it is now.
func (d decider) decides(s *slo.SLO) bool {
	return d.objective == s.Objective && d.alerting == choiceOf(s) && slices.Equal(d.slo.BudgetPolicy, s.BudgetPolicy)
}

// longest is the longest window that decides.
func (d decider) longest() time.Duration {
	longest := time.Duration(0)
	for _, t := range d.tiers {
		longest = max(longest, t.Long.Duration())
		if t.MinBudget > 0 {
			longest = max(longest, d.window)
		}
	}
	if !d.quiet {
		longest = max(longest, evaluator.HistoryLength(d.slo.Window))
	}
	return longest
}

// state is what fires for an SLO.
type state struct {
	tiers        [maxTiers]tierState
	row          int // bad runs since the last good one
	page, ticket episode
	spending     spending
}

// manyRuns are more bad runs in a row than any tier counts.
const manyRuns = 1 << 30

// tierState is what is known of one tier.
type tierState struct {
	firing bool
	since  timeline.Minute // the end of the first of the slots in which it holds; 0 while it does not
	held   timeline.Minute // the end of the last slot in which it held
	ended  timeline.Minute // the end of the first slot in which it fired no longer, the last time; 0 for never
}

// episode is a time in which an alert fires.
type episode struct {
	firing bool
	since  timeline.Minute // the end of the slot in which it began
	older  bool            // it began at since or before: more could not be read
	sure   timeline.Minute // the last slot in which a tier held or was kept firing
	tier   Tier
	holds  bool            // a tier holds
	until  timeline.Minute // the end of the slot in which it ends unless one holds again
}

// replay steps from a state at one instant to another, with the end of each slot
// and the state there.
func (d decider) replay(st state, t *timeline.Timeline, from, to timeline.Minute) iter.Seq2[timeline.Minute, state] {
	return func(yield func(timeline.Minute, state) bool) {
		for end := from + 1; end <= to; end++ {
			if st = d.step(st, t, end); !yield(end, st) {
				return
			}
		}
	}
}

// step is the state one slot later. Nothing fires in a slot that is excluded.
func (d decider) step(st state, t *timeline.Timeline, end timeline.Minute) state {
	if t.Excludes(end) {
		return state{spending: d.spend(st.spending, false, t, end)}
	}
	if d.runs {
		st.row = inRow(st.row, t.Sum(end-1, end))
	}
	for i, tier := range d.tiers {
		if tier.Runs > 0 {
			st.tiers[i] = st.tiers[i].counts(tier, st.row, end)
		} else {
			st.tiers[i] = d.next(st.tiers[i], tier, t, end)
		}
	}
	st.page = d.episode(st.page, st.tiers, slo.Page, end)
	st.ticket = d.episode(st.ticket, st.tiers, slo.Ticket, end)
	if st.page.since == end {
		st.page.older = d.older(st.tiers, slo.Page, t)
	}
	if st.ticket.since == end {
		st.ticket.older = d.older(st.tiers, slo.Ticket, t)
	}
	st.spending = d.spend(st.spending, st.page.firing || st.ticket.firing, t, end)
	return st
}

// episode is that of a severity at end: it lasts from the first tier that fires to
// the last.
func (d decider) episode(e episode, tiers [maxTiers]tierState, severity string, end timeline.Minute) episode {
	fires, holds := false, false
	e.holds, e.until = false, 0
	for i, tier := range d.tiers {
		if tier.Severity != severity || !tiers[i].firing {
			continue
		}
		fires, e.sure = true, max(e.sure, min(tiers[i].held.Add(tier.KeepFiringFor), end))
		e.holds = e.holds || tiers[i].held == end
		e.until = max(e.until, tiers[i].held.Add(tier.KeepFiringFor)+1)
		if tiers[i].held == end && !holds || !e.firing && e.tier.Name == "" {
			holds, e.tier = true, tier
		}
	}
	if !fires {
		return episode{}
	}
	if !e.firing {
		e.firing, e.since = true, end
	}
	return e
}

// inRow is how many bad runs there were since the last good one, a slot later. Of a slot
// with both nobody knows which came last.
func inRow(row int, slot timeline.Sum) int {
	bad := int(math.Round(slot.Bad))
	switch good := slot.Total > slot.Bad; {
	case good && bad > 0:
		return 1
	case good:
		return 0
	}
	return min(row+max(bad, 0), manyRuns)
}

// counts is the state of a tier that counts runs in a row at end. It fires until the next
// good run.
func (st tierState) counts(tier Tier, row int, end timeline.Minute) tierState {
	if row < tier.Runs && (!st.firing || row == 0) {
		if st.firing {
			st.ended = end
		}
		return tierState{ended: st.ended}
	}
	if st.since == 0 {
		st.since = end
	}
	st.firing, st.held = true, end
	return st
}

// older reports whether an alert that begins may have begun before: a tier held at the
// first slot for which its windows are read.
func (d decider) older(tiers [maxTiers]tierState, severity string, t *timeline.Timeline) bool {
	for i, tier := range d.tiers {
		if tier.Runs > 0 && tiers[i].firing && tier.Severity == severity {
			before := t.Sum(t.Start(), tiers[i].since-1)
			return before.Total <= before.Bad && tier.Runs == 1 // no good run was read
		}
		if tier.Severity == severity && tiers[i].firing && (tiers[i].since-1).Add(-tier.Long.Duration()) < t.Start() {
			return true
		}
	}
	return false
}

// next is the state of a tier at end. It fires when it has held for long enough,
// until complete windows have said for long enough that it does not, or after a
// time in which none are complete.
func (d decider) next(st tierState, tier Tier, t *timeline.Timeline, end timeline.Minute) tierState {
	holds, refuted := d.look(tier, st, t, end)
	switch {
	case holds:
		if st.since == 0 {
			st.since = end
		}
		st.held = end
		st.firing = st.firing || end >= st.since.Add(tier.For)
	case refuted && (!st.firing || end > st.held.Add(tier.KeepFiringFor)), end.Add(-tier.KeepFiringFor)-st.held >= hold:
		if st.firing {
			st.ended = end
		}
		return tierState{ended: st.ended}
	}
	return st
}

// look asks whether a tier holds at end, and whether a complete window says
// that it does not.
func (d decider) look(tier Tier, st tierState, t *timeline.Timeline, end timeline.Minute) (holds, refuted bool) {
	if end.Add(-tier.Long.Duration()) < t.Start() {
		return false, false // a part of it is not read yet
	}
	factor := tier.Factor
	if st.firing {
		factor = tier.Reset
	}
	holds = true
	var sum timeline.Sum
	for _, length := range []time.Duration{max(tier.Short.Duration(), t.MinWindow()), tier.Long.Duration()} {
		sum = t.Window(length, end)
		rate := evaluator.BurnRate(sum, d.objective)
		if rate == nil || *rate <= factor {
			holds = false
			if t.Refutes(sum) {
				return false, true
			}
		}
	}
	if holds && !st.firing && !d.guarded(tier, sum, st.ended, t) {
		return false, t.Refutes(sum)
	}
	return holds, false
}

// guarded reports whether the guards of a tier hold for its long window. What is
// evidence of one problem is none of the next: events count as that from the end of
// the last time on.
func (d decider) guarded(tier Tier, sum timeline.Sum, ended timeline.Minute, t *timeline.Timeline) bool {
	switch {
	case sum.Bad < tier.MinBad:
		return false
	case tier.MinBudget > 0 && sum.Bad < tier.MinBudget*d.objective.Allowed(d.total(t, sum.End)):
		return false
	case tier.Significance == 0:
		return true
	}
	if ended > sum.Start {
		sum = t.Sum(ended, sum.End)
	}
	return beyondChance(sum.Bad, sum.Total, d.objective, tier.Significance)
}

// total are the events of the SLO's own window that ends at end. What is not known
// of it, or not read yet, is taken to be like the rest.
func (d decider) total(t *timeline.Timeline, end timeline.Minute) float64 {
	sum := t.Window(d.window, end)
	if sum.Known == 0 {
		return 0
	}
	return sum.Events() / sum.Coverage()
}

// beyondChance reports whether more events are bad than an SLO that only just
// keeps its objective would have by chance: whether an exact binomial test of
// the ratio 1-o, on one side, has a p-value of at most significance. Fractions of
// events, which interpolated buckets give, count for the objective.
func beyondChance(bad, total float64, o slo.Objective, significance float64) bool {
	bad, total = math.Floor(bad), math.Ceil(max(total, bad))
	if bad <= total*o.Budget() {
		return false
	}
	if bad >= total {
		return math.Pow(o.Budget(), total) <= significance
	}
	return distuv.Binomial{N: total, P: o.Budget()}.Survival(bad-1) <= significance
}

// firing is what fires when an episode of settled slots is carried on by newer
// ones: it begins with the newest slot, but only settled slots end it.
func firing(final, newest episode, severity string) []evaluator.FiringAlert {
	e := newest
	if final.firing {
		if !newest.firing {
			e = final
		}
		e.since, e.older = final.since, final.older
	}
	if !e.firing {
		return nil
	}
	return []evaluator.FiringAlert{{
		Severity: severity, Tier: e.tier.Name, Since: e.since.Time(), Older: e.older, Holds: e.holds, Until: e.until.Time(),
		Windows: []string{e.tier.Long.String(), e.tier.Short.String()}, Held: e.sure.Time(),
	}}
}
