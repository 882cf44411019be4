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
	// Lookback is how far back a judge first looks for the beginning of an episode.
	Lookback = 7 * 24 * time.Hour
	// Hold is for how many slots more than it is kept firing an alert stays while its
	// windows are incomplete.
	Hold = 60
)

// MaxTiers is the most tiers that a policy can have.
const MaxTiers = 12

// Lookback returns the history that a judge needs at its first call for an SLO: the
// longest window before the first instant of its replay, or the SLO's own window if its
// budget decides.
func (p Policies) Lookback(s *slo.SLO) time.Duration { return Lookback + newJudge(p, s).longest() }

// NewJudge makes a judge of one SLO, whose window stays the same. Its alerts are a
// function of the timeline. The first call, and one with another objective or policy,
// replays the last seven days, or more until what fires and since when is certain. Each
// later call replays the new slots. So a restarted process and a second replica have the
// same alerts.
func (p Policies) NewJudge() evaluator.Judge {
	at := timeline.Minute(0)
	var final state
	var j judge
	return func(s *slo.SLO, t *timeline.Timeline, settled timeline.Minute) []evaluator.FiringAlert {
		if at == 0 || !j.isFor(s) {
			j = newJudge(p, s)
			at = settled
			_, final = j.first(t, settled)
		}
		for end, st := range j.replay(final, j.unpacked(t, at, settled), at, settled) {
			at, final = end, st
		}
		settledState, newest := final, final
		for end := settled + 1; end <= t.End(); end++ {
			newest = j.step(newest, t, end)
			if t.Excludes(end) {
				settledState = state{spending: settledState.spending} // no late data changes that
			}
		}
		name := s.Alerting.AlertName()
		burns := append(burnAlerts(settledState.page, newest.page, slo.Page), burnAlerts(settledState.ticket, newest.ticket, slo.Ticket)...)
		for i := range burns {
			burns[i].Name = name
			burns[i].Until = burns[i].Until.Add(time.Duration(t.End()-settled) * time.Minute) // only settled slots end it
			if slices.ContainsFunc(j.tiers, func(t Tier) bool { return t.Name == burns[i].Tier && t.Runs > 0 }) {
				burns[i].Row = newest.row
			}
		}
		return append(burns, j.budgetAlerts(settledState.spending, newest.spending)...)
	}
}

// unpackAbove is the number of slots above which a replay is quicker on an unpacked
// timeline.
const unpackAbove = 60

// unpacked returns the timeline in the quicker form for a replay between two instants.
func (j judge) unpacked(t *timeline.Timeline, from, to timeline.Minute) *timeline.Timeline {
	if to-from > unpackAbove {
		return t.Unpacked(from.Add(-j.longest()))
	}
	return t
}

// Firing are the tiers by which the burn alerts of an SLO fire, nil where none does.
type Firing struct{ Page, Ticket *Tier }

// Replay yields the burn alerts at the end of each slot up to an instant. It begins where a
// process that starts at from would begin.
func (p Policies) Replay(s *slo.SLO, t *timeline.Timeline, from, to timeline.Minute) iter.Seq2[timeline.Minute, Firing] {
	return func(yield func(timeline.Minute, Firing) bool) {
		j := newJudge(p, s)
		j.quiet = true
		begin, _ := j.first(t, from)
		for at, st := range j.replay(state{}, t, begin, to) {
			var f Firing
			if st.page.firing {
				f.Page = st.page.tier
			}
			if st.ticket.firing {
				f.Ticket = st.ticket.tier
			}
			if !yield(at, f) {
				return
			}
		}
	}
}

// first returns the state at an instant. It replays from so far before that what fired
// there no longer makes a difference.
func (j judge) first(t *timeline.Timeline, at timeline.Minute) (from timeline.Minute, st state) {
	j.quiet = j.quiet || j.calm(t, at)
	for back := Lookback; ; back *= 2 {
		from = max(t.Start(), at.Add(-back))
		if st, same := j.converge(j.unpacked(t, from, at), from, at); same || from == t.Start() {
			return from, st
		}
	}
}

// converge replays with nothing firing at the beginning, and with everything firing until
// both have the same state. It reports whether they had.
func (j judge) converge(t *timeline.Timeline, from, to timeline.Minute) (st state, same bool) {
	other := state{page: episode{firing: true, since: from}, ticket: episode{firing: true, since: from}, spending: j.allFiring(from)}
	if j.runs {
		other.row = manyRuns
	}
	for i := range j.tiers {
		other.tiers[i] = tierState{firing: true, since: from, held: from}
	}
	for end, next := range j.replay(st, t, from, to) {
		if st = next; !same {
			other = j.step(other, t, end)
			same = st.fires() == other.fires()
		}
	}
	return st, same
}

// fires returns the part of a state that later slots depend on, and since when it is so.
func (st state) fires() state {
	for i, t := range st.tiers {
		st.tiers[i] = tierState{firing: t.firing, since: t.since}
	}
	st.page = episode{firing: st.page.firing, since: st.page.since, older: st.page.older}
	st.ticket = episode{firing: st.ticket.firing, since: st.ticket.since, older: st.ticket.older}
	return st
}

// judge decides for one SLO.
type judge struct {
	alerting  choice
	slo       *slo.SLO
	tiers     []Tier // without those of disabled severities
	objective slo.Objective
	window    time.Duration // of the budget
	long      time.Duration // the longest window of the policy
	quiet     bool          // no alerts about the budget
	runs      bool          // a tier counts runs in a row
}

// choice is the part of an SLO file that decides when to alert.
type choice struct {
	policy           string
	noPage, noTicket bool
}

func choiceOf(s *slo.SLO) choice {
	return choice{s.Alerting.Policy, s.Alerting.Page.Disabled, s.Alerting.Ticket.Disabled}
}

func newJudge(p Policies, s *slo.SLO) judge {
	tiers := slices.DeleteFunc(p.Tiers(s), func(t Tier) bool { return s.Alerting.Severity(t.Severity).Disabled })
	out := judge{
		alerting: choiceOf(s), slo: s, tiers: tiers, objective: s.Objective, window: s.Window.Length.Duration(),
		quiet: s.Alerting.Ticket.Disabled, runs: slices.ContainsFunc(tiers, func(t Tier) bool { return t.Runs > 0 }),
	}
	if windows := p.Windows(s); len(windows) > 1 {
		out.long = windows[len(windows)-2].Duration()
	}
	return out
}

// isFor reports whether the judge was made for an SLO with these settings.
func (j judge) isFor(s *slo.SLO) bool {
	return j.objective == s.Objective && j.alerting == choiceOf(s) && slices.Equal(j.slo.BudgetPolicy, s.BudgetPolicy)
}

// longest returns the longest window that decides.
func (j judge) longest() time.Duration {
	longest := time.Duration(0)
	for _, t := range j.tiers {
		longest = max(longest, t.Long.Duration())
		if t.MinBudget > 0 {
			longest = max(longest, j.window)
		}
	}
	if !j.quiet {
		longest = max(longest, j.slo.Window.Longest())
	}
	return longest
}

// state holds the firing alerts of an SLO and all that later slots need.
type state struct {
	tiers        [MaxTiers]tierState
	row          int // bad runs since the last good one
	page, ticket episode
	spending     spending
}

// manyRuns are more bad runs in a row than any tier counts.
const manyRuns = 1 << 30

// tierState is the state of one tier.
type tierState struct {
	firing bool
	since  timeline.Minute // the end of the first of the slots in which it holds; 0 while it does not
	held   timeline.Minute // the end of the last slot in which it held
	ended  timeline.Minute // the end of the first slot in which it fired no longer, the last time; 0 for never
}

// episode is a time in which an alert fires.
type episode struct {
	firing    bool
	since     timeline.Minute // the end of the slot in which it began
	older     bool            // it began at since or before: more could not be read
	confirmed timeline.Minute // the last slot in which a tier held or was kept firing
	tier      *Tier
	holds     bool            // a tier holds
	until     timeline.Minute // the end of the slot in which it ends unless one holds again
}

// replay steps from a state at one instant to another. It yields the end of each slot and
// the state there.
func (j judge) replay(st state, t *timeline.Timeline, from, to timeline.Minute) iter.Seq2[timeline.Minute, state] {
	return func(yield func(timeline.Minute, state) bool) {
		for end := from + 1; end <= to; end++ {
			if st = j.step(st, t, end); !yield(end, st) {
				return
			}
		}
	}
}

// step returns the state one slot later. Nothing fires in an excluded slot.
func (j judge) step(st state, t *timeline.Timeline, end timeline.Minute) state {
	if t.Excludes(end) {
		return state{spending: j.stepBudget(st.spending, false, t, end)}
	}
	if j.runs {
		st.row = inRow(st.row, t.Sum(end-1, end))
	}
	for i, tier := range j.tiers {
		if tier.Runs > 0 {
			st.tiers[i] = st.tiers[i].nextRuns(tier, st.row, end)
		} else {
			st.tiers[i] = j.nextTier(st.tiers[i], tier, t, end)
		}
	}
	st.page = j.episode(st.page, st.tiers, slo.Page, end)
	st.ticket = j.episode(st.ticket, st.tiers, slo.Ticket, end)
	if st.page.since == end {
		st.page.older = j.mayBeOlder(st.tiers, slo.Page, t)
	}
	if st.ticket.since == end {
		st.ticket.older = j.mayBeOlder(st.tiers, slo.Ticket, t)
	}
	st.spending = j.stepBudget(st.spending, st.page.firing || st.ticket.firing, t, end)
	return st
}

// episode returns the episode of a severity at end. It lasts while any tier fires.
func (j judge) episode(e episode, tiers [MaxTiers]tierState, severity string, end timeline.Minute) episode {
	fires, holds := false, false
	e.holds, e.until = false, 0
	for i := range j.tiers {
		tier := &j.tiers[i]
		if tier.Severity != severity || !tiers[i].firing {
			continue
		}
		fires, e.confirmed = true, max(e.confirmed, min(tiers[i].held.Add(tier.KeepFiringFor), end))
		e.holds = e.holds || tiers[i].held == end
		e.until = max(e.until, tiers[i].held.Add(tier.KeepFiringFor)+1)
		if tiers[i].held == end && !holds || !e.firing && e.tier == nil {
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

// inRow returns how many bad runs there were since the last good one, a slot later. If a
// slot has both, their order is unknown, and one counts.
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

// nextRuns returns the state at end of a tier that counts runs in a row. It fires until
// the next good run.
func (st tierState) nextRuns(tier Tier, row int, end timeline.Minute) tierState {
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

// mayBeOlder reports whether an alert that begins may have begun before: a tier held at the
// first slot whose windows were read whole.
func (j judge) mayBeOlder(tiers [MaxTiers]tierState, severity string, t *timeline.Timeline) bool {
	for i, tier := range j.tiers {
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

// nextTier returns the state of a tier at end. It fires once it has held for For. It ends
// when complete windows have refuted it for KeepFiringFor, or after a time without any
// complete window.
func (j judge) nextTier(st tierState, tier Tier, t *timeline.Timeline, end timeline.Minute) tierState {
	holds, refuted := j.holds(tier, st, t, end)
	switch {
	case holds:
		if st.since == 0 {
			st.since = end
		}
		st.held = end
		st.firing = st.firing || end >= st.since.Add(tier.For)
	case refuted && (!st.firing || end > st.held.Add(tier.KeepFiringFor)), end.Add(-tier.KeepFiringFor)-st.held >= Hold:
		if st.firing {
			st.ended = end
		}
		return tierState{ended: st.ended}
	}
	return st
}

// holds reports whether a tier holds at end, and whether a complete window refutes it.
func (j judge) holds(tier Tier, st tierState, t *timeline.Timeline, end timeline.Minute) (holds, refuted bool) {
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
		rate := evaluator.BurnRate(sum, j.objective)
		if rate == nil || *rate <= factor {
			holds = false
			if t.Refutes(sum) {
				return false, true
			}
		}
	}
	if holds && !st.firing && !j.guarded(tier, sum, st.ended, t) {
		return false, t.Refutes(sum)
	}
	return holds, false
}

// guarded reports whether the guards of a tier hold for its long window. Evidence of one
// problem is no evidence of the next: only events after the tier last ended count.
func (j judge) guarded(tier Tier, sum timeline.Sum, ended timeline.Minute, t *timeline.Timeline) bool {
	switch {
	case sum.Bad < tier.MinBad:
		return false
	case tier.MinBudget > 0 && sum.Bad < tier.MinBudget*j.objective.Allowed(j.total(t, sum.End)):
		return false
	case tier.Significance == 0:
		return true
	}
	if ended > sum.Start {
		sum = t.Sum(ended, sum.End)
	}
	return BeyondChance(sum.Bad, sum.Total, j.objective, tier.Significance)
}

// total returns the events of the SLO's own window that ends at end. Slots that are
// unknown or not read yet are taken to be like the rest.
func (j judge) total(t *timeline.Timeline, end timeline.Minute) float64 {
	sum := t.Window(j.window, end)
	if sum.Known == 0 {
		return 0
	}
	return sum.Events() / sum.Coverage()
}

// BeyondChance reports whether more events are bad than chance explains if the objective
// is only just kept: whether an exact one-sided binomial test of the ratio 1-o has a
// p-value of at most significance. Fractions of events, which interpolated buckets give,
// count in favour of the objective.
func BeyondChance(bad, total float64, o slo.Objective, significance float64) bool {
	bad, total = math.Floor(bad), math.Ceil(max(total, bad))
	if bad <= total*o.Budget() {
		return false
	}
	if bad >= total {
		return math.Pow(o.Budget(), total) <= significance
	}
	return distuv.Binomial{N: total, P: o.Budget()}.Survival(bad-1) <= significance
}

// burnAlerts returns the alert of an episode, if it fires. The newest slot can begin it,
// but only settled slots end it.
func burnAlerts(final, newest episode, severity string) []evaluator.FiringAlert {
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
		Windows: []string{e.tier.Long.String(), e.tier.Short.String()}, Held: e.confirmed.Time(),
	}}
}
