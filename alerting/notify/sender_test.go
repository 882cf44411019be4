package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// board is a report that changes, and a clock that goes by its own.
type board struct {
	mu     sync.Mutex
	report *evaluator.Report
	now    func() time.Time

	completer *Completer
}

func newBoard(now func() time.Time) *board {
	return &board{report: &evaluator.Report{}, now: now, completer: NewCompleter("https://slo.example.org/")}
}

func (b *board) get() *evaluator.Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := *b.report
	r.SLOs = slices.Clone(r.SLOs)
	if len(r.SLOs) > 0 && r.SLOs[0].State == evaluator.StateQueryFailed { // reports go on
		r.EvaluatedAt = b.now()
	}
	if !r.EvaluatedAt.IsZero() { // before the first there is nothing to complete
		b.completer.Complete(&r)
	}
	return &r
}

// show publishes the status of an SLO at an instant: 1 % of 60,000 events of the
// last hour are bad where 0.1 % may be. The pages began 20 minutes before.
func (b *board) show(t *testing.T, at time.Time, state evaluator.State, severities ...string) {
	ten, allowed, remaining, left := 10.0, 4000.0, 0.85, 7200.0
	status := evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Window: "30d", At: at, State: state, StateReason: "connection refused",
		DataUntil: &at, StateSince: &at, Labels: map[string]string{"tier": "1"}, Links: map[string]string{"runbook": "https://runbooks.example.org/checkout"},
		Windows: []evaluator.WindowStatus{{Name: "1h", End: at, Total: 60_000, Bad: 600, Coverage: 1, BurnRate: &ten}, {Name: "30d", End: at}},
		Budget:  evaluator.Budget{Allowed: &allowed, Remaining: &remaining, ExhaustedInSeconds: &left}, Spec: drill.SLO(t),
	}
	for _, severity := range severities {
		status.Alerts = append(status.Alerts, evaluator.FiringAlert{
			Name: slo.DefaultAlertName, Severity: severity, Tier: "fast", Since: at.Add(-20 * time.Minute), Windows: []string{"1h", "5m"}, Held: at,
		})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report = &evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{status}}
}

func (b *board) sender(ams ...Alertmanager) *Sender {
	return NewSender(SenderOptions{
		Alertmanagers: ams, Report: b.get, ExternalURL: "https://slo.example.org/", Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Now: b.now,
	})
}

// alertsIn are the alerts that fire, or that are posted as resolved.
func (s *Sender) alertsIn(wanted stage) map[string]Alert {
	out := map[string]Alert{}
	for k, a := range s.alerts {
		if a.stage == wanted {
			out[k] = a.Alert
		}
	}
	return out
}

// start runs a sender until the returned function is called.
func start(t *testing.T, s *Sender) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) }) // ends with ctx only
	return func() { cancel(); wg.Wait() }
}

// listed are the alerts that an Alertmanager has as active.
func listed(t *testing.T, am *servers.Server) []Alert {
	t.Helper()
	resp, err := http.Get(am.URL + "/api/v2/alerts")
	require.NoError(t, err)
	defer resp.Body.Close()
	var out []Alert
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
	return out
}

// TestAlertmanager posts to a real one from two replicas.
func TestAlertmanager(t *testing.T) {
	am := servers.Alertmanager(t, "")
	b := newBoard(time.Now)
	at := time.Now().UTC().Truncate(time.Second)
	b.show(t, at, evaluator.StateOK, slo.Page, slo.Ticket)
	first, second := b.sender(Alertmanager{am.URL, http.DefaultClient}), b.sender(Alertmanager{am.URL, http.DefaultClient})
	defer start(t, first)()
	defer start(t, second)()
	sent := func(s *Sender) float64 {
		return testutil.ToFloat64(s.receivers[0].metrics.sent.WithLabelValues(am.URL))
	}
	soon := func(condition func() bool, what string) {
		t.Helper()
		require.Eventually(t, condition, 20*time.Second, 20*time.Millisecond, what)
	}

	first.Wake()
	second.Wake()
	soon(func() bool { return sent(first) == 2 && sent(second) == 2 }, "both replicas posted")
	got := listed(t, am)
	require.Len(t, got, 2)
	page := got[0]
	if page.Labels["severity"] == slo.Ticket {
		page = got[1]
	}
	require.Equal(t, map[string]string{
		"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability", "slo_service": "checkout", "slo": "availability", "severity": "page", "tier": "1",
	}, page.Labels)
	require.Equal(t, map[string]string{
		"summary": "checkout availability burns its error budget 10x too fast",
		"description": "1 % of the events in the last 1h failed (600 of 60,000; 0.1 % may). The alert began at " +
			at.Add(-20*time.Minute).Format("15:04 UTC on 2 Jan") + ". " +
			"The last 1h took 15 % of the 30d budget; 85 % of it is left. At this rate it is spent in 2h, at " + at.Add(2*time.Hour).Format("15:04 UTC on 2 Jan") + ".",
		"tier": "fast (1h, 5m)", "coverage": "1h 1", "runbook_url": "https://runbooks.example.org/checkout",
		"slo_url": "https://slo.example.org/slo/checkout/availability" +
			"?from=" + at.Add(-80*time.Minute).Format(time.RFC3339) + "&to=" + at.Format(time.RFC3339),
	}, page.Annotations)
	require.True(t, page.StartsAt.Equal(at.Add(-20*time.Minute)), page.StartsAt)
	require.InDelta(t, 300, time.Until(page.EndsAt).Seconds(), 30)

	// The page ends. A replica that starts now saw nothing fire: it says nothing.
	b.show(t, at, evaluator.StateOK, slo.Ticket)
	third := b.sender(Alertmanager{am.URL, http.DefaultClient})
	defer start(t, third)()
	third.Wake()
	soon(func() bool { return sent(third) == 1 }, "the new replica posted the ticket")
	require.Len(t, listed(t, am), 2)

	// Those that saw it resolve it.
	first.Wake()
	soon(func() bool { got = listed(t, am); return len(got) == 1 }, "the page is gone")
	require.Equal(t, slo.Ticket, got[0].Labels["severity"])
}

// clock is a time that a test sets.
type clock struct{ time.Time }

func (c *clock) get() time.Time { return c.Time }

// queued returns what a sender would post now.
func queued(s *Sender) []Alert {
	s.post()
	select {
	case alerts := <-s.receivers[0].queue:
		return alerts
	default:
		return nil
	}
}

// While the backend can't be read an alert is held for an hour and says so.
// Then it is let go, and nobody claims that it is over.
func TestSenderHoldsWhatItCannotSee(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	now := &clock{at.Add(30 * time.Second)}
	b := newBoard(now.get)
	s := b.sender(Alertmanager{"http://am", nil})
	b.show(t, at, evaluator.StateOK, slo.Page)
	require.Len(t, queued(s), 1)

	b.show(t, at, evaluator.StateQueryFailed, slo.Page)
	now.Time = at.Add(time.Hour)
	got := queued(s)
	require.Len(t, got, 2)
	require.Equal(t, "SLOBlind", got[1].Labels["alertname"])
	require.True(t, strings.HasSuffix(got[0].Annotations["description"],
		"These numbers are of 06:00 UTC, for the backend can't be read: connection refused."), got[0].Annotations["description"])
	require.Equal(t, now.Add(5*time.Minute), got[0].EndsAt)
	require.Equal(t, at.Add(-20*time.Minute), got[0].StartsAt)

	now.Time = at.Add(time.Hour + time.Second)
	got = queued(s)
	require.Len(t, got, 1)
	require.Equal(t, "SLOBlind", got[0].Labels["alertname"])
	// The backend is back, and the alert is not: this process no longer knows it.
	b.show(t, now.Truncate(time.Minute), evaluator.StateOK)
	require.Empty(t, queued(s))
}

// Resolved is posted for five minutes, and only when the numbers say it.
func TestSenderResolves(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	now := &clock{at.Add(30 * time.Second)}
	for name, tt := range map[string]struct {
		state evaluator.State
		later time.Duration // of the status without the alert
		want  int
	}{
		"well again":           {evaluator.StateOK, time.Minute, 1},
		"no traffic any more":  {evaluator.StateNoTraffic, time.Minute, 1},
		"no data any more":     {evaluator.StateNoData, time.Minute, 0},
		"the backend lags":     {evaluator.StateStale, time.Minute, 0},
		"unknown for too long": {evaluator.StateOK, time.Hour, 0}, // the judge let go
	} {
		t.Run(name, func(t *testing.T) {
			now.Time = at.Add(30 * time.Second)
			b := newBoard(now.get)
			s := b.sender(Alertmanager{"http://am", nil})
			b.show(t, at, evaluator.StateOK, slo.Page)
			require.Len(t, queued(s), 1)
			b.show(t, at.Add(tt.later), tt.state)
			ended := now.Add(tt.later)
			for now.Time = ended; !now.After(ended.Add(5 * time.Minute)); now.Time = now.Add(time.Minute) {
				b.show(t, now.Add(-30*time.Second), tt.state)
				got := queued(s)
				require.Len(t, got, tt.want)
				for _, a := range got {
					require.Equal(t, ended, a.EndsAt)
				}
			}
			require.Empty(t, queued(s))
		})
	}
}

// Another replica may have numbers that this one lacks: what ended before them is
// said to be over when this one has caught up, and is not repeated when it lags
// again.
func TestSenderResolvesByCurrentNumbersOnly(t *testing.T) {
	start := time.Date(2026, 11, 22, 6, 0, 30, 0, time.UTC)
	for name, lags := range map[string]func(*evaluator.Status){
		"its loop":    func(s *evaluator.Status) { s.Windows[1].End = s.Windows[1].End.Add(-time.Minute) },
		"its backend": func(s *evaluator.Status) { *s.DataUntil = s.DataUntil.Add(-time.Minute) },
		"no data":     func(s *evaluator.Status) { s.DataUntil = nil },
	} {
		t.Run(name, func(t *testing.T) {
			now := &clock{start}
			b := newBoard(now.get)
			s := b.sender(Alertmanager{"http://am", nil})
			says := func(lag bool, severities ...string) []Alert {
				now.Time = now.Add(time.Minute)
				b.show(t, now.Truncate(time.Minute), evaluator.StateOK, severities...)
				if lag {
					lags(&b.report.SLOs[0])
				}
				return queued(s)
			}
			require.Len(t, says(false, slo.Page), 1)
			require.Empty(t, says(true), "it ended, says a replica that lags")
			ended := now.Time
			require.Empty(t, says(true))
			for range 2 {
				got := says(false)
				require.Len(t, got, 1)
				require.Equal(t, ended, got[0].EndsAt)
			}
			require.Empty(t, says(true))
			require.Len(t, says(false), 1)
			require.Empty(t, says(false), "for five minutes")
			require.Len(t, says(true, slo.Page), 1, "what begins is told however late")
			require.Empty(t, says(true), "ended again")
			got := says(false, slo.Page)
			require.Len(t, got, 1)
			require.True(t, got[0].EndsAt.After(now.Time))
		})
	}
}

// An SLO that is no longer there takes its alert with it, silently.
func TestSenderForgetsWhatIsRemoved(t *testing.T) {
	b := newBoard(time.Now)
	s := b.sender(Alertmanager{"http://am", nil})
	b.show(t, time.Now(), evaluator.StateOK, slo.Page)
	require.Len(t, queued(s), 1)
	b.report = &evaluator.Report{EvaluatedAt: time.Now()}
	require.Empty(t, queued(s))
}

// TestAChangedConfigurationHoldsWhatFires gives the sender of a new configuration the
// alerts of the old one. It goes on with them while history is reread. For a group
// that is not found yet its whole decides. An alert of an SLO that is in no file any
// more ends at once.
func TestAChangedConfigurationHoldsWhatFires(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	now := &clock{at.Add(30 * time.Second)}
	b := newBoard(now.get)
	shows := func(state evaluator.State, ids []string, severities ...string) {
		b.show(t, now.Truncate(time.Minute), state, severities...)
		var all []evaluator.Status
		for _, id := range ids {
			status := b.report.SLOs[0]
			status.ID = id
			all = append(all, status)
		}
		b.report.SLOs = all
	}
	const group = `checkout/availability{tenant="acme"}`
	old := b.sender(Alertmanager{"http://am", nil})
	shows(evaluator.StateOK, []string{"checkout/availability", group, "gone/gone"}, slo.Ticket)
	require.Len(t, queued(old), 3)

	s := b.sender(Alertmanager{"http://am", nil})
	s.TakeOver(old)
	b.report = &evaluator.Report{}
	s.post() // such as when a name of Alertmanagers is looked up first
	says := func() (out []string) {
		for _, a := range queued(s) {
			what := " fires"
			if !a.EndsAt.After(now.Time) {
				what = " is over"
			}
			require.Equal(t, at.Add(-20*time.Minute), a.StartsAt)
			out = append(out, a.Labels["slo_id"]+what)
		}
		return out
	}
	both := []string{"checkout/availability fires", group + " fires"}
	for now.Before(at.Add(59 * time.Minute)) {
		now.Time = now.Add(time.Minute)
		shows(evaluator.StateWarming, []string{"checkout/availability"})
		require.Equal(t, both, says(), now.Time)
	}
	held, firing := maps.Clone(s.alerts), b.completer.firing
	shows(evaluator.StateOK, []string{"checkout/availability", group})
	require.Equal(t, []string{"checkout/availability is over", group + " is over"}, says())

	now.Time = at.Add(time.Hour + time.Minute)
	s = b.sender(Alertmanager{"http://am", nil})
	s.alerts, b.completer.firing = held, firing
	shows(evaluator.StateWarming, []string{"checkout/availability", group})
	require.Empty(t, says(), "for an hour")
}

// post is a client of an Alertmanager that does what a function says.
type post func(*http.Request) error

func (p post) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := p(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func (p post) client() *http.Client { return &http.Client{Transport: p} }

// An Alertmanager that is down is tried again, and does not keep the others
// waiting.
func TestSenderRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(time.Now)
		begun := time.Now()
		b.show(t, begun.Add(2*time.Minute), evaluator.StateOK, slo.Page) // current all the time
		var tries, posts []time.Duration
		down := Alertmanager{"http://user:secret@down", post(func(*http.Request) error {
			tries = append(tries, time.Since(begun))
			if time.Since(begun) < 90*time.Second {
				return errors.New("connection refused")
			}
			return nil
		}).client()}
		up := Alertmanager{"http://up", post(func(*http.Request) error { posts = append(posts, time.Since(begun)); return nil }).client()}
		s := b.sender(down, up)
		stop := start(t, s)
		s.Wake()
		<-time.After(165 * time.Second) // of the bubble's own clock
		stop()
		second := time.Second
		require.Equal(t, []time.Duration{0, 80 * second, 160 * second}, posts)
		require.Equal(t, []time.Duration{0, 1 * second, 3 * second, 7 * second, 15 * second,
			80 * second, 81 * second, 83 * second, 87 * second, 95 * second, 160 * second}, tries)
		m := s.receivers[0].metrics
		require.Equal(t, 9.0, testutil.ToFloat64(m.failed.WithLabelValues("http://user:xxxxx@down")))
		require.Equal(t, 2.0, testutil.ToFloat64(m.sent.WithLabelValues("http://user:xxxxx@down")))
		require.Equal(t, 3.0, testutil.ToFloat64(m.sent.WithLabelValues("http://up")))
		require.Equal(t, 0.0, testutil.ToFloat64(m.queued.WithLabelValues("http://up")))
	})
}

// At the end of the process what is queued is delivered, but a dead
// Alertmanager keeps nobody for more than 5 s.
func TestSenderDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(time.Now)
		var delivered []string
		slow := post(func(r *http.Request) error {
			body, err := io.ReadAll(r.Body)
			<-time.After(time.Second)
			delivered = append(delivered, string(body))
			return err
		})
		dead := post(func(r *http.Request) error { <-r.Context().Done(); return r.Context().Err() })
		s := b.sender(Alertmanager{"http://slow", slow.client()}, Alertmanager{"http://dead", dead.client()})
		stop := start(t, s)
		b.show(t, time.Now(), evaluator.StateOK, slo.Page)
		s.Wake()
		synctest.Wait()
		b.show(t, time.Now(), evaluator.StateOK, slo.Page, slo.Ticket)
		s.Wake()
		synctest.Wait() // what is new waits for the first post
		begun := time.Now()
		stop()
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.failed.WithLabelValues("http://dead")), "what is lost is counted")
		require.Len(t, delivered, 3)
		require.NotContains(t, delivered[0], `"ticket"`)
		require.Contains(t, delivered[2], `"ticket"`)
	})
}
