package alerting

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// teller follows reports about one SLO, and says what fires and what is posted as
// resolved, by alertnames.
type teller struct {
	t      *testing.T
	sender *Sender
	now    time.Time
}

func newTeller(t *testing.T) *teller {
	b := newBoard(time.Now)
	return &teller{t, b.sender(), time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)}
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
	x.sender.update(&evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{s}}, at)
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
	firing, _ = newTeller(t).see(1, never)
	require.Equal(t, []string{"SLONoData"}, firing, "it never had any")

	own := x.about(evaluator.StateNoData, 0.5, 0)
	own.Spec.Alerting.NoData = slo.NoData{Severity: Page, For: time.Hour}
	firing, _ = x.see(59, own)
	require.Empty(t, firing)
	_, _ = x.see(1, own)
	for _, a := range x.sender.firing {
		require.Equal(t, Page, a.Labels["severity"])
	}
	own.Group = map[string]string{"tenant": "acme"}
	firing, _ = newTeller(t).see(90, own)
	require.Empty(t, firing, "the whole tells of its groups")
}

// TestNobodyMissesDataInExcludedTime, nor in the quarter of an hour behind it. What was
// missed before goes on.
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

func TestASpentBudgetIsOneTicket(t *testing.T) {
	x := newTeller(t)
	for _, step := range []struct {
		remaining        float64
		firing, resolved []string
	}{
		{0.02, nil, nil},
		{-0.1, []string{"ErrorBudgetExhausted"}, nil},
		{0.005, []string{"ErrorBudgetExhausted"}, nil},
		{0.02, nil, []string{"ErrorBudgetExhausted"}},
		{0.005, nil, []string{"ErrorBudgetExhausted"}}, // it is posted for some minutes
	} {
		firing, resolved := x.see(1, x.about(evaluator.StateOK, step.remaining, 0))
		require.Equal(t, step.firing, firing, step.remaining)
		require.Equal(t, step.resolved, resolved, step.remaining)
	}
	group := x.about(evaluator.StateOK, -0.1, 0)
	group.ID, group.Group = `checkout/availability{tenant="acme"}`, map[string]string{"tenant": "acme"}
	told := newTeller(t)
	_, _ = told.see(1, group)
	for _, a := range told.sender.firing {
		require.Equal(t, `checkout/availability{tenant="acme"} has spent its error budget`, a.Annotations["summary"])
		require.Equal(t, "Nothing (-10 %) of the 30d budget is left. The ticket stays open until more than 1 % is.", a.Annotations["description"])
	}
	require.Len(t, told.sender.firing, 1)
	young := x.about(evaluator.StateOK, -2, 0)
	young.Windows[1].Coverage = 0.4
	firing, _ := newTeller(t).see(1, young)
	require.Empty(t, firing, "most of the window is not known")
}

// TestARestartGoesOnWithTheTicketsOfABudget that is between where they begin and where
// they end, and ends them.
func TestARestartGoesOnWithTheTicketsOfABudget(t *testing.T) {
	am := servers.Alertmanager(t, "")
	b := newBoard(time.Now)
	begun := time.Now().UTC().Truncate(time.Second).Add(-20 * time.Second)
	shows := func(at time.Time, remaining, burning float64) {
		b.show(t, at, evaluator.StateOK)
		x := &teller{t: t, now: at}
		spent, soon := x.about(evaluator.StateOK, remaining, 0), x.about(evaluator.StateOK, 0.5, burning)
		spent.Policy = []evaluator.PolicyStep{{RemainingBelow: 0.001, Action: "freeze", Active: remaining < 0.001}}
		soon.ID = "checkout/soon"
		b.report.SLOs = []evaluator.Status{spent, soon}
	}
	shows(begun, -0.1, 5) // three days at 5 take half of a budget of 30
	first := b.sender(Alertmanager{am.URL, http.DefaultClient})
	stop := start(t, first)
	first.Wake()
	require.Eventually(t, func() bool { return len(listed(t, am)) == 3 }, 20*time.Second, 20*time.Millisecond)
	stop()

	shows(begun.Add(time.Second), 0.005, 4.5)
	second := b.sender(Alertmanager{am.URL, http.DefaultClient})
	defer start(t, second)()
	require.Eventually(t, func() bool {
		second.Wake()
		return testutil.ToFloat64(second.metrics.sent.WithLabelValues(am.URL)) > 0
	}, 20*time.Second, 20*time.Millisecond)
	for _, a := range listed(t, am) {
		require.True(t, a.StartsAt.Equal(begun), a)
		require.NotContains(t, a.Annotations["description"], "-10 %", "it was posted anew")
	}
	require.Len(t, listed(t, am), 3)
	shows(begun.Add(2*time.Second), 0.02, 3.9)
	second.Wake()
	require.Eventually(t, func() bool { return len(listed(t, am)) == 0 }, 20*time.Second, 20*time.Millisecond)
}

// TestTheForecastOfABudget: three days at 1.5 times the allowed rate take 15 % of the
// budget of 30. Once it fires it goes on down to four fifths of what is left.
func TestTheForecastOfABudget(t *testing.T) {
	x := newTeller(t)
	for _, step := range []struct {
		remaining, burning float64
		fires              bool
	}{{0.16, 1.5, false}, {0.15, 1.5, true}, {0.15, 1.21, true}, {0.15, 1.19, false}, {0.15, 1.21, false}} {
		firing, _ := x.see(1, x.about(evaluator.StateOK, step.remaining, step.burning))
		require.Equal(t, step.fires, slices.Equal(firing, []string{"ErrorBudgetForecast"}), step)
	}
	burning := x.about(evaluator.StateOK, 0.1, 1.5)
	burning.Alerts = []evaluator.FiringAlert{{Severity: Ticket, Tier: "trickle", Windows: []string{"3d", "1d"}, Held: x.now}}
	firing, _ := newTeller(t).see(1, burning)
	require.Equal(t, []string{"ErrorBudgetBurn"}, firing, "which says it itself")

	// A page ends none that fired before.
	x = newTeller(t)
	_, _ = x.see(1, x.about(evaluator.StateOK, 0.1, 1.5))
	began := x.now
	burning.Alerts[0].Held = x.now
	firing, resolved := x.see(1, burning)
	require.Equal(t, []string{"ErrorBudgetBurn", "ErrorBudgetForecast"}, firing)
	require.Empty(t, resolved)
	firing, _ = x.see(1, x.about(evaluator.StateOK, 0.1, 1.5))
	require.Contains(t, firing, "ErrorBudgetForecast")
	for _, a := range x.sender.firing {
		if a.Labels["alertname"] == "ErrorBudgetForecast" {
			require.Equal(t, began, a.StartsAt)
		}
	}
}

// TestTheForecastInACalendarMonth: on its second day three days at 0.5 take 5 % of the
// month, and a day before its end the last day at 3 takes 10 %.
func TestTheForecastInACalendarMonth(t *testing.T) {
	x := newTeller(t)
	month, err := slo.NewCalendar(slo.Month, "UTC")
	require.NoError(t, err)
	of := func(remaining, burning float64, elapsed, coming time.Duration) evaluator.Status {
		s := x.about(evaluator.StateOK, remaining, burning)
		end := x.now.Add(coming)
		s.Spec.Window, s.Budget.PeriodEnd, s.Windows[1].Seconds = month, &end, int64(elapsed.Seconds())
		return s
	}
	const days = 24 * time.Hour
	firing, _ := x.see(0, of(0.06, 0.5, 2*days, 28*days))
	require.Empty(t, firing)
	firing, _ = x.see(0, of(0.11, 3, 29*days, days))
	require.Empty(t, firing)
	firing, _ = x.see(0, of(0.1, 3, 29*days, days))
	require.Equal(t, []string{"ErrorBudgetForecast"}, firing)
	for _, a := range x.sender.firing {
		require.Equal(t, "checkout availability will have spent its error budget before it starts anew at 03:00 UTC on 26 Nov", a.Annotations["summary"])
	}
}

func TestWhatWasAgreedOnIsATicket(t *testing.T) {
	x := newTeller(t)
	steps := x.about(evaluator.StateOK, 0.2, 0)
	steps.Policy = []evaluator.PolicyStep{
		{RemainingBelow: 0.29, Action: "no risky deploys", Gate: "warn", Active: true}, {RemainingBelow: 0.1, Action: "freeze", Gate: "block"},
	}
	told := func() map[string]string {
		out := map[string]string{}
		for _, a := range x.sender.firing {
			out[a.Labels["remaining_below"]] = a.Annotations["summary"]
		}
		return out
	}
	_, _ = x.see(1, steps)
	require.Equal(t, map[string]string{"29%": "checkout availability: no risky deploys"}, told())
	steps.Policy[1].Active = true
	_, resolved := x.see(1, steps)
	require.Equal(t, map[string]string{"10%": "checkout availability: freeze"}, told())
	require.Equal(t, []string{"ErrorBudgetPolicy"}, resolved, "the milder step")

	// A budget that goes to and fro about a step is one ticket.
	steps.Policy[1].Active = false
	for _, tt := range []struct {
		remaining float64
		want      string
	}{{0.1, "10%"}, {0.109, "10%"}, {0.12, "29%"}, {0.101, "29%"}} {
		steps.Budget.Remaining = &tt.remaining
		_, _ = x.see(1, steps)
		require.Contains(t, told(), tt.want, tt.remaining)
		require.Len(t, told(), 1, tt.remaining)
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
	x.sender.update(report(evaluator.StateQueryFailed, evaluator.StateStale, evaluator.StateOK), x.now)
	require.Empty(t, x.sender.firing)
	x.now = x.now.Add(time.Minute)
	x.sender.update(report(evaluator.StateQueryFailed, evaluator.StateStale, evaluator.StateOK), x.now)
	alerts := slices.Collect(maps.Values(x.sender.firing))
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "SLOBlind", "backend": "default", "severity": "ticket"}, alerts[0].Labels)
	require.Equal(t, "slowburn can't see 2 of 3 SLOs of backend default, such as checkout/availability0", alerts[0].Annotations["summary"])
	x.sender.update(report(evaluator.StateOK, evaluator.StateOK, evaluator.StateOK), x.now.Add(time.Minute))
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

// TestRejectedFilesAreATicket: one for each source, some time after the errors came,
// which goes on with the process that takes over.
func TestRejectedFilesAreATicket(t *testing.T) {
	x := newTeller(t)
	bad := &evaluator.Report{EvaluatedAt: x.now, Problems: []evaluator.Problem{
		{Source: "./slos", File: "slos/a.yaml", Line: 5, Severity: "error", Message: "objective 100 leaves no error budget"},
		{Source: "./slos", File: "slos/b.yaml", Severity: "error", Message: "unknown key"},
		{Source: "https://git.example.org/x.git", File: "w.yaml", Severity: "warning", Message: "odd"},
	}}
	began := x.now
	for _, minutes := range []int{0, 9} {
		x.now = began.Add(time.Duration(minutes) * time.Minute)
		x.sender.update(bad, x.now)
		require.Empty(t, x.sender.firing)
	}
	x.now = began.Add(10 * time.Minute)
	x.sender.update(bad, x.now)
	alerts := slices.Collect(maps.Values(x.sender.firing))
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "SLOFilesRejected", "source": "./slos", "severity": "ticket"}, alerts[0].Labels)
	require.Equal(t, "slowburn does not use the newest files of ./slos: 2 errors", alerts[0].Annotations["summary"])
	require.Contains(t, alerts[0].Annotations["description"], "slos/a.yaml: objective 100 leaves no error budget.")
	require.Equal(t, began.Add(10*time.Minute), alerts[0].StartsAt)

	x.sender.rejections = nil // as of a process that has just taken over
	x.sender.update(bad, x.now.Add(time.Minute))
	require.Len(t, x.sender.firing, 1)
	require.Equal(t, began.Add(10*time.Minute), slices.Collect(maps.Values(x.sender.firing))[0].StartsAt)

	bad.Problems = bad.Problems[2:]
	x.sender.update(bad, x.now.Add(2*time.Minute))
	require.Empty(t, x.sender.firing)
	require.Empty(t, x.sender.resolved, "another replica may still reject them")
}
