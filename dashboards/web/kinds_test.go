package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// detailOf is the page of checkout/availability after a change of it.
func detailOf(t *testing.T, change func(*evaluator.Status)) string {
	t.Helper()
	r := sample(t)
	i := slices.IndexFunc(r.SLOs, func(s evaluator.Status) bool { return s.ID == "checkout/availability" })
	change(&r.SLOs[i])
	return get(handler(r), "/slo/checkout/availability").Body.String()
}

// TestWordsOfKinds expects the unit of each kind of SLO.
func TestWordsOfKinds(t *testing.T) {
	target, err := slo.ParseObjective("95")
	require.NoError(t, err)
	for unit, change := range map[string]func(*slo.SLO){
		"requests": func(*slo.SLO) {}, // the metric is http_requests_total
		"events": func(s *slo.SLO) {
			total := slo.NewSelector(labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "shop_total"))
			s.Indicator = slo.Events{Numbers: slo.Counters{Bad: slo.NewCounter(total), Total: slo.NewCounter(total)}}
		},
		"observations": func(s *slo.SLO) { s.Indicator = slo.Latency{Text: "300ms"} },
		"slices":       func(s *slo.SLO) { s.Slice = &slo.Slice{Length: slo.Window(5 * time.Minute), Target: target} },
		"runs":         func(s *slo.SLO) { s.Indicator = slo.JobRuns{Numbers: slo.Runs{LastSuccess: "x", Every: time.Hour}} },
		"minutes": func(s *slo.SLO) {
			s.Indicator = slo.Freshness{Levels: slo.Levels{Query: "x", MaxAge: time.Hour}}
		},
	} {
		body := detailOf(t, func(s *evaluator.Status) {
			change(s.Spec)
			s.Budgeting = "timeslices"
			s.Excluded = evaluator.Excluded{Slots: 60, Total: 12, Bad: 3}
		})
		require.Contains(t, body, "Share of bad "+unit)
		require.Contains(t, body, "10,368 bad "+unit+" in 30d")
		require.Contains(t, body, ", 11,819 bad "+unit)
		require.Contains(t, body, "with 12 "+unit+", 3 of them bad")
		require.Equal(t, unit == "slices", strings.Contains(body, "timeslices of 5m, bad when less than 95\u00a0% of their events are good"))
		require.NotContains(t, body, "estimated")
	}
}

func TestDetailOfAJourney(t *testing.T) {
	body := detailOf(t, func(s *evaluator.Status) {
		s.Spec.Indicator = &slo.WorstOf{Names: []string{"mail/delivery", "orders/availability"}}
	})
	require.Equal(t, []string{"orders/availability", "mail/delivery"}, ids(body), "worst first")
	require.Contains(t, body, `<a href="/slo/mail/delivery">`)
	require.Contains(t, body, "Share of bad minutes")
}

func TestDetailOfACalendarPeriod(t *testing.T) {
	body := detailOf(t, func(s *evaluator.Status) {
		var err error
		s.Spec.Window, err = slo.NewCalendar(slo.Month, "Europe/Berlin")
		require.NoError(t, err)
		s.Window = "month"
		s.Budget.PeriodStart = new(time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC))
		s.Budget.PeriodEnd = new(time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC))
		s.Budget.SoFar = &evaluator.BudgetShare{Allowed: 8000, Consumed: 1.5}
		s.Budget.ProjectedTotal, s.Budget.ProjectionBasis = new(10368000.0), new("traffic of the last 30d")
		s.Periods = []evaluator.PeriodStatus{{Name: "2026-10", Objective: 0.99, SLI: new(0.98), Total: 1000, Bad: 20, Allowed: new(10.0), Remaining: new(-1.0), Coverage: 0.5}, {Name: "2026-09", Objective: 0.99, SLI: new(1.0), Total: 1000, Allowed: new(10.0), Remaining: new(1.0), Coverage: 0.95}}
	})
	for _, want := range []string{
		"this month in Europe/Berlin", "10,368 bad requests in the projected whole month", "8,000 bad requests allowed, 150\u00a0% consumed",
		"10,368,000 requests (traffic of the last 30d)", `datetime="2026-11-30T23:00:00Z"`, `<th scope="row">2026-10</th>`, "98.00\u00a0%", "−100\u00a0% <small class=\"known\">of the known part</small>", "data-label=\"Budget left\">100\u00a0%</td>",
	} {
		require.Contains(t, body, want)
	}
}

func TestEstimatesAreMarked(t *testing.T) {
	r := sample(t)
	for i := range r.SLOs {
		r.SLOs[i].Exact = r.SLOs[i].ID != "mail/delivery"
	}
	h := handler(r)
	require.Regexp(t, `(?s)data-slo-id="mail/delivery".*30d, estimated`, get(h, "/").Body.String())
	require.Contains(t, get(h, "/slo/mail/delivery").Body.String(), "<strong>estimated</strong>")
	require.NotContains(t, get(h, "/slo/checkout/latency").Body.String(), "estimated")
}

func TestObjectivesOfThePast(t *testing.T) {
	old, err := slo.ParseObjective("99.5")
	require.NoError(t, err)
	body := detailOf(t, func(s *evaluator.Status) {
		s.Spec.PastObjectives = []slo.PastObjective{{Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Objective: old}}
	})
	require.Contains(t, body, "99.5\u00a0% until 2026-11-01 00:00")
}
