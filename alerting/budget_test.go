package alerting

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// daySLO is an SLO of 99 % over a day with the classic policy. With 1,000 events a
// minute, of which 1,440,000 are in a day, 14,400 may be bad.
func daySLO(t *testing.T) *slo.SLO {
	s := drill.SLO(t)
	s.Objective, s.Window = drill.Objective(t, "99"), slo.Rolling(day)
	return s
}

// budgetAlerts are since when alerts about the budget fire, in slots after begin, by
// their names.
func budgetAlerts(alerts []evaluator.FiringAlert) map[string]int {
	out := map[string]int{}
	for _, a := range alerts {
		if a.Name != slo.DefaultAlertName {
			name := a.Name
			if a.RemainingBelow > 0 {
				name += " " + humanize.Digits(100*a.RemainingBelow, 10) + "%"
			}
			out[name] = int(timeline.MinuteOf(a.Since) - drill.Begin)
		}
	}
	return out
}

// TestASpentBudgetIsOneTicket: 72 + 47*300 + 228 are all 14,400 that may be bad, at slot
// 1440 + 49. When the 72 leave the day 0.5 % are left, with the next 300 2.6 %.
func TestASpentBudgetIsOneTicket(t *testing.T) {
	s := daySLO(t)
	slots := drill.Slots(1440, drill.Healthy, 1, drill.Bad(72), 47, drill.Bad(300), 1, drill.Bad(228), 1440, drill.Healthy)
	spent := map[string]int{"ErrorBudgetExhausted": 1489}
	live := follow(s)
	for _, step := range []struct {
		at   int
		want map[string]int
	}{{1487, map[string]int{}}, {1489, spent}, {1500, spent}, {2881, spent}, {2883, spent}, {2884, map[string]int{}}} {
		got := budgetAlerts(live.seeAll(slots[:step.at], 2))
		delete(got, slo.ForecastAlert)
		require.Equal(t, step.want, got, step.at)
	}
	require.Equal(t, spent, budgetAlerts(allAt(s, slots[:2881])), "a process that starts says the same")

	s.Alerting.Ticket.Disabled = true
	require.Empty(t, budgetAlerts(allAt(s, slots[:1500])))
	s.Alerting.Ticket.Disabled = false
	require.Empty(t, budgetAlerts(allAt(s, drill.Slots(700, drill.Bad(300)))), "most of the window is not known")
	require.NotEmpty(t, budgetAlerts(allAt(s, drill.Slots(720, drill.Bad(300)))))
}

// TestAnAlertIsDatedHonestly: what was spent for twelve days began at or before the
// first of the seven days that a process reads.
func TestAnAlertIsDatedHonestly(t *testing.T) {
	s := daySLO(t)
	const minutes = 12 * 1440
	restarted := timeline.NewTimeline(drill.Begin + minutes - timeline.Minute(BuiltIn().Lookback(s).Minutes()))
	for restarted.End() < drill.Begin+minutes {
		restarted.Append(drill.Bad(12)) // 1.2 times what may be
	}
	judge := BuiltIn().NewJudge()
	for later := range 3 {
		restarted.Append(drill.Bad(12))
		alerts := slices.DeleteFunc(judge(s, restarted, restarted.End()), func(a evaluator.FiringAlert) bool { return a.Name != slo.ExhaustedAlert })
		require.Len(t, alerts, 1)
		require.True(t, alerts[0].Older)
		require.Equal(t, drill.At(minutes-7*1440), alerts[0].Since, later)
	}
	all := follow(s).seeAll(drill.Slots(1440, drill.Healthy, minutes, drill.Bad(12)), 0)
	for _, a := range all {
		if a.Name == slo.ExhaustedAlert { // 14,400 are bad 1,200 slots after the first
			require.Equal(t, drill.At(1440+1200), a.Since)
			require.False(t, a.Older)
		}
	}
}

// TestASpentBudgetStaysWhileNobodySees: 480 bad minutes of 40 spend the budget after 360. Of 400
// minutes without data nobody judges the last 280, in which 340 of them leave the window, and
// the rest would be less than is allowed. A minute that is seen ends it.
func TestASpentBudgetStaysWhileNobodySees(t *testing.T) {
	s := daySLO(t)
	slots := drill.Slots(480, drill.Bad(40), 900, drill.Healthy, 400, drill.Missing, 1, drill.Healthy)
	spent := map[string]int{"ErrorBudgetExhausted": 720} // half of the day is known
	live := follow(s)
	require.Equal(t, spent, budgetAlerts(live.seeAll(slots[:1380], 0)))
	require.Equal(t, spent, budgetAlerts(live.seeAll(slots[:1780], 0)))
	require.Equal(t, spent, budgetAlerts(allAt(s, slots[:1780])), "a process that starts says the same")
	require.Empty(t, budgetAlerts(live.seeAll(slots, 0)))
}

// TestTheForecastOfABudget: six hours at 0.95 times the allowed rate take 23.75 % of the
// budget of a day. So much is left after 1,156 slots. A page ends it not.
func TestTheForecastOfABudget(t *testing.T) {
	s := daySLO(t)
	slots := drill.Slots(1440, drill.Healthy, 1156, drill.Bad(9.5), 4, drill.Bad(300), 200, drill.Healthy)
	live := follow(s)
	require.Empty(t, budgetAlerts(live.seeAll(slots[:1440+1155], 0)))
	soon := map[string]int{"ErrorBudgetForecast": 1440 + 1156}
	require.Equal(t, soon, budgetAlerts(live.seeAll(slots[:1440+1156], 0)))
	alerts := live.seeAll(slots[:1440+1160], 0)
	require.NotEmpty(t, pages(alerts))
	require.Equal(t, soon, budgetAlerts(alerts))
	require.Equal(t, soon, budgetAlerts(allAt(s, slots[:1440+1160])), "a process that starts says the same")

	burst := drill.Slots(1440, drill.Healthy, 20, drill.Bad(300), 15, drill.Healthy) // 6,000 of 360,000 in six hours take 41.7 %, 58.3 % are left
	alerts = allAt(s, burst)
	require.Empty(t, budgetAlerts(alerts))
	burst = drill.Slots(1440, drill.Healthy, 26, drill.Bad(300)) // 7,800 take 54 %, 46 % are left, but a page fires
	alerts = allAt(s, burst)
	require.NotEmpty(t, pages(alerts))
	require.Empty(t, budgetAlerts(alerts), "which says it itself")
}

// TestASpentCalendarBudget is dated by the quarter of an hour in which it was spent, in
// each process. The day begins at a multiple of 1,440 minutes.
func TestASpentCalendarBudget(t *testing.T) {
	s := daySLO(t)
	var err error
	s.Window, err = slo.NewCalendar(slo.Week, "UTC")
	require.NoError(t, err)
	start, _ := s.Window.At(drill.Begin.Time().Add(14 * 24 * time.Hour))
	first := int(timeline.MinuteOf(start) - drill.Begin)
	slots := drill.Slots(first, drill.Healthy, 5*1440, drill.Healthy, 400, drill.Bad(300))
	// All of the projected 10,080,000 may have 100,800 bad: 336 slots of 300.
	spent := map[string]int{"ErrorBudgetExhausted": (first+5*1440+336+14)/15*15 + int(drill.Begin%15)}
	live := follow(s)
	got := budgetAlerts(live.seeAll(slots[:first+5*1440+330], 0))
	require.NotContains(t, got, "ErrorBudgetExhausted")
	require.Equal(t, spent, budgetAlerts(live.seeAll(slots, 0)))
	require.Equal(t, spent, budgetAlerts(allAt(s, slots)))
}

// TestWhatWasAgreedOnIsATicket: at 9.5 bad events a slot less than 29 % is left after
// 1,077 slots, less than 10 % after 1,365. When 16 of them left the day more than 11 % is.
func TestWhatWasAgreedOnIsATicket(t *testing.T) {
	s := daySLO(t)
	s.BudgetPolicy = []slo.BudgetStep{{Below: 0.29, Action: "no risky deploys", Gate: slo.GateWarn}, {Below: 0.1, Action: "freeze", Gate: slo.GateBlock}}
	slots := drill.Slots(1440, drill.Healthy, 1365, drill.Bad(9.5), 1440, drill.Healthy)
	live := follow(s)
	for _, step := range []struct {
		at   int
		want string
		from int
	}{{1440 + 1076, "", 0}, {1440 + 1077, "29%", 1440 + 1077}, {1440 + 1364, "29%", 1440 + 1077}, {1440 + 1365, "10%", 1440 + 1365}, {2895, "10%", 1440 + 1365}, {2896, "29%", 2896}} {
		want := map[string]int{}
		if step.want != "" {
			want["ErrorBudgetPolicy "+step.want] = step.from
		}
		for _, got := range []map[string]int{budgetAlerts(live.seeAll(slots[:step.at], 0)), budgetAlerts(allAt(s, slots[:step.at]))} {
			delete(got, slo.ForecastAlert)
			require.Equal(t, want, got, step.at)
		}
	}
}

// TestTheForecastInACalendarMonth: a day before its end the last day at 3 takes 10 %.
func TestTheForecastInACalendarMonth(t *testing.T) {
	const days = 24 * time.Hour
	require.Equal(t, 3*days, lookahead(3*days, 0, drill.Begin))
	require.Equal(t, 3*days, lookahead(3*days, drill.Begin+30*1440, drill.Begin))
	require.Equal(t, days, lookahead(3*days, drill.Begin+1440, drill.Begin))
}
