package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// sentAlert is an alert as Alertmanager's API lists it, or as it notifies of it.
type sentAlert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	Status              any // in a notification, "firing" or "resolved"
}

// notifications are what an Alertmanager told its receiver, a group each.
type notifications struct {
	mu     sync.Mutex
	groups [][]sentAlert
}

func (n *notifications) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var group struct{ Alerts []sentAlert }
	if err := json.NewDecoder(r.Body).Decode(&group); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups = append(n.groups, group.Alerts)
}

// pages are the notifications of pages with a status.
func (n *notifications) pages(status string) []sentAlert {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []sentAlert
	for _, g := range n.groups {
		for _, a := range g {
			if a.Labels["severity"] == "page" && a.Status == status {
				out = append(out, a)
			}
		}
	}
	return out
}

func listAlerts(t *testing.T, am *servers.Server) []sentAlert {
	t.Helper()
	code, body := get(t, am.URL+"/api/v2/alerts")
	require.Equal(t, http.StatusOK, code, body)
	var out []sentAlert
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	return out
}

// incident is a Prometheus with 100 requests a minute, of which 7 fail in
// (from, to]. It was scraped each minute, and goes on being.
func incident(t *testing.T, from, to time.Time) *httptest.Server {
	t.Helper()
	db := servers.Embedded(t)
	before, during := 120, int(to.Sub(from)/time.Minute)
	require.NoError(t, db.Load(t.Context(), from.Add(-time.Duration(before)*time.Minute), time.Minute, fmt.Sprintf(`
http_requests_total{job="checkout",instance="a",code="200"} 0+100x%d %d+93x%d %d+100x60
http_requests_total{job="checkout",instance="a",code="500"} 0x%d 7+7x%d %d+0x60
up{job="checkout",instance="a"} 1x300`,
		before, 100*before+93, during-1, 100*before+93*during+100, before, during-1, 7*during)))
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	return server
}

// TestTwoReplicasAndAnAlertmanager runs two replicas on one configuration, of
// which one is killed and started again: a real Alertmanager has one alert all the
// time, whose beginning stays and which ends when the incident is over.
func TestTwoReplicasAndAnAlertmanager(t *testing.T) {
	t.Parallel()
	over := time.Now().UTC().Add(130 * time.Second).Truncate(time.Minute) // which leaves time for a death
	began := over.Add(-22 * time.Minute)
	prom := incident(t, began, over)
	am, told := alertmanager(t)
	dir := t.TempDir()
	write(t, dir, "slos/checkout.yaml", checkout("99")+`labels: {tier: "1"}
links: {runbook: https://runbooks.example.org/checkout}
`)
	args := []string{"--config", write(t, dir, "slowburn.yaml", `
specs: [{directory: ./slos}]
backends: [{url: `+prom.URL+`, offset: 5s, settle: 1m}]
alertmanagers: [{url: `+am.URL+`}]
web: {external_url: https://slo.example.org}
`)}
	a := serving(t, args...)
	b, kill := running(t, args...)
	a.untilSent(am)
	b.untilSent(am)

	// 7 % of bad events burn at 7. That is above the page's 6 once all slots of
	// its 5 m are bad, and no longer with the first good one.
	var page sentAlert
	hasOnePage := func() bool {
		t.Helper()
		alerts := slices.DeleteFunc(listAlerts(t, am), func(a sentAlert) bool { return a.Labels["alertname"] != "ErrorBudgetBurn" })
		require.Len(t, alerts, 2, "a page and a ticket")
		page = alerts[0]
		if page.Labels["severity"] != "page" {
			page = alerts[1]
		}
		require.Equal(t, map[string]string{
			"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability", "slo_service": "checkout", "slo": "availability",
			"severity": "page", "tier": "1",
		}, page.Labels)
		require.Equal(t, began.Add(5*time.Minute), page.StartsAt.UTC())
		require.Greater(t, page.EndsAt, time.Now().Add(3*time.Minute), "it outlives some lost posts")
		require.Contains(t, page.Annotations["summary"], "checkout availability burns its error budget 7x too fast")
		require.Contains(t, page.Annotations["description"], "7 % of the requests in the last 5m failed")
		require.Equal(t, "https://runbooks.example.org/checkout", page.Annotations["runbook_url"])
		require.Contains(t, page.Annotations["slo_url"], "https://slo.example.org/slo/checkout/availability?from="+began.Add(-55*time.Minute).Format(time.RFC3339))
		return true
	}
	hasOnePage()
	requireSameJSON(t, a, b)

	kill()
	killed := time.Now()
	until(t, 2*time.Minute, "the other replica keeps it for longer than the dead one could", func() bool {
		return hasOnePage() && page.EndsAt.After(killed.Add(5*time.Minute))
	})
	b, _ = running(t, args...)
	b.untilSent(am)
	hasOnePage()
	requireSameJSON(t, a, b)
	until(t, time.Until(over)+time.Second, "the incident is over", func() bool { return hasOnePage() && time.Now().After(over) })

	until(t, 3*time.Minute, "resolved", func() bool { return len(told.pages("resolved")) > 0 })
	resolved := told.pages("resolved")[0]
	require.Equal(t, began.Add(5*time.Minute), resolved.StartsAt.UTC())
	require.Greater(t, resolved.EndsAt, over.Add(time.Minute), "one good slot, and settled")
	require.Less(t, resolved.EndsAt, over.Add(3*time.Minute), "told, not run out")
	until(t, waitLimit, "both replicas see the end", func() bool { return a.paging()+b.paging() == 0 })
	sentA, sentB := a.sent(am), b.sent(am)
	if !testing.Short() {
		until(t, 2*time.Minute, "and say it once more", func() bool { return a.sent(am) > sentA && b.sent(am) > sentB })
	}
	require.Len(t, told.pages("firing"), 1, "two replicas and a death are one notification")
	require.Len(t, told.pages("resolved"), 1)
	require.NotContains(t, severities(listAlerts(t, am)), "page")

	// Its link shows what happened until the last numbers that it told.
	link, err := url.Parse(resolved.Annotations["slo_url"])
	require.NoError(t, err)
	to, err := time.Parse(time.RFC3339, link.Query().Get("to"))
	require.NoError(t, err)
	code, body := a.get(link.RequestURI())
	require.Equal(t, http.StatusOK, code)
	bad := 7 * min(to.Sub(began), over.Sub(began)).Minutes()
	total := 100 * (to.Sub(began) + 55*time.Minute).Minutes()
	require.Contains(t, body, fmt.Sprintf(`<dd>%s</dd><dd class="sub">of %s;`, humanize.Count(bad), humanize.Count(total)))
}

// alertmanager is a real one that tells of each change within a second or two.
func alertmanager(t *testing.T) (*servers.Server, *notifications) {
	t.Helper()
	told := &notifications{}
	receiver := httptest.NewServer(told)
	t.Cleanup(receiver.Close)
	return servers.Alertmanager(t, `
route: {receiver: hook, group_by: [slo_id, severity], group_wait: 1s, group_interval: 1s}
receivers: [{name: hook, webhook_configs: [{url: '`+receiver.URL+`'}]}]
`), told
}

// severities are those of alerts, sorted.
func severities(alerts []sentAlert) []string {
	out := []string{}
	for _, a := range alerts {
		out = append(out, a.Labels["severity"])
	}
	slices.Sort(out)
	return out
}

// paging is 1 while a page of the SLO checkout/availability fires, else 0.
func (s *served) paging() float64 {
	s.t.Helper()
	return s.metrics()[`slo_alert_firing{alertname="ErrorBudgetBurn",severity="page",slo="availability",slo_id="checkout/availability",slo_service="checkout"}`]
}

// page is the summary of the page of the first SLO, "" without one.
func (s *served) page() string {
	s.t.Helper()
	for _, a := range s.report().SLOs[0].Alerts {
		if a.Severity == "page" {
			return a.Summary
		}
	}
	return ""
}

// sent is how many alerts of this process the Alertmanager took.
func (s *served) sent(am *servers.Server) float64 {
	s.t.Helper()
	return s.metrics()[`slowburn_alerts_sent_total{alertmanager="`+am.URL+`"}`]
}

// untilSent waits until the Alertmanager has taken alerts of this process.
func (s *served) untilSent(am *servers.Server) {
	s.t.Helper()
	until(s.t, time.Minute, "alerts are sent", func() bool { return s.sent(am) > 0 })
}

// requireSameJSON holds two replicas that have read their history against each
// other at one instant.
func requireSameJSON(t *testing.T, a, b *served) {
	t.Helper()
	until(t, waitLimit, "reports of one instant", func() bool {
		x, y := a.report(), b.report()
		const read = `"state":"ok"`
		if !x.EvaluatedAt.Equal(y.EvaluatedAt) || !strings.Contains(x.raw["checkout/availability"], read) || !strings.Contains(y.raw["checkout/availability"], read) {
			return false
		}
		require.Equal(t, x.raw, y.raw)
		return true
	})
}
