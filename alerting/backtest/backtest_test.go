package backtest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// healthyDays is how long all is well before begin: longer than all that a
// backtest of 30 d looks back.
const healthyDays = 41

// after returns a timeline with these slots after begin. All slots before it are as
// before says.
func after(before timeline.Slot, slots []timeline.Slot) *timeline.Timeline {
	t := timeline.NewTimeline(drill.Begin - healthyDays*24*60)
	for t.End() < drill.Begin {
		t.Append(before)
	}
	for _, s := range slots {
		t.Append(s)
	}
	return t
}

// backtestOf plays n slots after begin.
func backtestOf(n int, names []string, objectives ...slo.Objective) *Replay {
	return &Replay{Policies: alerting.BuiltIn(), Names: names, Objectives: objectives, From: drill.Begin, To: drill.Begin + timeline.Minute(n)}
}

func secondsOf(minutes float64) *float64 {
	s := 60 * minutes
	return &s
}

func instantOf(n int) *time.Time {
	t := drill.At(n)
	return &t
}

// TestBacktest works out two days by hand: 1,000 events a minute, of which 300 are
// bad in the minutes 721 to 740; the last 720 minutes are not known. Of the 43,200
// minutes of 30 d one event each may be bad. Such windows begin with a quarter of an
// hour, so those that end at 723, 740 and 770 are 3, 5 and 5 minutes longer.
func TestBacktest(t *testing.T) {
	timeline := after(drill.Healthy, drill.Slots(720, drill.Healthy, 20, drill.Failing, 1420, drill.Healthy, 720, drill.Missing))
	tested, results := backtestOf(2880, nil).Test(loop.Past{SLO: drill.SLO(t), Timeline: timeline})

	require.Equal(t, 2_160_000.0, tested.Total)
	require.Equal(t, 6000.0, tested.Bad)
	require.Equal(t, 0.75, tested.Coverage)
	require.Empty(t, tested.Error)
	require.Nil(t, tested.Suggestion.Objective)
	require.Equal(t, "the history since "+drill.Begin.Time().Format(dayAndTime)+" is shorter than a window of 30d", tested.Suggestion.Reason)

	require.Len(t, results, 1)
	r := results[0]
	require.Equal(t, "classic", r.Policy)
	require.Equal(t, 0.999, r.Objective)
	require.Equal(t, []int{1, 1, 0, 0}, []int{r.Pages, r.Tickets, r.Missed, r.False})
	require.InDelta(t, 1/(1.5/7), *r.PagesPerWeek, 1e-12) // of the day and a half that is known
	require.Equal(t, secondsOf(2), r.Detection)
	// Of the last 30 d 42,480 minutes are known.
	require.InDelta(t, 1-6000.0/42480, *r.Remaining, 1e-12)

	// The page begins with the third minute, for 900 of the 60,000 events of an hour
	// are more than 1.44 %. The half hour that ends 29 minutes after the last holds
	// it. All five minutes fail at the peak.
	page, ticket := r.Episodes[0], r.Episodes[1]
	require.Equal(t, []string{slo.Page, "fast"}, []string{page.Severity, page.Tier})
	require.Equal(t, drill.At(723), page.Start)
	require.Equal(t, instantOf(770), page.End)
	require.Equal(t, 6000.0, page.Bad)
	require.InDelta(t, 6000.0/43205, *page.Consumed, 1e-12)
	require.InDelta(t, 300, *page.PeakBurnRate, 1e-9)
	require.Equal(t, instantOf(720), page.IncidentStart)
	// The ticket begins with the 15th, for 4,500 are more than 0.3 % of the 1,440,000
	// of a day. The six hours have more than 360 bad events until 739 leaves. Two
	// hours of 120,000 events have 5 % at their peak.
	require.Equal(t, []string{slo.Ticket, "daily"}, []string{ticket.Severity, ticket.Tier})
	require.Equal(t, drill.At(735), ticket.Start)
	require.Equal(t, instantOf(1099), ticket.End)
	require.InDelta(t, 50, *ticket.PeakBurnRate, 1e-9)

	require.Len(t, r.Incidents, 1)
	in := r.Incidents[0]
	require.Equal(t, []time.Time{drill.At(720), drill.At(740)}, []time.Time{in.Start, in.End})
	require.Equal(t, []float64{20_000, 6000}, []float64{in.Total, in.Bad})
	require.InDelta(t, 6000.0/43205, *in.Consumed, 1e-12)
	require.Equal(t, slo.Page, in.Severity)
	require.Equal(t, secondsOf(2), in.Detection)
	require.InDelta(t, 900.0/43203, *in.Before, 1e-12)
}

// TestBacktestTellsMissedFromFalse by what policies and objectives say of the same
// counts.
func TestBacktestTellsMissedFromFalse(t *testing.T) {
	few := timeline.Slot{Total: 1, Known: true}
	tests := []struct {
		name       string
		before     timeline.Slot
		slots      []timeline.Slot
		policy     string
		objective  string
		pages      int
		incidents  int
		missed, no int
	}{
		// 8 h at twice the allowed rate are 960 bad events, 2.2 % of the budget. No
		// window of a tier has enough of them.
		{"a trickle that nobody sees", drill.Healthy, drill.Slots(480, timeline.Slot{Total: 1000, Bad: 2, Known: true}), "classic", "99.9", 0, 1, 1, 0},
		{"the same, that default misses too", drill.Healthy, drill.Slots(480, timeline.Slot{Total: 1000, Bad: 2, Known: true}), "default", "99.9", 0, 1, 1, 0},
		// At 99 % that rate is a fifth of what is allowed.
		{"no incident of a lower objective", drill.Healthy, drill.Slots(480, timeline.Slot{Total: 1000, Bad: 2, Known: true}), "classic", "99", 0, 0, 0, 0},
		// One of 60 events of an hour is 1.7 %, and one of 43,200 that allow 43 is 2.3 %
		// of the budget; but one of one is no evidence.
		{"a single failure", few, drill.Slots(1, timeline.Slot{Total: 1, Bad: 1, Known: true}), "classic", "99.9", 1, 0, 0, 1},
		{"a single failure, by default", few, drill.Slots(1, timeline.Slot{Total: 1, Bad: 1, Known: true}), "default", "99.9", 0, 0, 0, 0},
		// 40 failing minutes are 12,000, and as many eight hours later another incident.
		{"two incidents", drill.Healthy, drill.Slots(40, drill.Failing, 480, drill.Healthy, 40, drill.Failing), "default", "99.9", 2, 2, 0, 0},
		// Three hours apart they are one.
		{"an incident with a break", drill.Healthy, drill.Slots(40, drill.Failing, 180, drill.Healthy, 40, drill.Failing), "default", "99.9", 2, 1, 0, 0},
		{"nothing is known for a while", drill.Healthy, drill.Slots(100, drill.Missing), "classic", "99.9", 0, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			slots := append(drill.Slots(60, tt.before), tt.slots...)
			for len(slots) < 1440 {
				slots = append(slots, tt.before)
			}
			b := backtestOf(1440, []string{tt.policy}, drill.Objective(t, tt.objective))
			_, results := b.Test(loop.Past{SLO: drill.SLO(t), Timeline: after(tt.before, slots)})
			r := results[0]
			require.Equal(t, []int{tt.pages, tt.incidents, tt.missed, tt.no}, []int{r.Pages, len(r.Incidents), r.Missed, r.False})
		})
	}
}

// TestBacktestMissesNothingThatGoesOn: 8 h at twice the allowed rate, which no tier tells,
// that go on at the end, or ended 15 or 16 minutes before.
func TestBacktestMissesNothingThatGoesOn(t *testing.T) {
	for quiet, missed := range map[int]int{0: 0, 15: 0, 16: 1} {
		slots := drill.Slots(960, drill.Healthy, 480, timeline.Slot{Total: 1000, Bad: 2, Known: true}, quiet, drill.Healthy)
		_, results := backtestOf(len(slots), nil).Test(loop.Past{SLO: drill.SLO(t), Timeline: after(drill.Healthy, slots)})
		r := results[0]
		require.Len(t, r.Incidents, 1)
		require.Equal(t, []any{missed, missed == 0}, []any{r.Missed, r.Incidents[0].Open}, quiet)
	}
}

// TestBacktestGoesOnFromBefore: an alert that began before the time that is looked
// at is dated right, and is no new page.
func TestBacktestGoesOnFromBefore(t *testing.T) {
	timeline := after(drill.Healthy, drill.Slots(720, drill.Healthy, 20, drill.Failing, 1420, drill.Healthy))
	b := &Replay{Policies: alerting.BuiltIn(), From: drill.Begin + 730, To: drill.Begin + 800}
	_, results := b.Test(loop.Past{SLO: drill.SLO(t), Timeline: timeline})
	require.Equal(t, drill.At(723), results[0].Episodes[0].Start)
	require.Equal(t, []int{0, 1}, []int{results[0].Pages, results[0].Tickets}) // which began at 735
	require.Nil(t, results[0].Episodes[1].End)
	require.Equal(t, drill.At(720), results[0].Incidents[0].Start)
}

// TestBacktestBeginsBetweenAnIncidentAndItsEnd: the ticket of an incident that is over
// goes on for a day, and is no false alarm. Nor is a page missed that ended.
func TestBacktestBeginsBetweenAnIncidentAndItsEnd(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = slo.DefaultPolicy
	of := func(from int, slots []timeline.Slot) TestResult {
		b := &Replay{Policies: alerting.BuiltIn(), From: drill.Begin + timeline.Minute(from), To: drill.Begin + timeline.Minute(len(slots))}
		_, results := b.Test(loop.Past{SLO: s, Timeline: after(drill.Healthy, slots)})
		return results[0]
	}
	r := of(800, drill.Slots(720, drill.Healthy, 20, drill.Failing, 1420, drill.Healthy))
	require.Len(t, r.Episodes, 1)
	require.Equal(t, drill.At(720), *r.Episodes[0].IncidentStart)
	require.Equal(t, 6000.0, r.Episodes[0].Bad)
	require.Equal(t, []int{0, 0, 0, 0}, []int{r.Tickets, r.False, r.Missed, len(r.Incidents)})

	s.Alerting.Ticket.Disabled = true
	r = of(800, drill.Slots(720, drill.Healthy, 20, drill.Failing, 355, drill.Healthy, 2, drill.Failing, 400, drill.Healthy))
	require.Empty(t, r.Episodes)
	require.Len(t, r.Incidents, 1, "it got worse once more")
	require.Equal(t, slo.Page, r.Incidents[0].Severity)
}

// TestBacktestOfAPageWhileATicketIsOpen: the ticket of an incident eight hours ago
// tells nobody of the next. Its page comes with the third bad minute.
func TestBacktestOfAPageWhileATicketIsOpen(t *testing.T) {
	timeline := after(drill.Healthy, drill.Slots(60, drill.Healthy, 40, drill.Failing, 480, drill.Healthy, 40, drill.Failing, 100, drill.Healthy))
	_, results := backtestOf(720, []string{slo.DefaultPolicy}).Test(loop.Past{SLO: drill.SLO(t), Timeline: timeline})
	require.Len(t, results[0].Incidents, 2)
	second := results[0].Incidents[1]
	require.Equal(t, slo.Page, second.Severity)
	require.Equal(t, secondsOf(2), second.Detection)
}

// TestBacktestOfWhatIsExcluded: an incident that is excluded is none, and costs
// nothing.
func TestBacktestOfWhatIsExcluded(t *testing.T) {
	s := drill.Excluding(drill.SLO(t), 715, 745)
	timeline := after(drill.Healthy, drill.Slots(720, drill.Healthy, 20, drill.Failing, 700, drill.Healthy)).ViewFor(s)
	tested, results := backtestOf(1440, nil).Test(loop.Past{SLO: s, Timeline: timeline})
	require.Equal(t, []float64{1_410_000, 0, 1}, []float64{tested.Total, tested.Bad, tested.Coverage})
	require.Empty(t, results[0].Episodes)
	require.Empty(t, results[0].Incidents)
	require.Equal(t, 1.0, *results[0].Remaining)
}

// TestBacktestInACalendarMonth: begin lies in January, of which 44,640 minutes have
// 1,000 events each; alerts and incidents are those of 30 d.
func TestBacktestInACalendarMonth(t *testing.T) {
	s := drill.SLO(t)
	var err error
	s.Window, err = slo.NewCalendar(slo.Month, "UTC")
	require.NoError(t, err)
	_, results := backtestOf(1440, nil).Test(loop.Past{SLO: s, Timeline: after(drill.Healthy, drill.Slots(720, drill.Healthy, 20, drill.Failing, 700, drill.Healthy))})
	r := results[0]
	require.InDelta(t, 1-6000.0/44640, *r.Remaining, 1e-9)
	require.Equal(t, drill.At(723), r.Episodes[0].Start)
	require.InDelta(t, 6000.0/43205, *r.Incidents[0].Consumed, 1e-12)
}

// TestBacktestSaysWhatTheJudgeSays, called minute by minute as a service does whose
// old slots are folded. Incidents and unknown and excluded stretches come at random.
func TestBacktestSaysWhatTheJudgeSays(t *testing.T) {
	for _, policy := range []string{"classic", "default"} {
		for _, excluded := range []bool{false, true} {
			s := drill.SLO(t)
			s.Window, s.Alerting.Policy = slo.Rolling(7*drill.Day), policy
			if excluded {
				s = drill.Excluding(s, 2000, 2100, 3000, 3007, 5000, 5500)
			}
			r := rand.New(rand.NewPCG(3, 4))
			var slots []timeline.Slot
			for len(slots) < 9000 {
				switch r.IntN(4) {
				case 0:
					slots = append(slots, drill.Slots(1+r.IntN(20), drill.Failing)...)
				case 1:
					slots = append(slots, drill.Slots(1+r.IntN(50), drill.Missing)...)
				default:
					slots = append(slots, drill.Slots(1+r.IntN(300), drill.Healthy)...)
				}
			}
			slots = slots[:9000]
			got := episodes(alerting.BuiltIn(), s, after(drill.Healthy, slots).ViewFor(s), drill.Begin, drill.Begin+9000)

			live, judge := after(drill.Healthy, nil), alerting.BuiltIn().NewJudge()
			var want []Episode
			for i, slot := range slots {
				live.Append(slot)
				at := drill.Begin + timeline.Minute(i) + 1
				now := slices.DeleteFunc(judge(s, live.ViewFor(s), at), func(a evaluator.FiringAlert) bool { return !a.Burns() })
				for j := range want {
					e := &want[j]
					if e.End == nil {
						goesOn := false
						for _, a := range now {
							goesOn = goesOn || a.Severity == e.Severity && a.Since.Equal(e.Start)
						}
						if !goesOn {
							e.End = instantOf(i + 1)
						}
					}
				}
				for _, a := range now {
					if a.Since.Equal(drill.At(i + 1)) {
						want = append(want, Episode{Severity: a.Severity, Tier: a.Tier, Start: a.Since})
					}
				}
				if !excluded { // whose quarters a service keeps singly
					live.Fold(drill.Begin-healthyDays*24*60, at-3*24*60)
				}
			}
			require.Greater(t, len(want), 20)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, []any{want[i].Severity, want[i].Tier, want[i].Start, want[i].End},
					[]any{got[i].Severity, got[i].Tier, got[i].Start, got[i].End})
			}
		}
	}
}

// TestSuggestions by windows of 6 h with 360,000 events.
func TestSuggestions(t *testing.T) {
	broken := timeline.Slot{Total: 1000, Bad: 700, Known: true}
	few := timeline.Slot{Total: 1, Known: true}
	at := func(n int) string { return (drill.Begin + timeline.Minute(n)).Time().Format(dayAndTime) }
	tests := []struct {
		name  string
		slots []timeline.Slot
		want  string // percent; "" for none
		why   string
	}{
		// 6,000 bad events are 1.67 % of six hours: 33 % of the 5 % that 95 % allow. The
		// last window that holds all of them ends 360 minutes after they begin.
		{"an incident", drill.Slots(720, drill.Healthy, 20, drill.Failing, 2140, drill.Healthy), "95",
			"in the worst 6h, until " + at(1080) + ", 6,000 of 360,000 events were bad, 33 % of the budget; 99 % would have taken 167 %"},
		// In no window that holds it is more than 315 of 360 minutes known.
		{"an incident between gaps", drill.Slots(720, drill.Healthy, 45, drill.Missing, 20, drill.Failing, 45, drill.Missing, 2050, drill.Healthy), "95",
			"in the worst 6h, until " + at(1125) + ", 6,000 of 360,000 events were bad (of which 88 % are known; the others are taken to be good), " +
				"33 % of the budget; 99 % would have taken 167 %"},
		// 42,000 are 11.7 %.
		{"none", drill.Slots(720, drill.Healthy, 60, broken, 2100, drill.Healthy), "",
			"in the worst 6h, until " + at(1080) + ", 42,000 of 360,000 events were bad: 90 % would have taken 117 %"},
		// 0.01 % of 360,000 are 36, and 0.005 % are 18, 0.001 % are 3.6.
		{"nothing bad", drill.Slots(2880, drill.Healthy), "99.995",
			"in the worst 6h, until " + at(2880) + ", 0 of 360,000 events were bad, 0 % of the budget; 99.999 % allows 3.6 bad events in the quietest 6h, fewer than 10"},
		// 90 % of 360 events allow 36, 95 % 18, 99 % 3.6.
		{"few events", drill.Slots(2880, few), "95",
			"in the worst 6h, until " + at(2880) + ", 0 of 360 events were bad, 0 % of the budget; 99 % allows 3.6 bad events in the quietest 6h, fewer than 10"},
		// 1,000 a minute are 360,000; 500 are 28 % of what 99.5 % allows of them, and 139 % of what 99.9 % does.
		{"counted after a gap", drill.Slots(1995, drill.Healthy, 884, drill.Missing, 1, timeline.Slot{Total: 1000, Bad: 500}), "99.5",
			"in the worst 6h, until " + at(2880) + ", 500 of 360,000 events were bad (of which 0 % are known; the others are taken to be good)" +
				", 28 % of the budget; 99.9 % would have taken 139 %"},
		{"too short", drill.Slots(2521, drill.Missing, 359, drill.Healthy), "", "the history since " + at(2521) + " is shorter than a window of 6h"},
		// The ends of windows are 360, 375 ... 2880: 169. Of those from 360 to 1215 at
		// least 324 minutes are known, since the gap begins at 1180.
		{"too little", drill.Slots(1180, drill.Healthy, 1700, drill.Missing), "", "too little is known: only 58 of 169 windows of 6h since " + at(0) + " have events and 90 % of their minutes known"},
		{"nothing happened", drill.Slots(2880, timeline.Slot{Known: true}), "", "too little is known: only 0 of 169 windows of 6h since " + at(0) + " have events and 90 % of their minutes known"},
		{"nothing known", drill.Slots(2880, drill.Missing), "", "nothing is known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := drill.SLO(t)
			s.Window = slo.Rolling(6 * slo.Window(time.Hour))
			got := suggest(s, after(drill.Healthy, tt.slots), drill.Begin, drill.Begin+2880)
			require.Equal(t, tt.why, got.Reason)
			if tt.want == "" {
				require.Nil(t, got.Objective)
				return
			}
			require.Equal(t, drill.Objective(t, tt.want).Ratio(), *got.Objective)
		})
	}
}

// TestABacktestKnowsAnOldEpisode: the trickle's ticket began three weeks before the day
// that is looked at, and goes on because it ends only below three quarters of what is
// allowed.
func TestABacktestKnowsAnOldEpisode(t *testing.T) {
	s := drill.SLO(t)
	s.Alerting.Policy = "default"
	const days = 24 * 60
	past := after(drill.Healthy, drill.Slots(15*days, timeline.Slot{Total: 10_000, Bad: 13, Known: true}, 9*days, timeline.Slot{Total: 10_000, Bad: 9, Known: true}))
	fires := alerting.BuiltIn().NewJudge()(s, past, past.End())
	require.Equal(t, "trickle", fires[0].Tier)
	_, results := (&Replay{Policies: alerting.BuiltIn(), From: past.End() - days, To: past.End()}).Test(loop.Past{SLO: s, Timeline: past})
	require.Len(t, results[0].Episodes, 1)
	require.Equal(t, fires[0].Since, results[0].Episodes[0].Start)
	require.Equal(t, 0, results[0].Tickets)
}
