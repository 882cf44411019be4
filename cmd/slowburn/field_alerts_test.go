package main

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/backtest"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// alertsCases are cases in which what is sent was shown nowhere.
func alertsCases() []fieldCase {
	return []fieldCase{{"budget-alerts", 60 * time.Hour, budgetAlerts}, {"missed-runs", 62 * 24 * time.Hour, missedRuns}}
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

// missedRuns has a backup each night, which fails in the nights after 40 to 42 days.
func missedRuns(f *field) {
	const day, end = 24 * time.Hour, 62 * 24 * time.Hour
	runs := func(after time.Duration) float64 { return max(math.Floor((after-f.night()).Hours()/24)+1, 0) }
	failed := func(after time.Duration) float64 { return min(runs(after-40*day), 3) }
	first := f.at(5 * time.Minute).Truncate(5 * time.Minute).Sub(f.start) // so that a sample shows each at once
	f.series(`backups_total{job="db",instance="a",result="success"}`, first, end, 5*time.Minute, func(after time.Duration) float64 { return runs(after) - failed(after) })
	f.series(`backups_total{job="db",instance="a",result="failure"}`, first, end, 5*time.Minute, failed)
}

// night is how long after the start the first backup ends, on a quarter of an hour as the
// edges of long windows are.
func (f *field) night() time.Duration {
	return f.at(3 * time.Hour).Truncate(15 * time.Minute).Sub(f.start)
}

// TestBacktestOfMissedRuns: of 30 runs 2.64 may fail, so each takes 38 % of the budget. The
// first is a ticket, the second a page, which is right; both end with the next good run.
func TestBacktestOfMissedRuns(t *testing.T) {
	f := alertsCases()[1].open(t)
	code, out, errs := f.run("backtest", f.file, "--backend", f.url, "--from", f.at(31*24*time.Hour).Format(time.RFC3339), "--to", f.at(61*24*time.Hour).Format(time.RFC3339))
	require.Zero(t, code, errs)
	require.Contains(t, out, "3 of 30 runs were bad")
	require.Regexp(t, `91\.2 % +jobs +1 +0\.2 +1 +0 +0 of 3 `, out)
	night := func(day int) string {
		return f.at(time.Duration(day)*24*time.Hour + f.night()).Format("2006-01-02 15:04")
	}
	require.Regexp(t, night(40)+" +3 d +ticket +missed", out)
	require.Regexp(t, night(41)+" +2 d +page +again", out)
	require.Contains(t, out, "3 bad runs took 38 % of the budget each.")
	require.NotContains(t, out, "No incident")
}

// TestBacktestOfWhatFinishesLater: the jobs of three nights, of which each ended well 40
// minutes after it began. The pages are false, about no bad event, and the budget is that
// of status.
func TestBacktestOfWhatFinishesLater(t *testing.T) {
	f := fieldCase{"started-finished", 72 * time.Hour, startedFinished}.open(t)
	args := []string{"backtest", f.file, "--backend", f.url, "--from", f.at(0).Format(time.RFC3339), "--to", f.at(71 * time.Hour).Format(time.RFC3339)}
	code, out, errs := f.run(append(args, "-o", "json")...)
	require.Zero(t, code, errs)
	var r backtest.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	i := slices.IndexFunc(r.Results, func(r backtest.TestResult) bool { return r.SLO == "good" })
	good := r.Results[i]
	require.Equal(t, []int{3, 0, 0}, []int{good.Pages, good.Missed, len(good.Incidents)})
	require.Equal(t, good.Pages+good.Tickets, good.False)
	for _, e := range good.Episodes {
		require.Zero(t, e.Bad)
		require.Zero(t, *e.Consumed)
	}
	require.Equal(t, 50.0, good.Episodes[0].GoodLater)
	require.Equal(t, *f.status(71 * time.Hour)["good"].Budget.Remaining, *good.Remaining)

	_, out, _ = f.run(args...)
	require.Contains(t, out, "fired for events most of which were counted as good afterwards")
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
