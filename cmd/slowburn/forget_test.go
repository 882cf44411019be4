package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// posts is an Alertmanager that keeps what is posted to it, and lists what it was told
// to fire.
type posts struct {
	mu       sync.Mutex
	firing   map[string]sentAlert
	resolved []sentAlert
	n        map[string]int // posts of what fires, by alertname
}

func (p *posts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodPost:
		var alerts []sentAlert
		if json.NewDecoder(r.Body).Decode(&alerts) != nil {
			http.Error(w, "no alerts", http.StatusBadRequest)
			return
		}
		for _, a := range alerts {
			if a.EndsAt.After(time.Now()) {
				p.firing[a.Labels["alertname"]] = a
				p.n[a.Labels["alertname"]]++
			} else {
				p.resolved = append(p.resolved, a)
			}
		}
	case r.URL.Path == "/api/v2/alerts":
		list := []sentAlert{}
		for _, a := range p.firing {
			list = append(list, a)
		}
		_ = json.NewEncoder(w).Encode(list)
	default:
		_, _ = fmt.Fprintf(w, `{"uptime":%q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	}
}

// spent is how often the ticket of a spent budget was posted.
func (p *posts) spent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n["ErrorBudgetExhausted"]
}

// pastOf is a Prometheus with 100 requests a minute for some hours until half an hour
// from now. From 40 to 30 hours ago 10 of them failed.
func pastOf(t *testing.T, now time.Time, hours int) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	text, total, bad := [2]string{}, 0, 0
	for m := -100 * 60; m <= 30; m++ {
		total += 100
		if m > -40*60 && m <= -30*60 {
			bad += 10
		}
		if m >= -hours*60 {
			text[0] += fmt.Sprintf(" %d", total-bad)
			text[1] += fmt.Sprintf(" %d", bad)
		}
	}
	series := fmt.Sprintf("http_requests_total{job=\"checkout\",instance=\"a\",code=\"200\"}%s\nhttp_requests_total{job=\"checkout\",instance=\"a\",code=\"500\"}%s\n", text[0], text[1])
	require.NoError(t, db.Load(t.Context(), now.Add(-time.Duration(hours)*time.Hour), time.Minute, series))
	return db
}

// TestABackendThatForgetsItsPast: of 3 days it has 6 hours left, and answers 200. A
// reread keeps what was counted, and what fires; a restart knows little, says so, and
// goes on with the ticket that Alertmanager has.
func TestABackendThatForgetsItsPast(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Minute)
	whole, rest := pastOf(t, now, 100).Handler(), pastOf(t, now, 6).Handler()
	var mu sync.Mutex
	backend := whole
	prom := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := backend
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	defer prom.Close()
	am := &posts{firing: map[string]sentAlert{}, n: map[string]int{}}
	receiver := httptest.NewServer(am)
	defer receiver.Close()
	dir := t.TempDir()
	write(t, dir, "slo.yaml", `apiVersion: slowburn/v1
service: checkout
slos:
  - name: availability
    objective: 99.9
    window: 3d
    sli: {events: {bad: 'http_requests_total{code="500"}', total: http_requests_total}}
`)
	config := write(t, dir, "slowburn.yaml", fmt.Sprintf("specs: [{directory: %s/slo.yaml}]\nbackends: [{url: %q}]\nalertmanagers: [{url: %q}]\n", dir, prom.URL, receiver.URL))
	const exhausted = "ErrorBudgetExhausted"

	s := serving(t, "--config", config)
	until(t, waitLimit, "a ticket", func() bool { return am.spent() > 0 })
	own := func(r api) evaluator.WindowStatus {
		windows := r.slo("checkout/availability").Windows
		return windows[len(windows)-1]
	}
	before := own(s.report())
	require.Equal(t, 1.0, before.Coverage)
	require.InDelta(t, 6000, before.Bad, 1)

	mu.Lock()
	backend = rest
	mu.Unlock()
	code, _ := post(t, s.URL+"/-/reread")
	require.Less(t, code, 300)
	until(t, 3*time.Minute, "a doubt", func() bool { return s.log.count("no samples any more of what was counted") == 1 })
	r := s.report()
	require.Equal(t, []evaluator.DoubtCode{evaluator.DoubtPartlyKnown}, doubts(*r.slo("checkout/availability")))
	require.Equal(t, before.Bad, own(r).Bad)
	require.GreaterOrEqual(t, own(r).Coverage, 0.999)
	posted := am.spent()
	until(t, 3*time.Minute, "another post of it", func() bool { return am.spent() > posted })
	s.stop()
	<-s.ended

	again := serving(t, "--config", config)
	until(t, waitLimit, "numbers", func() bool { return again.report().slo("checkout/availability").State == evaluator.StateOK })
	require.InDelta(t, 6.0/72, own(again.report()).Coverage, 0.01)
	require.Contains(t, doubts(*again.report().slo("checkout/availability")), evaluator.DoubtPartlyKnown)
	posted = am.spent()
	until(t, 3*time.Minute, "the ticket is posted again, twice", func() bool { return am.spent() > posted+1 })
	held := again.report().slo("checkout/availability").Alerts
	require.Len(t, held, 1)
	require.Equal(t, exhausted, held[0].Name)
	require.Equal(t, "checkout availability had spent its error budget; whether it is over is not known", held[0].Summary)
	require.Contains(t, held[0].Description, "too little is known to end it: 8.")
	require.Equal(t, 1.0, again.metrics()[`slo_alert_firing{alertname="ErrorBudgetExhausted",severity="ticket",slo="availability",slo_id="checkout/availability",slo_service="checkout"}`])
	am.mu.Lock()
	require.Equal(t, am.firing[exhausted].Annotations["summary"], held[0].Summary)
	require.Equal(t, am.firing[exhausted].StartsAt, held[0].Since)
	defer am.mu.Unlock()
	require.Empty(t, am.resolved)
}
