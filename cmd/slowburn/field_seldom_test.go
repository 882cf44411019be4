package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// seldomCases are cases of what comes seldom: samples of gauges, and pushes.
func seldomCases() []fieldCase {
	return []fieldCase{
		{"seldom-values", 24 * time.Hour, seldomValues}, {"pushed-equal", 12 * time.Hour, pushedEqual},
		{"seldom-limits", 6 * time.Hour, seldomLimits},
	}
}

// seldomValues has gauges with a sample each 15 minutes: a queue that is long for two
// hours, its limit each minute, two depths seven minutes apart of which one is always
// too high, and one that is away for the last three hours; one each 6 to 7 minutes; and
// one of a process that lives for 4 of 14 minutes, scraped each 30 seconds.
func seldomValues(f *field) {
	const each, day = 15 * time.Minute, 24 * time.Hour
	queue := func(after time.Duration) float64 {
		if after > 10*time.Hour && after <= 12*time.Hour {
			return 50
		}
		return 5
	}
	constant := func(n float64) func(time.Duration) float64 { return func(time.Duration) float64 { return n } }
	f.series(`queue{x="a"}`, 0, day, each, queue)
	f.series(`queue_limit`, 0, day, time.Minute, constant(100))
	f.series(`depth{x="a"}`, 0, day, each, constant(50))
	f.series(`depth{x="b"}`, 7*time.Minute, day, each, constant(5))
	f.series(`away`, 0, 21*time.Hour, each, constant(5))
	jitter := []int{365, 380, 420, 370, 410, 362} // seconds
	for i, after := 0, time.Duration(0); after <= day; i++ {
		f.series(`lag_seconds`, after, after, time.Minute, constant(5))
		after += time.Second * time.Duration(jitter[i%len(jitter)])
	}
	f.series(`looping`, 0, day, 30*time.Second, func(after time.Duration) float64 {
		if after%(14*time.Minute) >= 4*time.Minute {
			return math.NaN()
		}
		return 5
	})
}

// TestSeldomValues: a value lasts until the next sample, for at most twice the usual
// time, once three samples have shown how seldom they come, in the hour after. What is
// scraped often does not last longer than it does.
func TestSeldomValues(t *testing.T) {
	f := seldomCases()[0].open(t)
	s := f.status(24 * time.Hour)
	learnt := func(third time.Duration) int { // the slot from which the pace of three samples is known
		at := f.start.Add(third + 15*time.Minute)
		return int(at.Add(time.Hour-time.Second).Truncate(time.Hour).Sub(f.start) / time.Minute)
	}
	slots := func(known func(slot int) bool) (n float64) {
		for slot := 1; slot <= 1440; slot++ {
			if known(slot) {
				n++
			}
		}
		return n
	}
	from := learnt(30 * time.Minute)
	queue := slots(func(slot int) bool { return slot >= from || slot%15 < 5 })
	for _, name := range []string{"queue", "queue-bad", "share"} {
		requireOwn(t, s[name], 120, queue, queue/1440)
	}
	both := slots(func(slot int) bool { return slot >= from || slot%15 < 5 || slot%15 >= 7 && slot%15 < 12 && slot > 5 })
	bad := slots(func(slot int) bool { return slot >= from || slot%15 < 5 })
	requireOwn(t, s["in-turns"], bad, both, both/1440)

	require.Zero(t, new(s["jitter"]).Own().Bad)
	require.Greater(t, new(s["jitter"]).Own().Coverage, 0.98)
	const settled = 1440 - 2
	away := slots(func(slot int) bool { return slot > 21*60+31 && slot <= settled })
	require.Equal(t, away, new(s["gone"]).Own().Bad)

	loop := slots(func(slot int) bool { return slot%14 < 9 })
	requireOwn(t, s["loop"], 0, loop, loop/1440)
	pauses := slots(func(slot int) bool { return slot%14 >= 9 && slot <= settled })
	require.Equal(t, pauses, new(s["loop-bad"]).Own().Bad)

	_, findings := f.check()
	require.Contains(t, findings, "samples of queue come every 15m: windows of less than 1h have no burn rate")
	require.Contains(t, findings, "generated rules have a value for 5 minutes after each sample, and until the next one with last_over_time(queue[35m])")
	require.NotContains(t, findings, "samples of queue_limit")
	require.NotContains(t, findings, "samples of looping")
}

// seldomLimits has a gauge and a counter with a sample each 15 seconds, which are too high
// for the last 40 minutes; what they are held against, each 30 and 15 minutes; and two
// tenants that are well, one with a sample each 15 seconds and one each 15 minutes.
func seldomLimits(f *field) {
	const length, often = 6 * time.Hour, 15 * time.Second
	constant := func(n float64) func(time.Duration) float64 { return func(time.Duration) float64 { return n } }
	const fails = length - 40*time.Minute
	f.series(`used`, 0, length, often, func(after time.Duration) float64 {
		if after > fails {
			return 200
		}
		return 20
	})
	f.series(`taken_total`, 0, length, often, func(after time.Duration) float64 {
		return 20*after.Seconds() + 180*max(after-fails, 0).Seconds()
	})
	f.series(`allowed`, 0, length, 30*time.Minute, constant(100))
	f.series(`maintenance`, 0, length, 15*time.Minute, constant(0))
	f.series(`level{tenant="often"}`, 0, length, often, constant(1))
	f.series(`level{tenant="seldom"}`, 0, length, 15*time.Minute, constant(1))
}

// TestSeldomLimits: what is scraped often and held against what comes seldom pages as soon
// as without that, and check does not say otherwise. A group whose samples come seldom is
// not bad between them because another group has more.
func TestSeldomLimits(t *testing.T) {
	f := seldomCases()[2].open(t)
	_, out, errs := f.run("status", f.file, "--backend", f.url, "--at", f.at(6*time.Hour+30*time.Second).Format(time.RFC3339), "-o", "json")
	var r evaluator.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), errs)
	require.Len(t, r.SLOs, 6)
	for _, s := range r.SLOs {
		if s.SLO == "tenants" {
			require.Zero(t, s.Own().Bad, s.ID)
			require.Empty(t, s.Alerts, s.ID)
			continue
		}
		require.InDelta(t, 40, s.Own().Bad, 5, s.ID) // a rate is late by as much as its range
		require.Equal(t, "page", s.Alerts[0].Severity, s.ID)
	}
	_, findings := f.check()
	require.Contains(t, findings, "samples of allowed come every 30m: generated rules have its value for 5 minutes after each")
	require.NotContains(t, findings, "can't fire")
}

// pushedEqual has two batches that push 1000 records each hour to a gateway, of which one
// pushes the time of its start too, and a service that is scraped.
func pushedEqual(f *field) {
	const length = 12 * time.Hour
	constant := func(n float64) func(time.Duration) float64 { return func(time.Duration) float64 { return n } }
	last := func(after time.Duration) float64 { return float64(f.at(after.Truncate(time.Hour)).Unix()) }
	for _, batch := range []string{`{job="silent",instance=""}`, `{job="told",instance=""}`} {
		f.series(`records_total`+batch, time.Minute, length, interval, constant(1000))
		f.series(`records_failed_total`+batch, time.Minute, length, interval, constant(10))
		f.series(`push_time_seconds`+batch, time.Minute, length, interval, last)
	}
	f.series(`process_start_time_seconds{job="told",instance=""}`, time.Minute, length, interval, func(after time.Duration) float64 { return last(after) - 120 })
	f.series(`records_total{job="scraped",instance="a"}`, 0, length, interval, func(after time.Duration) float64 { return after.Seconds() })
	f.series(`records_failed_total{job="scraped",instance="a"}`, 0, length, interval, constant(0))
}

// TestPushesThatNobodySees: a run that pushes what the last one did is counted by its
// start time. Without one it is not, and check says so.
func TestPushesThatNobodySees(t *testing.T) {
	f := seldomCases()[1].open(t)
	require.Equal(t, 12000.0, new(f.status(12 * time.Hour)["told"]).Own().Total) // one run each hour
	code, findings := f.check()
	require.Zero(t, code)
	const pushed = "are pushed to a Pushgateway without process_start_time_seconds"
	require.Contains(t, findings, `pushed-equal.yaml:5:85: warning: 1 series of records_total{job="silent"} `+pushed)
	require.Equal(t, 1, strings.Count(findings, pushed))
}
