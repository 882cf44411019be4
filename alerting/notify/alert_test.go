package notify

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// alertOf is the alert that is sent for what a judge found.
func alertOf(s *evaluator.Status, f evaluator.FiringAlert, externalURL string) Alert {
	f.Name = s.Spec.Alerting.AlertName()
	f.Annotations = annotationsOf(s, f, externalURL)
	return newAlert(s, f, externalURL)
}

// TestAlertSaysWhatATiredPersonNeeds: 870 of 48,160 are 1.81 %; 103,678.85 bad
// events are allowed in 30 days, of which 870 are 0.84 %; 129 % is spent.
func TestAlertSaysWhatATiredPersonNeeds(t *testing.T) {
	objective, err := slo.ParseObjective("99.9")
	require.NoError(t, err)
	since := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)
	burn, allowed, remaining := 18.06, 103678.85, -0.29
	status := evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Window: "30d", State: evaluator.StateOK,
		Labels:  map[string]string{"tier": "1"},
		Links:   map[string]string{"runbook": "https://runbooks.example.org/checkout", "wiki": "https://wiki.example.org"},
		Windows: []evaluator.WindowStatus{{Name: "5m"}, {Name: "1h", Total: 48160, Bad: 870, BurnRate: &burn, End: since.Add(time.Hour)}},
		Budget:  evaluator.Budget{Allowed: &allowed, Remaining: &remaining},
		Spec:    &slo.SLO{Objective: objective},
	}
	fires := evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Since: since, Windows: []string{"1h", "5m"}}
	a := alertOf(&status, fires, "https://slo.example.org/")
	require.Equal(t, map[string]string{
		"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability", "slo_service": "checkout",
		"slo": "availability", "severity": "page", "tier": "1",
	}, a.Labels)
	require.Equal(t, since, a.StartsAt)
	require.Equal(t, "https://slo.example.org/slo/checkout/availability", a.GeneratorURL)
	require.Equal(t, map[string]string{
		"summary": "checkout availability burns its error budget 18x too fast",
		"description": "1.8 % of the events in the last 1h failed (870 of 48,160; 0.1 % may). The alert began at 14:02 UTC on 20 Nov. " +
			"The last 1h took 0.84 % of the 30d budget; nothing is left of it (-29 %).",
		"tier": "fast (1h, 5m)", "runbook_url": "https://runbooks.example.org/checkout",
		"slo_url": "https://slo.example.org/slo/checkout/availability?from=2026-11-20T13:02:00Z&to=2026-11-20T15:02:00Z",
	}, a.Annotations)

	remaining = 0.31
	hours := 5400.0
	status.Budget.ExhaustedInSeconds = &hours
	status.State, status.StateReason = evaluator.StateQueryFailed, "connection refused"
	require.Equal(t, "1.8 % of the events in the last 1h failed (870 of 48,160; 0.1 % may). The alert began at 14:02 UTC on 20 Nov. "+
		"The last 1h took 0.84 % of the 30d budget; 31 % of it is left. At this rate it is spent in 1h30m, at 16:32 UTC on 20 Nov. "+
		"These numbers are of 15:02 UTC, for the backend can't be read: connection refused.",
		alertOf(&status, fires, "").Annotations["description"])
}

// TestTheAlertInTheDocs holds the alert that docs/reference/alerts.md shows against
// the program's words.
func TestTheAlertInTheDocs(t *testing.T) {
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(`apiVersion: slowburn/v1
service: checkout
slos:
  - name: availability
    description: Requests answered without a server error.
    objective: 99.9
    sli: {events: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}`)}})
	require.Empty(t, set.Findings)
	since := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)
	burn, allowed, remaining, left := 18.06, 103678.85, 0.31, 5400.0
	status := evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Window: "30d", State: evaluator.StateOK, Spec: set.SLOs[0],
		Windows: []evaluator.WindowStatus{{Name: "5m"}, {Name: "1h", Total: 48160, Bad: 870, BurnRate: &burn, End: since.Add(time.Hour)}},
		Budget:  evaluator.Budget{Allowed: &allowed, Remaining: &remaining, ExhaustedInSeconds: &left},
	}
	says := alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Since: since, Windows: []string{"1h", "5m"}}, "").Annotations
	page, err := os.ReadFile("../../docs/reference/alerts.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(page)), " ")
	require.Contains(t, text, "summary "+says["summary"]+" description "+says["description"])
}

// TestAnAlertThatIsKeptFiring claims no more than what is true now.
func TestAnAlertThatIsKeptFiring(t *testing.T) {
	since := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)
	burn := 0.0
	status := evaluator.Status{
		Service: "checkout", SLO: "availability", Window: "30d", Spec: drill.SLO(t),
		Windows: []evaluator.WindowStatus{{Name: "5m", Total: 300, BurnRate: &burn, End: since.Add(20 * time.Minute)}},
	}
	got := alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Tier: "outage", Since: since, Windows: []string{"5m", "5m"}}, "").Annotations
	require.Equal(t, "checkout availability no longer burns its error budget too fast", got["summary"])
	require.Equal(t, "It is over: only 0 % of the events in the last 5m failed (0 of 300; 0.1 % may). The alert began at 14:02 UTC on 20 Nov.", got["description"])

	status.ID, status.Group = `checkout/availability{tenant="acme"}`, map[string]string{"tenant": "acme"}
	fires := evaluator.FiringAlert{Severity: slo.Page, Tier: "outage", Since: since, Windows: []string{"5m", "5m"}}
	require.Equal(t, `checkout/availability{tenant="acme"} no longer burns its error budget too fast`, alertOf(&status, fires, "").Annotations["summary"])
	burn = 1.004
	require.Equal(t, `checkout/availability{tenant="acme"} burns its error budget 1.004x too fast`, alertOf(&status, fires, "").Annotations["summary"])
}

// TestAlertIsCalledWhatTheSLOFileSays holds which label wins: that of the severity,
// of alerting, of the file; and that none takes the place of the SLO's own.
func TestAlertIsCalledWhatTheSLOFileSays(t *testing.T) {
	text := `apiVersion: slowburn/v1
service: checkout
labels: {tier: "1", region: eu, team: shop}
defaults: {alerting: {name: CheckoutBurns, severities: {page: critical}}}
slos:
  - name: availability
    objective: 99.9
    alerting:
      labels: {team: payments, pager: none}
      page: {labels: {pager: night}}
    sli: {events: {bad: a_total, total: b_total}}
`
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(text)}})
	require.Empty(t, set.Findings)
	s := set.SLOs[0]
	status := evaluator.Status{ID: s.ID(), Service: s.Service, SLO: s.Name, Labels: s.Labels, Spec: s}
	want := map[string]string{
		"alertname": "CheckoutBurns", "slo_id": "checkout/availability", "slo_service": "checkout", "slo": "availability",
		"severity": "critical", "tier": "1", "region": "eu", "team": "payments", "pager": "night",
	}
	require.Equal(t, want, alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Windows: []string{"1h", "5m"}}, "").Labels)
	want["severity"], want["pager"] = "ticket", "none"
	require.Equal(t, want, alertOf(&status, evaluator.FiringAlert{Severity: slo.Ticket, Windows: []string{"1d", "2h"}}, "").Labels)
}

// TestAlertLeadsToTheTimeOfTheIncident: from an hour before 14:02 on 20 Nov 2026,
// 1795183320 s, to the 15:02 of the numbers, and from three days before for a ticket
// that looks back so far.
func TestAlertLeadsToTheTimeOfTheIncident(t *testing.T) {
	since := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)
	status := evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Spec: &slo.SLO{},
		Windows: []evaluator.WindowStatus{{Name: "1h", Seconds: 3600, End: since.Add(time.Hour)}, {Name: "3d", Seconds: 259200, End: since.Add(time.Hour)}},
	}
	for link, want := range map[string]string{
		"https://g.example.org/d/abc/shop?var-x=1":           "https://g.example.org/d/abc/shop?from=1795179720000&to=1795186920000&var-x=1",
		"https://g.example.org/d/abc?from=now-6h&to=now":     "https://g.example.org/d/abc?from=now-6h&to=now",
		"https://g.example.org/d/slowburn-detail":            "https://g.example.org/d/slowburn-detail?from=1795179720000&to=1795186920000&var-service=checkout&var-slo_id=checkout%2Favailability",
		"https://splunk.example.org/app/search?earliest=-1h": "https://splunk.example.org/app/search?earliest=-1h",
	} {
		status.Links = map[string]string{"dashboard": link}
		require.Equal(t, want, alertOf(&status, evaluator.FiringAlert{Since: since, Windows: []string{"1h", "5m"}}, "").Annotations["dashboard_url"])
	}
	trickle := alertOf(&status, evaluator.FiringAlert{Since: since, Windows: []string{"3d", "1d"}}, "https://slo.example.org")
	require.Equal(t, "https://slo.example.org/slo/checkout/availability?from=2026-11-17T14:02:00Z&to=2026-11-20T15:02:00Z", trickle.Annotations["slo_url"])
}

// TestAlertSaysWhatChanged, and what a template makes of it.
func TestAlertSaysWhatChanged(t *testing.T) {
	burn := 18.06
	end := time.Date(2026, 11, 20, 15, 2, 0, 0, time.UTC)
	status := evaluator.Status{
		ID: "checkout/availability", Service: "checkout", SLO: "availability", Window: "30d", Revision: "4f2c", Links: map[string]string{},
		Windows: []evaluator.WindowStatus{{Name: "1h", Total: 48160, Bad: 870, BurnRate: &burn, End: end}},
		Spec: &slo.SLO{
			Objective: drill.Objective(t, "99.9"), Window: slo.Rolling(30 * drill.Day),
			PastObjectives: []slo.PastObjective{{Until: end.Add(-29 * 24 * time.Hour), Objective: drill.Objective(t, "99")}},
			Alerting: slo.Alerting{Annotations: map[string]string{
				"summary": "{{ .BurnRate }}x, {{ .BudgetLeft }} left", "team": "{{ .Labels.team }}", "broken": "{{ .Nothing }}",
			}},
		},
	}
	fires := evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Since: end.Add(-time.Hour), Windows: []string{"1h", "5m"}}
	got := alertOf(&status, fires, "").Annotations
	require.Equal(t, map[string]string{
		"summary": "18x, unknown left", "team": "", "tier": "fast (1h, 5m)", "revision": "4f2c",
		"description": "1.8 % of the events in the last 1h failed (870 of 48,160; 0.1 % may). The alert began at 14:02 UTC on 20 Nov. " +
			"Since 15:02 UTC on 22 Oct the objective is 99.9 %; before it was 99 %.",
	}, got)
	status.Spec.PastObjectives[0].Until = end.Add(-31 * 24 * time.Hour)
	require.NotContains(t, alertOf(&status, fires, "").Annotations["description"], "objective")
}

// TestAlertOfAGroup says which group it is, and leads to its page.
func TestAlertOfAGroup(t *testing.T) {
	objective, err := slo.ParseObjective("99.9")
	require.NoError(t, err)
	status := evaluator.Status{
		ID: `checkout/availability{tenant="a&b"}`, Service: "checkout", SLO: "availability", Window: "30d",
		Group: map[string]string{"tenant": "a&b"}, Spec: &slo.SLO{Objective: objective},
	}
	a := alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Windows: []string{"1h", "5m"}}, "https://slo.example.org/below")
	require.Equal(t, "https://slo.example.org/below/slo/checkout/availability?tenant=a%26b", a.Annotations["slo_url"])
	require.Equal(t, a.GeneratorURL, a.Annotations["slo_url"])
	require.Equal(t, `checkout/availability{tenant="a&b"} burns its error budget`, a.Annotations["summary"])
	require.Equal(t, "a&b", a.Labels["tenant"])
	require.Equal(t, `checkout/availability{tenant="a&b"}`, a.Labels["slo_id"])

	since := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC)
	status.Windows = []evaluator.WindowStatus{{Name: "1h", End: since.Add(time.Hour)}}
	fires := evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Since: since, Windows: []string{"1h", "5m"}}
	a = alertOf(&status, fires, "https://slo.example.org/below")
	require.Equal(t, "https://slo.example.org/below/slo/checkout/availability?tenant=a%26b&from=2026-11-20T13:02:00Z&to=2026-11-20T15:02:00Z",
		a.Annotations["slo_url"])
	require.Equal(t, "https://slo.example.org/below/slo/checkout/availability?tenant=a%26b", a.GeneratorURL)
}

// TestAnAlertSaysSinceWhenHonestly, and what failed in the words of its SLO.
func TestAnAlertSaysSinceWhenHonestly(t *testing.T) {
	x := newTeller(t)
	s := x.about(evaluator.StateOK, 0.5, 20)
	s.Spec.Indicator = slo.Threshold{}
	f := evaluator.FiringAlert{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "slow", Since: x.now, Windows: []string{"3d", "1d"}}
	require.Regexp(t, `of the minutes in the last 3d failed .*\. The alert began at 03:00 UTC on 25 Nov\.`, factsOf(&s, f).Text)
	require.Equal(t, "03:00 UTC on 25 Nov", factsOf(&s, f).Since)
	f.Older = true
	require.Contains(t, factsOf(&s, f).Text, ". The alert began at or before 03:00 UTC on 25 Nov.")
	require.Equal(t, "at or before 03:00 UTC on 25 Nov", factsOf(&s, f).Since)
}

// TestWhatAJobsAlertSays.
func TestWhatAJobsAlertSays(t *testing.T) {
	s := drill.Nightly(t)
	s.Description = "Backs up the database."
	since := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	burn, allowed, remaining := 11.36, 2.64, 0.24
	status := evaluator.Status{
		ID: s.ID(), Service: "db", SLO: "backup", Owner: "team-db", Window: "30d", Spec: s,
		Windows: []evaluator.WindowStatus{{Name: "3d", Seconds: 3 * 86400, Total: 2, Bad: 2, BurnRate: &burn, End: since}, {Name: "30d"}},
		Budget:  evaluator.Budget{Allowed: &allowed, Remaining: &remaining},
	}
	a := alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Tier: "again", Since: since, Row: 2, Windows: []string{"3d", "3d"}}, "")
	require.Equal(t, "db backup: 2 runs in a row were missed", a.Annotations["summary"])
	require.Equal(t, "Backs up the database. 2 runs in a row were missed. The alert began at 03:00 UTC on 20 Nov and ends with the next good run. "+
		"The last 3d took 76 % of the 30d budget; 24 % of it is left.", a.Annotations["description"])
	require.Equal(t, "team-db", a.Labels["slo_owner"])
}
