package notify

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
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
		State: state, StateReason: "target down", StateSince: &since, DataUntil: &x.now, Spec: drill.SLO(x.t),
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
	if x.missing = s.Missing; hasNumbers(&s) {
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
	return names(x.sender.alertsIn(stageFiring)), names(x.sender.alertsIn(stageResolved))
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
	for _, a := range x.sender.alertsIn(stageFiring) {
		require.Equal(t, map[string]string{"alertname": "SLONoData", "slo_id": "checkout/availability", "slo_service": "checkout",
			"slo": "availability", "severity": "ticket", "backend": "default"}, a.Labels)
		require.Equal(t, "target down", a.Annotations["reason"])
		require.Equal(t, began.Add(15*time.Minute), a.StartsAt)
	}
	// That the backend can't be read says nothing of it.
	firing, resolved := x.see(1, x.about(evaluator.StateQueryFailed, 0.5, 0))
	require.Equal(t, []string{"SLONoData"}, firing)
	require.Empty(t, resolved)
	for _, a := range x.sender.alertsIn(stageFiring) {
		require.True(t, a.stale, "a replica that reads it may have seen the end")
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
	for _, a := range x.sender.alertsIn(stageFiring) {
		require.Equal(t, x.now, a.StartsAt)
	}

	own := x.about(evaluator.StateNoData, 0.5, 0)
	own.Spec.Alerting.NoData = slo.NoData{Severity: slo.Page, For: time.Hour}
	firing, _ = x.see(59, own)
	require.Empty(t, firing)
	_, _ = x.see(1, own)
	for _, a := range x.sender.alertsIn(stageFiring) {
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

// TestTheForecastInACalendarMonthSays until when.
func TestTheForecastInACalendarMonthSays(t *testing.T) {
	x := newTeller(t)
	status := x.about(evaluator.StateOK, 0.1, 3)
	end := x.now.Add(24 * time.Hour)
	status.Budget.PeriodEnd = &end
	summary, description := aboutBudget(&status, evaluator.FiringAlert{Name: slo.ForecastAlert})
	require.Equal(t, "checkout availability will have spent its error budget before it starts again at 03:00 UTC on 26 Nov", summary)
	require.Equal(t, "10 % of the 30d budget is left; at the rate of the last 3d nothing will be.", description)
}

// TestWhatWasAgreedOnIsSaid with what is left.
func TestWhatWasAgreedOnIsSaid(t *testing.T) {
	x := newTeller(t)
	status := x.about(evaluator.StateOK, 0.2, 0)
	status.Spec.BudgetPolicy = []slo.BudgetStep{{Below: 0.29, Action: "no risky deploys"}}
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
	for _, a := range x.sender.alertsIn(stageFiring) {
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
	require.Empty(t, x.sender.alertsIn(stageFiring))
	x.now = x.now.Add(time.Minute)
	x.report(report(evaluator.StateQueryFailed, evaluator.StateStale, evaluator.StateOK))
	alerts := slices.Collect(maps.Values(x.sender.alertsIn(stageFiring)))
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "SLOBlind", "backend": "default", "severity": "ticket"}, alerts[0].Labels)
	require.Equal(t, "slowburn can't see 2 of 3 SLOs of backend default, such as checkout/availability0", alerts[0].Annotations["summary"])
	x.now = x.now.Add(time.Minute)
	x.report(report(evaluator.StateOK, evaluator.StateOK, evaluator.StateOK))
	require.Empty(t, x.sender.alertsIn(stageFiring))
	require.Empty(t, x.sender.alertsIn(stageResolved))
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
	for _, a := range x.sender.alertsIn(stageFiring) {
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
	for _, a := range x.sender.alertsIn(stageFiring) {
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
		require.Len(t, x.sender.alertsIn(stageFiring), 1)
		require.Empty(t, x.sender.alertsIn(stageResolved))
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
