package alerting

import (
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// lookback is how far back the beginning of an episode is looked for.
	lookback = 7 * 24 * time.Hour
	// hold is how many slots an alert stays when nobody can know whether it
	// still should.
	hold = 60
)

// Lookback is the history that a judge needs at its first call for an SLO: the
// longest window before the first instant it looks at.
func Lookback(s *slo.SLO) time.Duration {
	return lookback + policy{Tiers(s), s.Objective}.longest()
}

// PolicyWindows are the windows to publish for an SLO.
func PolicyWindows(s *slo.SLO) []slo.Window {
	return Windows(Tiers(s), s.Window.Length)
}

// NewJudge makes a judge of one SLO, whose window stays the same. What fires is a
// function of the timeline: the first call, and one with another objective,
// replays the last seven days, each later one the new slots, so that a process
// that was restarted, and a second replica, say the same.
func NewJudge() evaluator.Judge {
	at := evaluator.Minute(0)
	var final state
	var p policy
	return func(s *slo.SLO, t *evaluator.Timeline, settled evaluator.Minute) []evaluator.FiringAlert {
		if at == 0 || p.objective != s.Objective {
			p = policy{Tiers(s), s.Objective}
			at, final = max(t.Start(), settled.Add(-lookback)), state{}
		}
		past := t
		if settled-at > long {
			past = t.Unpacked(at.Add(-p.longest()))
		}
		for at < settled {
			at++
			final = p.step(final, past, at)
		}
		sure, newest := final, final
		for end := settled + 1; end <= t.End(); end++ {
			newest = p.step(newest, t, end)
			if t.Excludes(end) {
				sure = state{} // no late data changes that
			}
		}
		return append(firing(sure.page, newest.page, Page), firing(sure.ticket, newest.ticket, Ticket)...)
	}
}

// long is the number of slots from which on a replay is quicker on an unpacked
// timeline.
const long = 60

// policy is what decides for one SLO.
type policy struct {
	tiers     []Tier
	objective slo.Objective
}

// longest is the longest window of the tiers.
func (p policy) longest() time.Duration {
	longest := time.Duration(0)
	for _, t := range p.tiers {
		longest = max(longest, t.Long.Duration())
	}
	return longest
}

// state is what fires for an SLO.
type state struct{ page, ticket episode }

// episode is a time in which an alert fires.
type episode struct {
	firing bool
	since  evaluator.Minute // the end of the slot in which it began
	sure   evaluator.Minute // the last slot in which the tier held
	tier   Tier
}

// step is the state one slot later. Nothing fires in a slot that is excluded.
func (p policy) step(st state, t *evaluator.Timeline, end evaluator.Minute) state {
	if t.Excludes(end) {
		return state{}
	}
	return state{p.next(st.page, Page, t, end), p.next(st.ticket, Ticket, t, end)}
}

// next is an alert's episode at end. It begins when a tier holds, and ends when
// complete windows say of each tier that it does not, or after a time in which
// none are complete.
func (p policy) next(e episode, severity string, t *evaluator.Timeline, end evaluator.Minute) episode {
	over := true
	for _, tier := range p.tiers {
		if tier.Severity != severity {
			continue
		}
		holds, refuted := p.look(tier, t, end)
		if holds {
			if !e.firing {
				e.since = end
			}
			e.firing, e.sure, e.tier = true, end, tier
			return e
		}
		over = over && refuted
	}
	if e.firing && (over || end-e.sure >= hold) {
		return episode{}
	}
	return e
}

// look asks whether a tier holds at end, and whether a complete window says
// that it does not.
func (p policy) look(tier Tier, t *evaluator.Timeline, end evaluator.Minute) (holds, refuted bool) {
	if end.Add(-tier.Long.Duration()) < t.Start() {
		return false, false // a part of it is not read yet
	}
	holds = true
	for _, w := range []slo.Window{tier.Short, tier.Long} {
		sum := t.Window(w.Duration(), end)
		rate := evaluator.BurnRate(sum, p.objective)
		if rate == nil || *rate <= tier.Factor {
			holds = false
			if sum.Complete() {
				return false, true
			}
		}
	}
	return holds, false
}

// firing is what fires when an episode of settled slots is carried on by newer
// ones: it begins with the newest slot, but only settled slots end it.
func firing(final, newest episode, severity string) []evaluator.FiringAlert {
	e := newest
	if final.firing {
		if !newest.firing {
			e = final
		}
		e.since = final.since
	}
	if !e.firing {
		return nil
	}
	return []evaluator.FiringAlert{{
		Severity: severity, Tier: e.tier.Name, Since: e.since.Time(),
		Windows: []string{e.tier.Long.String(), e.tier.Short.String()}, Held: e.sure.Time(),
	}}
}
