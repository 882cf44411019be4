package notify

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// budget is a report on the SLO of board.show, of whose window a share is known.
func (b *board) budget(t *testing.T, known float64, alerts ...evaluator.FiringAlert) {
	b.show(t, time.Now().UTC().Truncate(time.Second), evaluator.StateOK)
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.report.SLOs[0]
	s.Windows[1] = evaluator.WindowStatus{Name: "30d", Seconds: 30 * 86400, End: s.At, Coverage: known}
	s.Alerts = alerts
}

// TestARestartKeepsATicketThatItCannotJudge: of 30 d it can read a tenth, or the most but
// for a tenth. What else somebody posted to the real Alertmanager it neither posts nor
// shows. When it can read enough the ticket is left to run out.
func TestARestartKeepsATicketThatItCannotJudge(t *testing.T) {
	for _, known := range []float64{0.1, 0.9} {
		am := servers.Alertmanager(t, "")
		to := Alertmanager{am.URL, http.DefaultClient}
		since := time.Now().UTC().Truncate(time.Second).Add(-3 * time.Hour)
		b := newBoard(time.Now)
		first := b.sender(to)
		spent := evaluator.FiringAlert{Name: slo.ExhaustedAlert, Severity: slo.Ticket, Since: since, Windows: []string{}}
		b.budget(t, 1, spent)
		first.post()
		require.NoError(t, first.receivers[0].try(t.Context(), <-first.receivers[0].queue))
		labels := listed(t, am)[0].Labels
		postOthers(t, am, labels, since)
		before := listed(t, am)

		b = newBoard(time.Now)
		s := b.sender(to)
		s.receivers[0].restore(t.Context(), b.completer.Restore)
		b.budget(t, known)
		shown := b.get().SLOs[0].Alerts
		require.Len(t, shown, 1)
		require.Equal(t, []any{slo.ExhaustedAlert, since, true}, []any{shown[0].Name, shown[0].Since, shown[0].Older})
		require.Contains(t, shown[0].Description, "too little is known to end it: "+humanize.Digits(100*known, 3)+" % of the last 30d")
		held := queued(s)
		require.Len(t, held, 1)
		require.Equal(t, labels, held[0].Labels)
		require.Equal(t, since, held[0].StartsAt)
		fresh, old := s.receivers[0].split(held)
		require.Empty(t, fresh)
		require.Equal(t, held, s.receivers[0].unresolved(t.Context(), old), "it is active")
		for _, a := range before {
			require.True(t, held[0].EndsAt.After(a.EndsAt) || a.Labels["slo_id"] != labels["slo_id"])
		}

		b.budget(t, 0.99)
		require.Empty(t, b.get().SLOs[0].Alerts)
		require.Empty(t, queued(s))
		require.Empty(t, s.alertsIn(stageResolved), "this process did not see it fire")

		over := listed(t, am)
		for i := range over {
			over[i].EndsAt = time.Now()
		}
		require.NoError(t, s.receivers[0].post(t.Context(), over))
		_, old = s.receivers[0].split(held)
		require.Empty(t, s.receivers[0].unresolved(t.Context(), old), "another replica saw the end")
	}
}

// postOthers posts what no SLO would: with a label more, one less, with another value, of
// another name, and of the future.
func postOthers(t *testing.T, am *servers.Server, labels map[string]string, since time.Time) {
	t.Helper()
	var bodies []string
	for _, change := range [][2]string{{"team", "evil"}, {"tier", ""}, {"severity", "page"}, {"alertname", "Other"}, {"slo_id", "checkout/other"}, {"alertname", slo.NoDataAlert}} {
		var own []string
		for k, v := range labels {
			if k != change[0] {
				own = append(own, `"`+k+`":"`+v+`"`)
			}
		}
		if change[1] != "" {
			own = append(own, `"`+change[0]+`":"`+change[1]+`"`)
		}
		bodies = append(bodies, `{"labels":{`+strings.Join(own, ",")+`},"annotations":{"summary":"<b>","coverage":"30d 1"},"startsAt":"`+since.Format(time.RFC3339)+`"}`)
	}
	resp, err := http.Post(am.URL+"/api/v2/alerts", "application/json", strings.NewReader("["+strings.Join(bodies, ",")+"]"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, listed(t, am), 1+len(bodies))
}

// TestWhatARestartTakesOver of a burn alert and of a backend that can't be read.
func TestWhatARestartTakesOver(t *testing.T) {
	x := newTeller(t)
	page := map[string]string{"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability", "slo_service": "checkout", "slo": "availability", "severity": "page"}
	recall := func(coverage, tier string) *Completer {
		c := NewCompleter("")
		c.Restore([]listing{{
			Alert:     Alert{Labels: page, StartsAt: x.now.Add(-time.Hour), Annotations: map[string]string{"tier": tier, "coverage": coverage}},
			UpdatedAt: x.now.Add(-time.Minute), answered: x.now,
		}, {Alert: Alert{Labels: blindLabels("default"), StartsAt: x.now.Add(-time.Hour)}, answered: x.now}})
		return c
	}
	for name, c := range map[string]struct {
		coverage, tier string
		state          evaluator.State
		known          float64
		want           string
	}{
		"history is read":         {"30d 1, 3d 1", "slow (3d, 30d)", evaluator.StateWarming, 1, "the history that decides is still being read"},
		"less is known":           {"30d 1, 3d 1", "slow (3d, 30d)", evaluator.StateOK, 0.9, "90 % of the last 30d and 90 % of the last 3d"},
		"as much is known":        {"30d 1, 3d 1", "slow (3d, 30d)", evaluator.StateOK, 0.99, ""},
		"no more was known":       {"30d 0.9, 3d 0.9", "slow (3d, 30d)", evaluator.StateOK, 0.9, ""},
		"nobody noted":            {"", "slow (3d, 30d)", evaluator.StateOK, 0.4, "40 % of the last 30d and 40 % of the last 3d"},
		"nobody noted, but most":  {"30d 17, 3d NaN", "slow (3d, 30d)", evaluator.StateOK, 0.6, ""},
		"a tier that is no tier":  {"30d 1, 3d 1", "slow (3d, )", evaluator.StateWarming, 1, ""},
		"windows that it has not": {"30d 1, 3d 1", "slow (1h, 5m)", evaluator.StateWarming, 1, ""},
	} {
		s := x.about(c.state, 0.5, 0)
		s.At = x.now
		for i := range s.Windows {
			s.Windows[i].Coverage = c.known
		}
		r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{s}}
		recall(c.coverage, c.tier).Complete(r)
		if c.want == "" {
			require.Empty(t, r.SLOs[0].Alerts, name)
			continue
		}
		require.Len(t, r.SLOs[0].Alerts, 1, name)
		require.Contains(t, r.SLOs[0].Alerts[0].Description, c.want, name)
	}

	others := x.about(evaluator.StateWarming, 0.5, 0)
	for name, value := range map[string]string{"team": "evil", "slo": "", "severity": "info", "alertname": "Other"} {
		before := maps.Clone(page)
		page[name] = value
		r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{others}}
		recall("30d 1, 3d 1", "slow (3d, 30d)").Complete(r)
		require.Empty(t, r.SLOs[0].Alerts, "this process would not post it: %s", name)
		page = before
	}

	for older, want := range map[bool]time.Duration{true: time.Hour, false: 30 * time.Minute} {
		s := x.about(evaluator.StateOK, 0.5, 20)
		s.Alerts = []evaluator.FiringAlert{{
			Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "slow", Since: x.now.Add(-30 * time.Minute), Older: older, Windows: []string{"3d", "30d"}, Held: x.now,
		}}
		r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{s}}
		recall("30d 1, 3d 1", "slow (3d, 30d)").Complete(r)
		require.Len(t, r.SLOs[0].Alerts, 1)
		require.Equal(t, want, x.now.Sub(r.SLOs[0].Alerts[0].Since), "who read less takes the time of who read more")
		require.Empty(t, r.SLOs[0].Alerts[0].Waits)
	}

	never := x.about(evaluator.StateQueryFailed, 0, 0)
	never.StateSince, never.Budget = nil, evaluator.Budget{}
	r := &evaluator.Report{EvaluatedAt: x.now, SLOs: []evaluator.Status{never}}
	recall("", "").Complete(r)
	require.Len(t, r.SLOs[0].Alerts, 1)
	require.Equal(t, []any{slo.BlindAlert, x.now.Add(-time.Hour)}, []any{r.SLOs[0].Alerts[0].Name, r.SLOs[0].Alerts[0].Since}, "since it is blind")
}

// TestAlertmanagersThatDoNotAnswer change nothing: one is down for a minute, one answers
// without end, one says no list.
func TestAlertmanagersThatDoNotAnswer(t *testing.T) {
	endless := func(begin, part string) *receiver {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(begin))
			for many := []byte(strings.Repeat(part, 1<<16/len(part))); ; {
				if _, err := w.Write(many); err != nil {
					return
				}
			}
		}))
		t.Cleanup(server.Close)
		return newBoard(time.Now).sender(Alertmanager{server.URL, http.DefaultClient}).receivers[0]
	}
	read := 0
	list := func(r *receiver) error { return r.list(t.Context(), "", func(listing) { read++ }) }
	require.EqualError(t, list(endless(`[{"labels":{"slo_id":"`, "x")), "reading its answer: it is larger than 64 MiB")
	require.Zero(t, read)
	require.EqualError(t, list(endless(`[{}`, `,{}`)), "reading its answer: it lists more than 100000 alerts")
	require.Equal(t, 100_000, read)

	synctest.Test(t, func(t *testing.T) {
		begun, tries := time.Now(), 0
		down := post(func(r *http.Request) error {
			if tries++; time.Since(begun) < time.Minute {
				return http.ErrHandlerTimeout
			}
			return nil
		})
		r := newBoard(time.Now).sender(Alertmanager{"http://down", down.client()}).receivers[0]
		r.restore(t.Context(), func([]listing) { t.Fatal("it has no answer") })
		require.Equal(t, restoreFor.Truncate(time.Minute), time.Since(begun).Truncate(time.Minute), "then it has none any more")
		require.Less(t, tries, 20)
	})
}

// TestARestartMissesTheSameData: an SLO that never had any came now, as far as this process
// can read. The alert that Alertmanager has goes on until there is data.
func TestARestartMissesTheSameData(t *testing.T) {
	x := newTeller(t)
	c := NewCompleter("")
	never := x.about(evaluator.StateNoData, 0, 0)
	never.Missing = &evaluator.Missing{Since: x.now, Never: true, Reason: "no series match x", At: x.now}
	labels := newAlert(&never, evaluator.FiringAlert{Name: slo.NoDataAlert, Severity: slo.Ticket}, "").Labels
	c.Restore([]listing{{Alert: Alert{Labels: labels, StartsAt: x.now.Add(-time.Hour)}, UpdatedAt: x.now, answered: x.now}})
	for minutes := range 20 {
		at := x.now.Add(time.Duration(minutes) * time.Minute)
		never.Missing.At, never.At = at, at
		r := &evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{never}}
		c.Complete(r)
		require.Len(t, r.SLOs[0].Alerts, 1, minutes)
		require.Equal(t, x.now.Add(-time.Hour), r.SLOs[0].Alerts[0].Since, minutes)
		require.Contains(t, r.SLOs[0].Alerts[0].Summary, "has no data")
	}
	r := &evaluator.Report{EvaluatedAt: x.now.Add(20 * time.Minute), SLOs: []evaluator.Status{x.about(evaluator.StateOK, 0.5, 0)}}
	c.Complete(r)
	require.Empty(t, r.SLOs[0].Alerts)
}

// TestAClockThatIsSetBackResolvesNothing: what fired an hour later is not known to be over.
func TestAClockThatIsSetBackResolvesNothing(t *testing.T) {
	x := newTeller(t)
	burning := x.about(evaluator.StateOK, 0.5, 20)
	burning.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "fast", Windows: []string{"3d", "1d"}, Held: x.now}}
	firing, _ := x.see(0, burning)
	require.Equal(t, []string{"ErrorBudgetBurn"}, firing)
	firing, resolved := x.see(-60, x.about(evaluator.StateWarming, 0.5, 0))
	require.Empty(t, firing)
	require.Empty(t, resolved)
	require.Empty(t, x.shown, "it is not held while history is read again")
}
