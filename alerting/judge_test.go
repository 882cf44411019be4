package alerting

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// follower is a process that evaluates one SLO.
type follower struct {
	slo      *slo.SLO
	timeline *timeline.Timeline
	settled  timeline.Minute
	judge    evaluator.Judge
}

func follow(s *slo.SLO) *follower { return followBy(BuiltIn(), s) }

func followBy(p Policies, s *slo.SLO) *follower {
	t := timeline.NewTimeline(drill.Begin.Add(-p.Lookback(s)))
	for t.End() < drill.Begin {
		t.Append(timeline.Slot{}) // nothing is known before begin
	}
	return &follower{s, t, drill.Begin, p.NewJudge()}
}

// see evaluates at the end of the slots, which begin at begin. The last unsure
// of them are read again the next time.
func (f *follower) see(slots []timeline.Slot, unsure int) []evaluator.FiringAlert {
	return burning(f.seeAll(slots, unsure))
}

// burning are the alerts about burn rates, without those about the budget.
func burning(alerts []evaluator.FiringAlert) []evaluator.FiringAlert {
	return slices.DeleteFunc(alerts, func(a evaluator.FiringAlert) bool { return !a.Burns() })
}

func (f *follower) seeAll(slots []timeline.Slot, unsure int) []evaluator.FiringAlert {
	f.timeline.Truncate(f.settled)
	for _, s := range slots[f.timeline.End()-drill.Begin:] {
		f.timeline.Append(s)
	}
	f.settled = f.timeline.End() - timeline.Minute(unsure)
	return f.judge(f.slo, f.timeline, f.settled)
}

// firesAt returns what a process reports that starts at the end of the slots.
func firesAt(s *slo.SLO, slots []timeline.Slot, unsure int) []evaluator.FiringAlert {
	return follow(s).see(slots, unsure)
}

func allAt(s *slo.SLO, slots []timeline.Slot) []evaluator.FiringAlert {
	return follow(s).seeAll(slots, 0)
}

func TestAlertsBeginWhenBothWindowsExceed(t *testing.T) {
	s := drill.SLO(t)
	// After two failing minutes of 30 % the hour has 600 of 60,000 bad, 1 %. After
	// three it has 1.5 %, more than the 1.44 % that 14.4 times 0.1 % are. The three
	// days, of which half a one is known, have 900 of 723,000, more than 0.1 %.
	require.Empty(t, firesAt(s, drill.Slots(720, drill.Healthy, 2, drill.Failing), 0))
	page := evaluator.FiringAlert{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "fast", Since: drill.At(723), Windows: []string{"1h", "5m"}, Held: drill.At(723), Holds: true, Until: drill.At(724)}
	ticket := evaluator.FiringAlert{Name: slo.DefaultAlertName, Severity: slo.Ticket, Tier: "trend", Since: drill.At(723), Windows: []string{"3d", "6h"}, Held: drill.At(723), Holds: true, Until: drill.At(724)}
	require.Equal(t, []evaluator.FiringAlert{page, ticket}, firesAt(s, drill.Slots(720, drill.Healthy, 3, drill.Failing), 0))

	// After eight, the day has 2,400 of 728,000, more than 0.3 %: the ticket's
	// tier changes, not its beginning.
	page.Held, ticket.Held = drill.At(728), drill.At(728)
	page.Until, ticket.Until = drill.At(729), drill.At(729)
	ticket.Tier, ticket.Windows = "daily", []string{"1d", "2h"}
	require.Equal(t, []evaluator.FiringAlert{page, ticket}, firesAt(s, drill.Slots(720, drill.Healthy, 8, drill.Failing), 0))

	// The hour alone is not enough: nothing fails in its last five minutes, and
	// the six hours have 0.5 %.
	require.Empty(t, pages(firesAt(s, drill.Slots(720, drill.Healthy, 6, drill.Failing, 5, drill.Healthy), 0)))
}

// TestAnAlertEndsWhenItSays: after three failing minutes a page of the default policy
// holds for as long as one of them is in its 5m. Then it is kept for 10 min, and ended by
// slots that are settled.
func TestAnAlertEndsWhenItSays(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = slo.DefaultPolicy
	for _, unsure := range []int{0, 2} {
		var said []time.Time
		over := 0
		for n := 0; over == 0; n++ {
			if p := pages(firesAt(s, drill.Slots(720, drill.Healthy, 3, drill.Failing, n, drill.Healthy), unsure)); len(p) == 0 {
				over = n
			} else if !p[0].Holds {
				said = append(said, p[0].Until)
			}
		}
		require.Equal(t, 4+10+1+unsure, over)
		require.Len(t, said, over-5)
		for _, at := range said {
			require.Equal(t, drill.At(723+over), at)
		}
	}
}

// TestABurnAlertIsDatedHonestly: what is read begins within an incident. The page began at
// or before the first hour that is read whole, and the ticket at or before the first day;
// this does not move. What begins later has its own time.
func TestABurnAlertIsDatedHonestly(t *testing.T) {
	type dated struct {
		severity string
		since    int
		older    bool
	}
	for name, c := range map[string]struct {
		slots []timeline.Slot
		want  []dated
	}{
		"within":     {drill.Slots(1500, drill.Failing), []dated{{slo.Page, 60, true}, {slo.Ticket, 1440, true}}},
		"goes on":    {drill.Slots(1500, drill.Failing, 60, drill.Healthy, 30, drill.Failing), []dated{{slo.Page, 1561, false}, {slo.Ticket, 1440, true}}},
		"the second": {drill.Slots(2000, drill.Failing, 2880, drill.Healthy, 30, drill.Failing), []dated{{slo.Page, 4883, false}, {slo.Ticket, 4882, false}}},
		"after it":   {drill.Slots(5000, drill.Healthy, 30, drill.Failing), []dated{{slo.Page, 5003, false}, {slo.Ticket, 5015, false}}},
	} {
		timeline := timeline.NewTimeline(drill.Begin)
		judge := BuiltIn().NewJudge()
		for _, slot := range c.slots {
			timeline.Append(slot)
		}
		for range 3 {
			timeline.Append(drill.Failing)
			var got []dated
			for _, a := range burning(judge(drill.SLO(t), timeline, timeline.End())) {
				got = append(got, dated{a.Severity, int(a.Since.Sub(drill.At(0)).Minutes()), a.Older})
			}
			require.Equal(t, c.want, got, name)
		}
	}
}

func pages(alerts []evaluator.FiringAlert) []evaluator.FiringAlert {
	var out []evaluator.FiringAlert
	for _, a := range alerts {
		if a.Severity == slo.Page {
			out = append(out, a)
		}
	}
	return out
}

func TestAlertsEndByCompleteWindows(t *testing.T) {
	s := drill.SLO(t)
	// With 20 failing minutes the six hours have 1.7 %, more than 0.6 %, so it is
	// the half hour that ends the page: it has a failing minute, 1 %, until 29
	// minutes later.
	incident := func(after ...any) []timeline.Slot {
		return drill.Slots(append([]any{720, drill.Healthy, 20, drill.Failing}, after...)...)
	}
	require.Equal(t, []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "slow", Since: drill.At(723), Windows: []string{"6h", "30m"}, Held: drill.At(769), Holds: true, Until: drill.At(770)}},
		pages(firesAt(s, incident(29, drill.Healthy), 0)))
	require.Empty(t, pages(firesAt(s, incident(30, drill.Healthy), 0)))
	// Slots that may change yet end nothing.
	require.NotEmpty(t, pages(firesAt(s, incident(31, drill.Healthy), 2)))
	require.Empty(t, pages(firesAt(s, incident(32, drill.Healthy), 2)))

	// A minute is unknown: the half hour is complete only when it is over.
	gap := incident(10, drill.Healthy, 1, drill.Missing, 29, drill.Healthy)
	require.NotEmpty(t, pages(firesAt(s, gap, 0)))
	require.Empty(t, pages(firesAt(s, append(gap, drill.Healthy), 0)))

	// Nothing is known any more. Of the half hour the failing minutes are all
	// that is, for 29 minutes; an hour after that nobody holds the page.
	require.Equal(t, drill.At(769), firesAt(s, incident(88, drill.Missing), 0)[0].Held)
	require.NotEmpty(t, pages(firesAt(s, incident(88, drill.Missing), 0)))
	require.Empty(t, pages(firesAt(s, incident(89, drill.Missing), 0)))
	// It begins again when it is seen again.
	again := firesAt(s, incident(100, drill.Missing, 3, drill.Failing), 0)
	require.Equal(t, drill.At(841), again[0].Since)
}

// TestDisabledSeverityNeverFires, and what fires when it is disabled ends.
func TestDisabledSeverityNeverFires(t *testing.T) {
	s := drill.SLO(t)
	f := follow(s)
	require.Len(t, f.see(drill.Slots(720, drill.Healthy, 3, drill.Failing), 0), 2)
	muted := *s
	muted.Alerting.Page.Disabled = true
	f.slo = &muted
	got := f.see(drill.Slots(720, drill.Healthy, 4, drill.Failing), 0)
	require.Len(t, got, 1)
	require.Equal(t, slo.Ticket, got[0].Severity)
	require.Equal(t, drill.At(723), got[0].Since)
	f.slo = s
	require.Equal(t, drill.At(723), pages(f.see(drill.Slots(720, drill.Healthy, 5, drill.Failing), 0))[0].Since)
	require.Equal(t, BuiltIn().Windows(s), BuiltIn().Windows(&muted), "its windows are shown all the same")
}

// A minute that looked bad until the rest of its events came is no episode, and
// one that looked well does not end it.
func TestAlertsOnProvisionalSlots(t *testing.T) {
	s := drill.SLO(t)
	f := follow(s)
	half := timeline.Slot{Total: 1000, Bad: 1000, Known: true}
	require.Empty(t, f.see(drill.Slots(720, drill.Healthy), 2))
	// One minute in which all fail is 1.7 % of the hour and 20 % of 5 minutes.
	require.Equal(t, drill.At(721), pages(f.see(drill.Slots(720, drill.Healthy, 1, half), 2))[0].Since)
	require.Empty(t, f.see(drill.Slots(722, drill.Healthy), 2))
	require.Empty(t, f.see(drill.Slots(730, drill.Healthy), 2))

	// The third failing minute begins it. It first looks like the second.
	require.Equal(t, drill.At(732), pages(f.see(drill.Slots(730, drill.Healthy, 1, drill.Failing, 1, half), 2))[0].Since)
	require.Equal(t, drill.At(733), pages(f.see(drill.Slots(730, drill.Healthy, 3, drill.Failing), 2))[0].Since)
	require.Equal(t, drill.At(733), pages(f.see(drill.Slots(730, drill.Healthy, 10, drill.Failing), 2))[0].Since)
	// Half an hour later it looks as if it were over, but the last minute fails.
	require.Equal(t, drill.At(733), pages(f.see(drill.Slots(730, drill.Healthy, 10, drill.Failing, 30, drill.Healthy), 2))[0].Since)
	require.Equal(t, drill.At(733), pages(f.see(drill.Slots(730, drill.Healthy, 10, drill.Failing, 29, drill.Healthy, 8, drill.Failing), 2))[0].Since)
}

// A process that was there all along says at each minute what one says that
// starts then, or that started a minute later. Incidents, unknown stretches and
// slots that change until they settle come at random.
func TestAlertsAreAFunctionOfTheTimeline(t *testing.T) {
	s := drill.SLO(t)
	r := rand.New(rand.NewPCG(1, 2))
	var final []timeline.Slot
	for len(final) < 3000 {
		switch r.IntN(4) {
		case 0:
			final = append(final, drill.Slots(1+r.IntN(40), drill.Failing)...)
		case 1:
			final = append(final, drill.Slots(1+r.IntN(100), drill.Missing)...)
		default:
			final = append(final, drill.Slots(1+r.IntN(200), drill.Healthy)...)
		}
	}
	first, second := follow(s), follow(s)
	fired := 0
	for end := 600; end < len(final); end++ {
		now := append([]timeline.Slot{}, final[:end]...)
		for i := range 2 { // not all of these slots has arrived
			if r.IntN(3) == 0 {
				now[end-1-i] = drill.Slots(1, []timeline.Slot{drill.Missing, drill.Failing, drill.Healthy}[r.IntN(3)])[0]
			}
		}
		got := first.see(now, 2)
		fired += len(got)
		if end > 600 {
			require.Equal(t, got, second.see(now, 2), "at slot %d", end)
		}
		if end%7 == 0 {
			require.Equal(t, got, firesAt(s, now, 2), "at slot %d", end)
		}
	}
	require.Greater(t, fired, 500)
}

// A changed objective is judged over the days before, as a restart would.
func TestAlertsOfAChangedObjective(t *testing.T) {
	f := follow(drill.SLO(t))
	slots := drill.Slots(720, drill.Healthy, 60, timeline.Slot{Total: 1000, Bad: 1, Known: true})
	require.Empty(t, f.see(slots, 2))
	f.slo = drill.SLO(t)
	f.slo.Objective = drill.Objective(t, "99.999")
	got := f.see(append(slots, drill.Healthy), 2)
	require.NotEmpty(t, got)
	require.Equal(t, firesAt(f.slo, append(slots, drill.Healthy), 2), got)
}

// TestTheTimesOfATier: with three failing minutes of 30 % the hour has 900 of
// 60,000 bad, more than the 1 % that 10 times 0.1 % are, and with four the 1,000 that
// are asked for. Three minutes later it fires. With the fifth clean minute its short
// window is clean; it fires for four minutes more than it held, until the eighth.
func TestTheTimesOfATier(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = "mine"
	p := Policies{"mine": {"mine", []Tier{{Name: "fast", Severity: slo.Page, Factor: 10, Long: hour, Short: 5 * minute,
		For: 3 * time.Minute, KeepFiringFor: 4 * time.Minute, MinBad: 1000}}}}
	slots := drill.Slots(720, drill.Healthy, 10, drill.Failing, 20, drill.Healthy)
	live := followBy(p, s)
	for n := 700; n <= len(slots); n++ {
		alerts := live.see(slots[:n], 0)
		require.Equal(t, n >= 727 && n <= 738, len(alerts) == 1, n)
		require.Equal(t, alerts, followBy(p, s).see(slots[:n], 0), "one that begins at %d", n)
		if len(alerts) == 1 {
			require.Equal(t, drill.At(727), alerts[0].Since, n)
			require.Equal(t, drill.At(n), alerts[0].Held, n)
		}
	}
	// Two minutes, then none: it holds for less than three.
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 4, drill.Failing, 1, drill.Healthy), 0))

	// Nor does what held before hours of which nothing is known.
	p["mine"].Tiers[0].For = 10 * time.Minute
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 5, drill.Failing, 200, drill.Missing, 13, drill.Failing), 0))
	require.NotEmpty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 5, drill.Failing, 200, drill.Missing, 14, drill.Failing), 0))
	p["mine"].Tiers[0].For = 3 * time.Minute

	// It is kept firing for three hours, and when nothing is known then for one more.
	p["mine"].Tiers[0].KeepFiringFor = 3 * time.Hour
	require.NotEmpty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 10, drill.Failing, 4+180, drill.Healthy), 0))
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 10, drill.Failing, 4+181, drill.Healthy), 0))
	for n, want := range map[int]time.Time{4 + 180: drill.At(734 + 180), 4 + 239: drill.At(734 + 180)} {
		got := followBy(p, s).see(drill.Slots(720, drill.Healthy, 10, drill.Failing, n, drill.Missing), 0)
		require.Len(t, got, 1, n)
		require.Equal(t, want, got[0].Held, n)
	}
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 10, drill.Failing, 4+240, drill.Missing), 0))
}

// TestATierGoesOnAboveItsReset. It asks for 1,000 bad ones in the hour, which has
// 900 after three failing minutes and 1,500 after five. With 17 of 1,000 a minute from
// then on both windows come down to 17 times what is allowed: less than the factor, more
// than the reset. With 15 the short one is under the reset after five minutes.
func TestATierGoesOnAboveItsReset(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = "mine"
	p := Policies{"mine": {"mine", []Tier{{Name: "fast", Severity: slo.Page, Factor: 20, Reset: 16, Long: hour, Short: 5 * minute, MinBad: 1000}}}}
	less := timeline.Slot{Total: 1000, Bad: 17, Known: true}
	over := timeline.Slot{Total: 1000, Bad: 15, Known: true}
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 3, drill.Failing), 0), "900 bad ones")
	require.NotEmpty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 5, drill.Failing), 0))
	require.NotEmpty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 5, drill.Failing, 300, less), 0), "above its reset")
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 300, less), 0), "under its factor")
	require.Empty(t, followBy(p, s).see(drill.Slots(720, drill.Healthy, 5, drill.Failing, 300, less, 5, over), 0))
}

// TestEvidenceIsUsedOnce: four of 72 requests an hour fail and page. An hour has
// them long after the page is over, and one more that fails is no second page.
func TestEvidenceIsUsedOnce(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = slo.DefaultPolicy
	one := timeline.Slot{Total: 1, Known: true}
	bad := timeline.Slot{Total: 1, Bad: 1, Known: true}
	slots := drill.Slots(720, one, 4, bad, 25, one, 1, bad, 5, one)
	live := follow(s)
	pages := map[int]bool{}
	for n := 700; n <= len(slots); n++ {
		for _, a := range live.see(slots[:n], 0) {
			pages[n] = pages[n] || a.Severity == slo.Page
		}
	}
	require.Len(t, pages, 15, "from the fourth, at 724, for 5 min of the short window and 10 more")
	require.True(t, pages[724] && pages[738])
}

// TestARestartKnowsAnOldEpisode: what began weeks ago began then for a new process
// too, also when it goes on only because it is not over yet: the trickle's ticket
// ends below three quarters of what is allowed, and 0.9 of it would not begin one.
func TestARestartKnowsAnOldEpisode(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = "default"
	overspent := timeline.Slot{Total: 10_000, Bad: 13, Known: true}
	nearly := timeline.Slot{Total: 10_000, Bad: 9, Known: true}
	const days = 24 * 60
	slots := drill.Slots(10*days, drill.Healthy, 15*days, overspent, 9*days, nearly)
	old := follow(s)
	for n := 12 * days; n < len(slots); n += 12 * 60 {
		old.see(slots[:n], 0)
	}
	want := old.see(slots, 0)
	require.Len(t, want, 1)
	require.Equal(t, "trickle", want[0].Tier)
	require.Less(t, want[0].Since, drill.At(20*days))
	require.Equal(t, want, firesAt(s, slots, 0))
	require.Empty(t, firesAt(s, drill.Slots(25*days, drill.Healthy, 9*days, nearly), 0))
}

// TestAJobThatIsMissedAgainAndAgainIsOnePage: of an hourly job each run is missed for a
// day. By chance four of six are missed in 2.2 of a million windows of 6 h at 98 %,
// three in 1.5 of ten thousand, so the fourth pages, once, until an hour after the last.
func TestAJobThatIsMissedAgainAndAgainIsOnePage(t *testing.T) {
	s := drill.SLO(t)
	s.Objective, s.Alerting.Policy = drill.Objective(t, "98"), "default"
	s.Indicator = slo.JobRuns{Numbers: slo.Runs{LastSuccess: "x", Every: time.Hour}}
	none := timeline.Slot{Known: true}
	hours := func(n int, bad float64) []any {
		var out []any
		for range n {
			out = append(out, 59, none, 1, timeline.Slot{Total: 1, Bad: bad, Known: true})
		}
		return out
	}
	slots := drill.Slots(append(append(hours(48, 0), hours(24, 1)...), hours(24, 0)...)...)
	f := follow(s)
	var fires []int
	for n := 1; n <= len(slots); n++ {
		if alerts := pages(f.see(slots[:n], 0)); len(alerts) > 0 {
			fires = append(fires, n)
		}
	}
	require.NotEmpty(t, fires)
	require.Equal(t, 52*60, fires[0])
	require.Equal(t, 73*60-1, fires[len(fires)-1])
	require.Len(t, fires, fires[len(fires)-1]-fires[0]+1, "without a break")
}
