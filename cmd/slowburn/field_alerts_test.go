package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// alertsCases are cases in which what is sent was shown nowhere.
func alertsCases() []fieldCase {
	return []fieldCase{{"budget-alerts", 60 * time.Hour, budgetAlerts}}
}

// budgetAlerts has 2 of 100 requests fail each minute, and jobs that are no longer
// counted from 59 h on.
func budgetAlerts(f *field) {
	each := func(n float64) func(time.Duration) float64 {
		return func(after time.Duration) float64 { return n * after.Minutes() }
	}
	f.series(`requests_total{job="shop",instance="a",code="200"}`, 0, 60*time.Hour, time.Minute, each(98))
	f.series(`requests_total{job="shop",instance="a",code="500"}`, 0, 60*time.Hour, time.Minute, each(2))
	dies := func(after time.Duration) float64 {
		if after > 59*time.Hour {
			return math.NaN()
		}
		return after.Minutes()
	}
	f.series(`jobs_total{job="jobs",instance="a",state="good"}`, 0, 60*time.Hour, time.Minute, dies)
	f.series(`jobs_total{job="jobs",instance="a",state="bad"}`, 0, 60*time.Hour, time.Minute, func(after time.Duration) float64 { return 0 * dies(after) })
}

// TestStatusShowsEachAlert that a service would send, with what it says and since when.
// Half of the day of the budget is known after 12 hours, of which all is spent.
func TestStatusShowsEachAlert(t *testing.T) {
	f := alertsCases()[0].open(t)
	named := func(s evaluator.Status) map[string]evaluator.FiringAlert {
		out := map[string]evaluator.FiringAlert{}
		for _, a := range s.Alerts {
			if !a.Burns() {
				out[a.Name] = a
			}
		}
		return out
	}
	for _, hours := range []int{13, 30, 59} {
		got := named(f.status(time.Duration(hours) * time.Hour)["spent"])
		require.Len(t, got, 2, hours)
		spent := got["ErrorBudgetExhausted"]
		require.Equal(t, "ticket", spent.Severity)
		require.Equal(t, f.at(12*time.Hour), spent.Since, hours)
		require.Equal(t, "shop spent has spent its error budget", spent.Summary)
		require.Equal(t, "Nothing (-100 %) of the 1d budget is left. The ticket stays open until more than 1 % is.", spent.Description)
		require.Equal(t, "shop spent: no risky deploys", got["ErrorBudgetPolicy"].Summary)
		require.Equal(t, f.at(12*time.Hour), got["ErrorBudgetPolicy"].Since)
	}
	require.Empty(t, named(f.status(59*time.Hour + 14*time.Minute)["dead"]))
	for _, after := range []time.Duration{15 * time.Minute, 40 * time.Minute} {
		got := named(f.status(59*time.Hour + after)["dead"])
		require.Len(t, got, 1)
		require.Equal(t, f.at(59*time.Hour+15*time.Minute), got["SLONoData"].Since)
		require.Contains(t, got["SLONoData"].Description, "no samples of jobs_total")
	}
	_, out, errs := f.run("status", f.file, "--backend", f.url, "--at", f.at(60*time.Hour).Format(time.RFC3339))
	require.Contains(t, out, "ErrorBudgetExhausted since ", errs)
	require.Contains(t, out, "ErrorBudgetPolicy since ")
	require.Contains(t, out, "SLONoData since ")
}
