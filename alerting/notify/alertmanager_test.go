package notify

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// hook takes notifications, and counts each alert in them by the path that it came
// to, and by its name, SLO, severity and status.
type hook struct {
	mu       sync.Mutex
	told     map[string]int
	messages [][]string // the SLOs of each
}

// lists are the SLOs of each message.
func (h *hook) lists() [][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.messages)
}

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var n struct {
		Alerts []struct {
			Labels map[string]string
			Status string
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&n) // what is missing fails the test
	var ids []string
	for _, a := range n.Alerts {
		ids = append(ids, a.Labels["slo_id"])
	}
	slices.Sort(ids)
	h.messages = append(h.messages, ids)
	for _, a := range n.Alerts {
		h.told[strings.Join([]string{r.URL.Path[1:], a.Labels["alertname"], a.Labels["slo_id"], a.Labels["severity"], a.Status}, " ")]++
	}
}

// times is how often an alert was in a notification.
func (h *hook) times(alert string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[alert]
}

// firing are all that were told of what fires.
func (h *hook) firing() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(h.told)), func(a string) bool { return !strings.HasSuffix(a, " firing") })
}

// TestAlertmanagerConfigMakesOneNotificationOfOneProblem has a real Alertmanager
// deliver to webhooks by the generated configuration, but for its times: all are a
// second, so that who is told of something is told again each second.
func TestAlertmanagerConfigMakesOneNotificationOfOneProblem(t *testing.T) {
	h := &hook{told: map[string]int{}}
	server := httptest.NewServer(h)
	defer server.Close()
	loud := drill.SLO(t)
	loud.Alerting.Page.Label, loud.Alerting.Ticket.Label = "critical", "warning"
	config := regexp.MustCompile(`(group_wait|group_interval|repeat_interval): \S+`).ReplaceAllString(configOf(t, drill.SLO(t), loud), "$1: 1s")
	config = strings.NewReplacer("http://pager.example.org", server.URL+"/pager", "http://tickets.example.org", server.URL+"/tickets").Replace(config)
	require.Equal(t, 2, strings.Count(config, "group_by: [slo_service, slo, severity]"), "of pages and of tickets")
	am := servers.Alertmanager(t, strings.ReplaceAll(config, "/slowburn\n", "\n"))
	b := newBoard(time.Now)
	s := b.sender(Alertmanager{am.URL, http.DefaultClient})
	says := func(whole, group, other []string) {
		t.Helper()
		at := time.Now()
		var slos []evaluator.Status
		for i, severities := range [][]string{whole, group, other} {
			b.show(t, at, evaluator.StateOK, severities...)
			slos = append(slos, b.report.SLOs[0])
			slos[i].Labels = nil
			for j := range slos[i].Alerts {
				slos[i].Alerts[j].Since = at // else nothing is waited for
			}
		}
		slos[1].ID, slos[1].Group = `checkout/availability{tenant="acme"}`, map[string]string{"tenant": "acme"}
		slos[2].ID, slos[2].SLO = "checkout/latency", "latency"
		slos[2].Spec = loud
		for _, id := range []string{"checkout/freshness", "search/availability"} { // they share a label each with the whole
			s := slos[0]
			s.ID = id
			s.Service, s.SLO, _ = strings.Cut(id, "/")
			slos = append(slos, s)
		}
		b.report.SLOs = slos
		s.post()
		require.NoError(t, s.receivers[0].try(t.Context(), <-s.receivers[0].queue))
	}
	soon := func(alert string, times int) {
		t.Helper()
		require.Eventually(t, func() bool { return h.times(alert) >= times }, 30*time.Second, 20*time.Millisecond, "%s; told: %v", alert, h.told)
	}
	meta := func(name, backend string) Alert {
		now := time.Now()
		labels := map[string]string{"alertname": name, "backend": backend, "severity": slo.Ticket}
		if name == "SLONoData" {
			labels["slo_id"], labels["slo_service"], labels["slo"] = backend+"/slo", backend, "slo"
		}
		return Alert{Labels: labels, StartsAt: now, EndsAt: now.Add(time.Hour)}
	}

	both := []string{slo.Page, slo.Ticket}
	says(both, both, both)
	require.NoError(t, s.receivers[0].try(t.Context(), []Alert{meta("SLOBlind", "eu"), meta("SLONoData", "eu")}))
	soon("pager ErrorBudgetBurn checkout/latency critical firing", 4)
	soon("pager ErrorBudgetBurn checkout/availability page firing", 4)
	soon(`pager ErrorBudgetBurn checkout/availability{tenant="acme"} page firing`, 4)
	soon("pager ErrorBudgetBurn checkout/freshness page firing", 1)
	soon("pager ErrorBudgetBurn search/availability page firing", 1)
	require.Contains(t, h.lists(), []string{"checkout/availability", `checkout/availability{tenant="acme"}`}, "one message has both")
	for _, list := range h.lists() {
		if slices.Contains(list, "checkout/freshness") || slices.Contains(list, "search/availability") || slices.Contains(list, "checkout/latency") {
			require.Len(t, list, 1, "another SLO has a message of its own")
		}
	}
	soon("tickets SLONoData eu/slo ticket firing", 4)
	soon("tickets SLOBlind  ticket firing", 4)
	require.Equal(t, []string{
		"pager ErrorBudgetBurn checkout/availability page firing",
		`pager ErrorBudgetBurn checkout/availability{tenant="acme"} page firing`,
		"pager ErrorBudgetBurn checkout/freshness page firing",
		"pager ErrorBudgetBurn checkout/latency critical firing",
		"pager ErrorBudgetBurn search/availability page firing",
		"tickets SLOBlind  ticket firing",
		"tickets SLONoData eu/slo ticket firing",
	}, h.firing(), "a page takes the place of its ticket and of those of its groups; who can't see one SLO knows what another lacks")

	says([]string{slo.Ticket}, []string{slo.Ticket}, nil)
	soon("pager ErrorBudgetBurn checkout/availability page resolved", 1)
	soon("pager ErrorBudgetBurn checkout/latency critical resolved", 1)
	soon("tickets ErrorBudgetBurn checkout/availability ticket firing", 1)
	soon(`tickets ErrorBudgetBurn checkout/availability{tenant="acme"} ticket firing`, 1)
}

func configOf(t *testing.T, slos ...*slo.SLO) string {
	text, err := AlertmanagerConfig(slos)
	require.NoError(t, err)
	return text
}
