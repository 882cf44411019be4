package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// doubtsCases are cases of numbers that may be wrong.
func doubtsCases() []fieldCase {
	return []fieldCase{
		{"total-excludes-bad", 4 * time.Hour, totalExcludesBad},
		{"good-above-total", 4 * time.Hour, goodAboveTotal},
		{"started-finished", 71 * time.Hour, startedFinished},
		{"slow-scrape", 24 * time.Hour, slowScrape},
		{"never-there", 48 * time.Hour, neverThere},
		{"nan-threshold", 4 * time.Hour, nanThreshold},
	}
}

// totalExcludesBad has 100 successes a second, of which one each 6 minutes is a
// failure beside them; from 2 h to 2 h 30 min everything fails.
func totalExcludesBad(f *field) {
	const scrape = 30 * time.Second
	from, to := 2*time.Hour, 2*time.Hour+30*time.Minute
	f.series(`tasks_succeeded_total{job="x",instance="i"}`, 0, 4*time.Hour, scrape, func(after time.Duration) float64 {
		return 100 * (min(after, from) + max(0, after-to)).Seconds()
	})
	f.series(`tasks_failed_total{job="x",instance="i"}`, 0, 4*time.Hour, scrape, func(after time.Duration) float64 {
		return float64(after/(6*time.Minute)) + 100*max(0, min(after, to)-from).Seconds()
	})
}

// TestTotalExcludesBad: a page while everything fails, by the wrong indicator too,
// and a doubt about it alone.
func TestTotalExcludesBad(t *testing.T) {
	f := doubtsCases()[0].open(t)
	for _, after := range []time.Duration{2*time.Hour + 10*time.Minute, 2*time.Hour + 29*time.Minute} {
		s := f.status(after)
		for _, name := range []string{"wrong-total", "right", "expression"} {
			require.True(t, fires(s[name], "page"), "%s after %s", name, after)
		}
		require.Contains(t, doubts(s["wrong-total"]), evaluator.DoubtBadExceedsTotal, after)
		require.NotContains(t, doubts(s["right"]), evaluator.DoubtBadExceedsTotal, after)
		require.NotContains(t, doubts(s["expression"]), evaluator.DoubtBadExceedsTotal, after)
	}
	s := f.status(2*time.Hour + 29*time.Minute)
	wrong := s["wrong-total"]
	require.Equal(t, f.at(2*time.Hour), wrong.Doubts[0].Since.UTC(), "since the outage began")
	short := wrong.Windows[0]
	require.InDelta(t, 1000, *short.BurnRate, 1e-9, "nothing but bad events at 99.9 %")
	require.Zero(t, *short.SLI)
	require.Contains(t, doubts(f.status(4 * time.Hour)["wrong-total"]), evaluator.DoubtBadExceedsTotal, "a share of the window's number")
}

// goodAboveTotal has 100 requests a minute, of which one has the code 500; what the
// user takes for all are those with a code of 5xx.
func goodAboveTotal(f *field) {
	const scrape = 30 * time.Second
	for code, perSecond := range map[string]float64{"200": 1.65, "500": 0.0165} {
		f.series(`http_requests_total{job="x",instance="i",code="`+code+`"}`, 0, 4*time.Hour, scrape, func(after time.Duration) float64 {
			return perSecond * after.Seconds()
		})
	}
}

// TestGoodAboveTotal: the number looks perfect, and says that it is in doubt.
func TestGoodAboveTotal(t *testing.T) {
	f := doubtsCases()[1].open(t)
	s := f.status(4 * time.Hour)["all"]
	require.Zero(t, s.Own().Bad)
	require.Contains(t, doubts(s), evaluator.DoubtGoodExceedsTotal)
	require.WithinDuration(t, f.start, *s.Doubts[0].Since, 15*time.Minute)

	_, table, _ := f.run("status", f.file, "--backend", f.url)
	require.Contains(t, table, "*†100 %")
	require.Contains(t, table, "† may be wrong:\n    web/all: ")
	_, findings := f.check()
	require.Contains(t, findings, "total: ")
	require.Regexp(t, `good-above-total.yaml:6:\d+: warning: there were [\d,]+ good events in the last day, and [\d,]+ events in the last two: the total leaves some out`, findings)
}

// startedFinished has 50 backups that start each night, an hour after the data
// begins, and end 40 minutes later: good or, in the second job, failed in the third
// night.
func startedFinished(f *field) { f.startAndFinish(time.Hour) }

// startAndFinish has backups that start each night so long after the data begins.
func (f *field) startAndFinish(begun time.Duration) {
	const day = 24 * time.Hour
	ended := begun + 40*time.Minute
	runs := func(after, at time.Duration) (n float64) {
		for ; at <= after; at += day {
			n++
		}
		return n
	}
	for _, schedule := range []string{"a", "b", "c", "d", "e"} {
		labels := `{job="velero",instance="v",schedule="` + schedule + `"}`
		add := func(name string, value func(after time.Duration) float64) {
			f.series(name+labels, 0, 71*time.Hour, 2*time.Minute, func(after time.Duration) float64 { return 10 * value(after) })
		}
		add("backup_attempt_total", func(after time.Duration) float64 { return runs(after, begun) })
		add("backup_success_total", func(after time.Duration) float64 { return runs(after, ended) })
		add("backup_failure_total", func(after time.Duration) float64 { return max(runs(after, ended)-2, 0) })
	}
}

// TestStartedFinished: what is judged later than it is counted is in no doubt.
func TestStartedFinished(t *testing.T) {
	f := doubtsCases()[2].open(t)
	for _, after := range []time.Duration{24*time.Hour + 80*time.Minute, 49*time.Hour + 30*time.Minute, 49*time.Hour + 50*time.Minute, 50 * time.Hour, 71 * time.Hour} {
		s := f.status(after)
		for _, name := range []string{"good", "bad"} {
			require.NotContains(t, doubts(s[name]), evaluator.DoubtGoodExceedsTotal, "%s after %s: %v", name, after, s[name].Doubts)
			require.NotContains(t, doubts(s[name]), evaluator.DoubtBadExceedsTotal, "%s after %s: %v", name, after, s[name].Doubts)
		}
	}
	last := f.status(71 * time.Hour)
	// Two nights lie in the window.
	requireOwn(t, last["good"], 0, 100, new(last["good"]).Own().Coverage)
}

// slowScrape is a site that pushes each 15 minutes, from zero: an event a second of which each
// hundredth is bad, and a link that is down for 8 of 96 samples.
func slowScrape(f *field) {
	const each, day = 15 * time.Minute, 24 * time.Hour
	add := func(name string, value func(after time.Duration) float64) {
		f.series(name+`{job="site",instance="s"}`, 0, day, each, value)
	}
	add("readings_total", func(after time.Duration) float64 { return after.Seconds() })
	add("readings_failed_total", func(after time.Duration) float64 { return after.Seconds() / 100 })
	add("link_up", func(after time.Duration) float64 {
		if after > 10*time.Hour && after <= 12*time.Hour {
			return 0
		}
		return 1
	})
	add("queue", func(time.Duration) float64 { return 5 })
}

// TestSlowScrape: all is known from the first sample on. Windows of an hour hold four samples, shorter ones have no burn rate.
// Ten minutes after the last sample nothing is gone.
func TestSlowScrape(t *testing.T) {
	f := doubtsCases()[3].open(t)
	s := f.status(24 * time.Hour)
	for name, counts := range map[string][2]float64{"readings": {864, 86400}, "link": {8, 96}, "link-bad": {8, 96}} {
		requireSlow(t, s[name], counts, 1)
	}
	s = f.status(23*time.Hour + 55*time.Minute)
	for name, counts := range map[string][2]float64{"readings": {855, 85500}, "link": {8, 96}, "link-bad": {8, 96}} {
		requireSlow(t, s[name], counts, 1425.0/1440)
	}
	require.Zero(t, new(s["queue-bad"]).Own().Bad)
	require.True(t, fires(f.status(12 * time.Hour)["link"], "ticket"), "down for two hours, by a window of one hour")
	code, findings := f.check()
	require.Zero(t, code)
	require.Contains(t, findings, "samples of readings_total come every 15m: windows of less than 1h have no burn rate, and the alert tiers fast, slow, outage can't fire")
	require.Contains(t, findings, "samples of queue come every 15m: windows of less than 1h have no burn rate")
}

func requireSlow(t *testing.T, s evaluator.Status, expected [2]float64, coverage float64) {
	t.Helper()
	require.Equal(t, evaluator.StateOK, s.State, "%s: %s", s.SLO, s.StateReason)
	w := s.Own()
	require.Equal(t, expected, [2]float64{w.Bad, w.Total}, s.SLO)
	require.LessOrEqual(t, coverage, w.Coverage, s.SLO)
	require.NotNil(t, s.Budget.Remaining, s.SLO)
	for _, w := range s.Windows {
		require.Equal(t, w.Seconds < 3600, w.BurnRate == nil, "%s over %s", s.SLO, w.Name)
	}
}

// neverThere has a counter for the last two days, and none for others.
func neverThere(f *field) {
	f.series(`requests_total{job="x",instance="i"}`, 0, 48*time.Hour, time.Minute, func(after time.Duration) float64 { return after.Minutes() })
}

// TestExcludedTimeIsNoEvidence: what never was is unknown, in the hours that count and
// beside them; of what was there the share of the hours that count is known.
func TestExcludedTimeIsNoEvidence(t *testing.T) {
	f := doubtsCases()[4].open(t)
	_, out, errs := f.run("status", f.file, "--backend", f.url, "--at", f.at(48*time.Hour+30*time.Second).Format(time.RFC3339), "-o", "json", "--history")
	var r evaluator.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), errs)
	for _, s := range r.SLOs {
		if s.SLO == "there" {
			continue
		}
		require.Zero(t, s.Own().Coverage, s.ID)
		require.Nil(t, s.Own().SLI, s.ID)
		require.Nil(t, s.Own().BurnRate, s.ID)
		require.Nil(t, s.Budget.Remaining, s.ID)
		require.Nil(t, s.Budget.Consumed, s.ID)
		require.Empty(t, s.Periods, s.ID)
		if s.SLO != "all-excluded" {
			require.Equal(t, evaluator.StateNoData, s.State, s.ID)
		}
	}
	there := f.status(48 * time.Hour)["there"]
	open := func(from, to time.Time) (minutes float64) {
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			if at.Weekday() != time.Saturday && at.Weekday() != time.Sunday && at.Hour() >= 8 && at.Hour() < 18 {
				minutes++
			}
		}
		return minutes
	}
	w := there.Own()
	require.InDelta(t, open(f.start, f.end)/open(w.Start, w.End), w.Coverage, 0.002)
}

// nanThreshold has a summary that is NaN for two hours in which nothing is asked of it.
func nanThreshold(f *field) {
	const scrape, until, from = 30 * time.Second, time.Hour, 3 * time.Hour
	busy := func(after time.Duration) time.Duration { return min(after, until) + max(0, after-from) }
	f.nan(`rpc_seconds{job="api",instance="a",quantile="0.99"}`, scrape, 4*time.Hour, func(after time.Duration) float64 {
		if after > until+10*time.Minute && after <= from {
			return math.NaN()
		}
		return 0.2
	})
	for name, perScrape := range map[string]float64{"rpc_seconds_count": 10, "rpc_seconds_sum": 2, `h_seconds_bucket{le="0.5"}`: 10, `h_seconds_bucket{le="+Inf"}`: 10} {
		name, labels, _ := strings.Cut(name, "{")
		f.series(name+`{job="api",instance="a",`+strings.TrimSuffix(labels, "}")+"}", 0, 4*time.Hour, scrape, func(after time.Duration) float64 {
			return perScrape * float64(busy(after)/scrape)
		})
	}
}

// nan writes samples of a series, those that are NaN too.
func (f *field) nan(text string, step, length time.Duration, value func(after time.Duration) float64) {
	f.t.Helper()
	var samples []memprom.Sample
	for after := time.Duration(0); after <= length; after += step {
		samples = append(samples, memprom.Sample{Time: f.at(after), Value: value(after)})
	}
	f.add(text, samples...)
}

// TestNaN: nothing to measure is no absence, and pages nobody.
func TestNaN(t *testing.T) {
	f := doubtsCases()[5].open(t)
	s := f.status(2*time.Hour + 59*time.Minute)
	for _, name := range []string{"summary", "summary-plain", "average", "quantile", "success-ratio", "not-equal", "must-be-there"} {
		require.Equal(t, evaluator.StateNoTraffic, s[name].State, "%s: %s", name, s[name].StateReason)
		require.Contains(t, s[name].StateReason, "NaN", name)
		require.Empty(t, s[name].Alerts, name)
		require.Zero(t, new(s[name]).Own().Bad, name)
	}
	require.Equal(t, evaluator.StateOK, f.status(4 * time.Hour)["summary"].State)
}
