package alerting

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// teller follows reports about one SLO, and says what fires and what is posted as
// resolved, by alertnames.
type teller struct {
	t      *testing.T
	sender *Sender
	now    time.Time

	complete func(*evaluator.Report)
	missing  *evaluator.Missing
	began    time.Time
	shown    []evaluator.FiringAlert // in the last report
}

// report has the sender follow a report.
func (x *teller) report(r *evaluator.Report) {
	x.complete(r)
	x.shown = nil
	for _, s := range r.SLOs {
		x.shown = append(x.shown, s.Alerts...)
	}
	x.sender.update(r, x.now)
}

func newTeller(t *testing.T) *teller {
	b := newBoard(time.Now)
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	return &teller{t: t, sender: b.sender(), now: now, complete: NewCompleter("https://slo.example.org/").Complete, began: now}
}

// about is the status of an SLO whose own window and whose three days are known.
func (x *teller) about(state evaluator.State, remaining, burning float64) evaluator.Status {
	since := x.now
	return evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Window: "30d", Backend: "default",
		State: state, StateReason: "target down", StateSince: &since, DataUntil: &x.now, Spec: policySLO(x.t),
		Windows: []evaluator.WindowStatus{
			{Name: "3d", Seconds: 3 * 86400, End: x.now, Coverage: 1, BurnRate: &burning},
			{Name: "30d", Seconds: 30 * 86400, End: x.now, Coverage: 1},
		},
		Budget: evaluator.Budget{Remaining: &remaining},
	}
}

// see shows a status so many minutes later.
func (x *teller) see(minutes int, s evaluator.Status) (firing, resolved []string) {
	x.now = x.now.Add(time.Duration(minutes) * time.Minute)
	at := x.now
	s.DataUntil = &at
	s.Windows = slices.Clone(s.Windows)
	for i := range s.Windows {
		s.Windows[i].End = at
	}
	if s.State != evaluator.StateQueryFailed {
		s.At = at
	}
	s.Missing = x.missing
	if s.State == evaluator.StateNoData {
		s.Missing = &evaluator.Missing{Reason: s.StateReason, At: at, Never: s.StateSince == nil, Since: x.began}
		if s.StateSince != nil {
			s.Missing.Since = *s.StateSince
		}
	}
	if x.missing = s.Missing; sees(&s) {
		s.Missing, x.missing = nil, nil
	}
	x.report(&evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{s}})
	names := func(alerts map[string]Alert) []string {
		var out []string
		for _, a := range alerts {
			out = append(out, a.Labels["alertname"])
		}
		slices.Sort(out)
		return out
	}
	return names(x.sender.firing), names(x.sender.resolved)
}

// TestNoDataBeginsOnlyWhileItIsSeen: ten minutes without samples, and ten in which nobody
// can ask for them, are no quarter of an hour.
func TestNoDataBeginsOnlyWhileItIsSeen(t *testing.T) {
	x := newTeller(t)
	gone := x.about(evaluator.StateNoData, 0.5, 0)
	firing, _ := x.see(10, gone)
	require.Empty(t, firing)
	failed := x.about(evaluator.StateQueryFailed, 0.5, 0)
	failed.At = x.now
	firing, _ = x.see(9, failed)
	require.Empty(t, firing)
	firing, _ = x.see(1, gone)
	require.Equal(t, []string{"SLONoData"}, firing)
}

func TestNoDataIsAnAlertAfterATime(t *testing.T) {
	x := newTeller(t)
	gone := x.about(evaluator.StateNoData, 0.5, 0)
	began := x.now
	firing, _ := x.see(14, gone)
	require.Empty(t, firing)
	firing, _ = x.see(1, gone)
	require.Equal(t, []string{"SLONoData"}, firing)
	for _, a := range x.sender.firing {
		require.Equal(t, map[string]string{"alertname": "SLONoData", "slo_id": "checkout/availability", "slo_service": "checkout",
			"slo": "availability", "severity": "ticket", "backend": "default"}, a.Labels)
		require.Equal(t, "target down", a.Annotations["reason"])
		require.Equal(t, began.Add(15*time.Minute), a.StartsAt)
	}
	// That the backend can't be read says nothing of it.
	firing, resolved := x.see(1, x.about(evaluator.StateQueryFailed, 0.5, 0))
	require.Equal(t, []string{"SLONoData"}, firing)
	require.Empty(t, resolved)
	for _, a := range x.sender.firing {
		require.True(t, a.old, "a replica that reads it may have seen the end")
	}
	firing, resolved = x.see(1, x.about(evaluator.StateNoTraffic, 0.5, 0))
	require.Empty(t, firing)
	require.Equal(t, []string{"SLONoData"}, resolved)

	never := x.about(evaluator.StateNoData, 0.5, 0)
	never.StateSince = nil
	x = newTeller(t)
	firing, _ = x.see(14, never)
	require.Empty(t, firing, "it came 14 minutes ago")
	firing, _ = x.see(1, never)
	require.Equal(t, []string{"SLONoData"}, firing, "it never had any")
	for _, a := range x.sender.firing {
		require.Equal(t, x.now, a.StartsAt)
	}

	own := x.about(evaluator.StateNoData, 0.5, 0)
	own.Spec.Alerting.NoData = slo.NoData{Severity: slo.Page, For: time.Hour}
	firing, _ = x.see(59, own)
	require.Empty(t, firing)
	_, _ = x.see(1, own)
	for _, a := range x.sender.firing {
		require.Equal(t, slo.Page, a.Labels["severity"])
	}
	own.Group = map[string]string{"tenant": "acme"}
	firing, _ = newTeller(t).see(90, own)
	require.Empty(t, firing, "the whole tells of its groups")
}

// TestNobodyMissesDataInExcludedTime has no alert about data in excluded time and in
// the quarter of an hour after it. An alert that began before goes on.
func TestNobodyMissesDataInExcludedTime(t *testing.T) {
	x := newTeller(t)
	gone := x.about(evaluator.StateNoData, 0.5, 0)
	away := evaluator.Excluded{Now: true, Spans: []slo.Span{{From: x.now, To: x.now.Add(time.Hour)}}}
	gone.Excluded = away
	firing, _ := x.see(59, gone)
	require.Empty(t, firing)
	gone.Excluded.Now = false
	firing, _ = x.see(15, gone)
	require.Empty(t, firing)
	firing, _ = x.see(1, gone)
	require.Equal(t, []string{"SLONoData"}, firing)
	gone.Excluded = away
	firing, _ = x.see(1, gone)
	require.Equal(t, []string{"SLONoData"}, firing)
}

// daySLO is an SLO of 99 % over a day with the classic policy. With 1,000 events a
// minute, of which 1,440,000 are in a day, 14,400 may be bad.
func daySLO(t *testing.T) *slo.SLO {
	s := policySLO(t)
	s.Objective, s.Window = objective(t, "99"), slo.Rolling(day)
	return s
}

func bad(n float64) timeline.Slot { return timeline.Slot{Total: 1000, Bad: n, Known: true} }

// budgetAlerts are since when alerts about the budget fire, in slots after begin, by
// their names.
func budgetAlerts(alerts []evaluator.FiringAlert) map[string]int {
	out := map[string]int{}
	for _, a := range alerts {
		if a.Name != slo.DefaultAlertName {
			out[strings.TrimSuffix(a.Name+" "+belowOf(a), " ")] = int(timeline.MinuteOf(a.Since) - begin)
		}
	}
	return out
}

// TestASpentBudgetIsOneTicket: 72 + 47*300 + 228 are all 14,400 that may be bad, at slot
// 1440 + 49. When the 72 leave the day 0.5 % are left, with the next 300 2.6 %.
func TestASpentBudgetIsOneTicket(t *testing.T) {
	s := daySLO(t)
	slots := slotsOf(1440, healthy, 1, bad(72), 47, bad(300), 1, bad(228), 1440, healthy)
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
	require.Empty(t, budgetAlerts(allAt(s, slotsOf(700, bad(300)))), "most of the window is not known")
	require.NotEmpty(t, budgetAlerts(allAt(s, slotsOf(720, bad(300)))))
}

// TestAnAlertIsDatedHonestly: what was spent for twelve days began at or before the
// first of the seven days that a process reads.
func TestAnAlertIsDatedHonestly(t *testing.T) {
	s := daySLO(t)
	const minutes = 12 * 1440
	restarted := timeline.NewTimeline(begin + minutes - timeline.Minute(BuiltIn().Lookback(s).Minutes()))
	for restarted.End() < begin+minutes {
		restarted.Append(bad(12)) // 1.2 times what may be
	}
	judge := BuiltIn().NewJudge()
	for later := range 3 {
		restarted.Append(bad(12))
		alerts := slices.DeleteFunc(judge(s, restarted, restarted.End()), func(a evaluator.FiringAlert) bool { return a.Name != slo.ExhaustedAlert })
		require.Len(t, alerts, 1)
		require.True(t, alerts[0].Older)
		require.Equal(t, slotAt(minutes-7*1440), alerts[0].Since, later)
	}
	all := follow(s).seeAll(slotsOf(1440, healthy, minutes, bad(12)), 0)
	for _, a := range all {
		if a.Name == slo.ExhaustedAlert { // 14,400 are bad 1,200 slots after the first
			require.Equal(t, slotAt(1440+1200), a.Since)
			require.False(t, a.Older)
		}
	}
}

// TestASpentBudgetStaysWhileNobodySees: 480 bad minutes of 40 spend the budget after 360. Of 400
// minutes without data nobody judges the last 280, in which 340 of them leave the window, and
// the rest would be less than is allowed. A minute that is seen ends it.
func TestASpentBudgetStaysWhileNobodySees(t *testing.T) {
	s := daySLO(t)
	slots := slotsOf(480, bad(40), 900, healthy, 400, missing, 1, healthy)
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
	slots := slotsOf(1440, healthy, 1156, bad(9.5), 4, bad(300), 200, healthy)
	live := follow(s)
	require.Empty(t, budgetAlerts(live.seeAll(slots[:1440+1155], 0)))
	soon := map[string]int{"ErrorBudgetForecast": 1440 + 1156}
	require.Equal(t, soon, budgetAlerts(live.seeAll(slots[:1440+1156], 0)))
	alerts := live.seeAll(slots[:1440+1160], 0)
	require.NotEmpty(t, pages(alerts))
	require.Equal(t, soon, budgetAlerts(alerts))
	require.Equal(t, soon, budgetAlerts(allAt(s, slots[:1440+1160])), "a process that starts says the same")

	burst := slotsOf(1440, healthy, 20, bad(300), 15, healthy) // 6,000 of 360,000 in six hours take 41.7 %, 58.3 % are left
	alerts = allAt(s, burst)
	require.Empty(t, budgetAlerts(alerts))
	burst = slotsOf(1440, healthy, 26, bad(300)) // 7,800 take 54 %, 46 % are left, but a page fires
	alerts = allAt(s, burst)
	require.NotEmpty(t, pages(alerts))
	require.Empty(t, budgetAlerts(alerts), "which says it itself")
}

// TestTheForecastInACalendarMonth: a day before its end the last day at 3 takes 10 %.
func TestTheForecastInACalendarMonth(t *testing.T) {
	const days = 24 * time.Hour
	require.Equal(t, 3*days, coming(3*days, 0, begin))
	require.Equal(t, 3*days, coming(3*days, begin+30*1440, begin))
	require.Equal(t, days, coming(3*days, begin+1440, begin))

	x := newTeller(t)
	status := x.about(evaluator.StateOK, 0.1, 3)
	end := x.now.Add(days)
	status.Budget.PeriodEnd = &end
	summary, description := aboutBudget(&status, evaluator.FiringAlert{Name: slo.ForecastAlert})
	require.Equal(t, "checkout availability will have spent its error budget before it starts anew at 03:00 UTC on 26 Nov", summary)
	require.Equal(t, "10 % of the 30d budget is left; at the rate of the last 3d nothing will be.", description)
}

// TestASpentCalendarBudget is dated by the quarter of an hour in which it was spent, in
// each process. The day begins at a multiple of 1,440 minutes.
func TestASpentCalendarBudget(t *testing.T) {
	s := daySLO(t)
	var err error
	s.Window, err = slo.NewCalendar(slo.Week, "UTC")
	require.NoError(t, err)
	start, _ := s.Window.At(begin.Time().Add(14 * 24 * time.Hour))
	first := int(timeline.MinuteOf(start) - begin)
	slots := slotsOf(first, healthy, 5*1440, healthy, 400, bad(300))
	// All of the projected 10,080,000 may have 100,800 bad: 336 slots of 300.
	spent := map[string]int{"ErrorBudgetExhausted": (first+5*1440+336+14)/15*15 + int(begin%15)}
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
	slots := slotsOf(1440, healthy, 1365, bad(9.5), 1440, healthy)
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
	x := newTeller(t)
	status := x.about(evaluator.StateOK, 0.2, 0)
	status.Spec.BudgetPolicy = s.BudgetPolicy
	summary, description := aboutBudget(&status, evaluator.FiringAlert{Name: slo.PolicyAlert, RemainingBelow: 0.29})
	require.Equal(t, "checkout availability: no risky deploys", summary)
	require.Equal(t, "20 % of the 30d budget is left; it was agreed on for less than 29%.", description)
}

// TestAnAlertOfAGroupsBudget says which group it is.
func TestAnAlertOfAGroupsBudget(t *testing.T) {
	x := newTeller(t)
	group := x.about(evaluator.StateOK, -0.1, 0)
	group.ID, group.Group = `checkout/availability{tenant="acme"}`, map[string]string{"tenant": "acme"}
	group.Alerts = []evaluator.FiringAlert{{Name: slo.ExhaustedAlert, Severity: slo.Ticket, Since: x.now, Windows: []string{}}}
	firing, _ := x.see(1, group)
	require.Equal(t, []string{"ErrorBudgetExhausted"}, firing)
	for _, a := range x.sender.firing {
		require.Equal(t, `checkout/availability{tenant="acme"} has spent its error budget`, a.Annotations["summary"])
		require.Equal(t, "Nothing (-10 %) of the 30d budget is left. The ticket stays open until more than 1 % is.", a.Annotations["description"])
	}
}

// TestOneAlertForABackendThatCannotBeRead: its end is not posted, for another replica
// may still be blind.
func TestOneAlertForABackendThatCannotBeRead(t *testing.T) {
	x := newTeller(t)
	blindSince := x.now
	report := func(states ...evaluator.State) *evaluator.Report {
		r := &evaluator.Report{EvaluatedAt: x.now}
		for i, state := range states {
			s := x.about(state, 0.5, 0)
			s.ID, s.StateSince = s.ID+string(rune('0'+i)), &blindSince
			r.SLOs = append(r.SLOs, s)
		}
		return r
	}
	x.now = x.now.Add(9 * time.Minute)
	x.report(report(evaluator.StateQueryFailed, evaluator.StateStale, evaluator.StateOK))
	require.Empty(t, x.sender.firing)
	x.now = x.now.Add(time.Minute)
	x.report(report(evaluator.StateQueryFailed, evaluator.StateStale, evaluator.StateOK))
	alerts := slices.Collect(maps.Values(x.sender.firing))
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "SLOBlind", "backend": "default", "severity": "ticket"}, alerts[0].Labels)
	require.Equal(t, "slowburn can't see 2 of 3 SLOs of backend default, such as checkout/availability0", alerts[0].Annotations["summary"])
	x.now = x.now.Add(time.Minute)
	x.report(report(evaluator.StateOK, evaluator.StateOK, evaluator.StateOK))
	require.Empty(t, x.sender.firing)
	require.Empty(t, x.sender.resolved)
}

// TestABackendThatWasNeverRead is told of by a process that starts while it is down.
func TestABackendThatWasNeverRead(t *testing.T) {
	x := newTeller(t)
	never := x.about(evaluator.StateQueryFailed, 0, 0)
	never.StateSince, never.Budget, never.Windows = nil, evaluator.Budget{}, nil
	for _, minutes := range []int{0, 9} {
		firing, _ := x.see(minutes, never)
		require.Empty(t, firing)
	}
	firing, _ := x.see(1, never)
	require.Equal(t, []string{"SLOBlind"}, firing)
	for _, a := range x.sender.firing {
		require.Equal(t, x.now, a.StartsAt)
	}
}

// TestWhatIsSentIsShown: each alert that is posted is in the report, word for word.
func TestWhatIsSentIsShown(t *testing.T) {
	x := newTeller(t)
	status := x.about(evaluator.StateNoData, -0.1, 0)
	since := x.now.Add(-time.Hour)
	status.StateSince = &since
	status.Spec.BudgetPolicy = []slo.BudgetStep{{Below: 0.25, Action: "freeze"}}
	status.Alerts = []evaluator.FiringAlert{
		{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "fast", Windows: []string{"1h", "5m"}, Since: since, Held: x.now},
		{Name: slo.ExhaustedAlert, Severity: slo.Ticket, Since: since}, {Name: slo.PolicyAlert, Severity: slo.Ticket, RemainingBelow: 0.25, Since: since},
	}
	blind := x.about(evaluator.StateQueryFailed, 0.5, 0)
	blind.ID, blind.Backend, blind.StateSince = "checkout/blind", "far", &since
	r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{blind, status}}
	for i := range r.SLOs {
		r.SLOs[i].At = x.now
	}
	r.SLOs[1].Missing = &evaluator.Missing{Since: since, Reason: "target down", At: x.now}
	x.report(r)
	shown := map[string]string{}
	for _, s := range r.SLOs {
		for _, a := range s.Alerts {
			require.NotEmpty(t, a.Summary, a.Name)
			shown[a.Name+" "+a.Severity+" "+a.Since.String()] = a.Summary + ": " + a.Description
		}
	}
	sent := map[string]string{}
	for _, a := range x.sender.firing {
		sent[a.Labels["alertname"]+" "+a.Labels["severity"]+" "+a.StartsAt.String()] = a.Annotations["summary"] + ": " + a.Annotations["description"]
	}
	require.Equal(t, shown, sent)
	require.Len(t, sent, 5)
}

// TestAWholeNamesItsWorstGroups: four of five hosts fire, of which three are named, the
// worst first.
func TestAWholeNamesItsWorstGroups(t *testing.T) {
	x := newTeller(t)
	of := func(host string, burning float64, fires bool) evaluator.Status {
		s := x.about(evaluator.StateOK, 0.5, burning)
		if host != "" {
			s.ID, s.Group = `checkout/availability{host="`+host+`"}`, map[string]string{"host": host}
		} else {
			s.Groups = &evaluator.GroupsStatus{By: []string{"host"}, Count: 5}
		}
		if fires {
			s.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "slow", Windows: []string{"3d", "1d"}, Held: x.now}}
		}
		return s
	}
	r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{
		of("", 20, true), of("db-1", 90, true), of("db-2", 99, true), of("db-7", 50, true), of("web-2", 95, true), of("web-3", 20, true),
	}}
	r.SLOs[2].Alerts[0].Severity = slo.Ticket // which the page is not about
	x.report(r)
	require.Equal(t, "checkout availability burns its error budget 20x too fast (4 of 5 hosts: web-2, db-1, db-7 ...)", r.SLOs[0].Alerts[0].Summary)
	require.Equal(t, `checkout/availability{host="db-1"} burns its error budget 90x too fast`, r.SLOs[1].Alerts[0].Summary)
}

// TestAGroupIsHeldWhileItsWholeIsRead: a report lacks it first, and then has it with a part of
// its history.
func TestAGroupIsHeldWhileItsWholeIsRead(t *testing.T) {
	x := newTeller(t)
	report := func(whole evaluator.State, group ...evaluator.Status) {
		x.now = x.now.Add(time.Minute)
		w := x.about(whole, 0.5, 0)
		w.Groups = &evaluator.GroupsStatus{By: []string{"host"}, Count: len(group)}
		x.report(&evaluator.Report{EvaluatedAt: x.now, SLOs: append([]evaluator.Status{w}, group...)})
		require.Len(t, x.sender.firing, 1)
		require.Empty(t, x.sender.resolved)
	}
	group := x.about(evaluator.StateOK, 0.5, 20)
	group.ID, group.Group = `checkout/availability{host="db-1"}`, map[string]string{"host": "db-1"}
	group.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "slow", Windows: []string{"3d", "1d"}, Held: x.now}}
	report(evaluator.StateOK, group)
	report(evaluator.StateWarming)
	group.Alerts, group.State = nil, evaluator.StateWarming
	report(evaluator.StateWarming, group)
	require.Contains(t, x.shown[0].Description, "it is held because the history that decides is still being read")
}
