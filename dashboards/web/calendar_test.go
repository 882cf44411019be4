package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// calendarSample is the sample with one SLO whose budget is for a November, of
// which 22 days are over.
func calendarSample(t testing.TB) *evaluator.Report {
	t.Helper()
	r := sample(t)
	st := &r.SLOs[slices.IndexFunc(r.SLOs, func(s evaluator.Status) bool { return s.ID == "checkout/latency" })]
	month, err := slo.NewCalendar(slo.Month, "UTC")
	require.NoError(t, err)
	st.Spec.Window, st.Window = month, "month"
	start, end := month.At(evaluated)
	n := int(96 * evaluated.Sub(start) / end.Sub(start))
	st.History = st.History[len(st.History)-n:]
	for i := range st.History {
		st.History[i].End = start.Add(evaluated.Sub(start) * time.Duration(i+1) / time.Duration(n))
	}
	own := &st.Windows[len(st.Windows)-1]
	own.Name, own.Start, own.Seconds = "month", start, int64(evaluated.Sub(start)/time.Second)
	b := &st.Budget
	b.PeriodStart, b.PeriodEnd = &start, &end
	b.ProjectedTotal, b.ProjectionBasis = new(own.Total*1.4), new("traffic of the last 30d")
	b.SoFar = &evaluator.BudgetShare{Allowed: *b.Allowed, Consumed: *b.Consumed, Remaining: *b.Remaining}
	*b.Allowed *= 1.4
	*b.Consumed /= 1.4
	*b.Remaining = 1 - *b.Consumed
	st.Periods = []evaluator.PeriodStatus{
		{Name: "2026-10", Start: start.AddDate(0, -1, 0), End: start, Objective: 0.99, SLI: new(0.9987), Total: 9e6, Bad: 11_700, Allowed: new(9e4), Consumed: new(0.13), Remaining: new(0.87), Coverage: 1, Complete: true},
		{Name: "2026-09", Start: start.AddDate(0, -2, 0), End: start.AddDate(0, -1, 0), Objective: 0.99, SLI: new(0.98), Total: 4e6, Bad: 8e4, Allowed: new(4e4), Consumed: new(2.0), Remaining: new(-1.0), Coverage: 0.5},
		{Name: "2026-08", Start: start.AddDate(0, -3, 0), End: start.AddDate(0, -2, 0), Objective: 0.99},
	}
	st.MorePeriods = true
	return r
}

// TestCalendarPage shows what only a budget with periods has: the rest of the
// month, the budget earned so far beside the whole, and the months before.
func TestCalendarPage(t *testing.T) {
	rec := httptest.NewRecorder()
	handler(calendarSample(t)).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/slo/checkout/latency", nil))
	require.Equal(t, http.StatusOK, rec.Code)
	body := strings.ReplaceAll(rec.Body.String(), "\u00a0", " ")
	for _, text := range []string{
		"; then the budget resets", "in the projected whole month",
		"(traffic of the last 30d)", "Periods that ended", ">2026-10</th>", ">2026-09</th>", "−100 %", ">50 %</td>",
		`>2026-08</th><td class="num" data-label="Objective">99 %</td><td class="num" data-label="SLI">–</td><td class="num" data-label="Budget left">–</td>`,
		"Older periods are not shown.",
	} {
		require.Contains(t, body, text)
	}
	require.NotContains(t, body, "Reading earlier periods")

	rolling := httptest.NewRecorder()
	handler(sample(t)).ServeHTTP(rolling, httptest.NewRequest(http.MethodGet, "/slo/checkout/latency", nil))
	require.NotContains(t, rolling.Body.String(), "Periods that ended")
}
