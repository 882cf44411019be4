package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// Counters that fall, for each of the reasons that there are.

const interval = 30 * time.Second

// fallCases are cases of counters that fall.
func fallCases() []fieldCase {
	return []fieldCase{
		{"recorded-sum", 6 * time.Hour, recordedSum},
		{"shrinking-sum", 8 * time.Hour, shrinkingSum},
		{"pushed-batch", 20 * time.Hour, pushedBatch},
		{"persisted", 4 * time.Hour, persisted},
		{"statsd-ttl", 8 * time.Hour, statsdTTL},
		{"pushed-often", 2 * time.Hour, pushedOften},
	}
}

// ownOf is the SLO's own window.
func ownOf(s evaluator.Status) evaluator.WindowStatus { return s.Windows[len(s.Windows)-1] }

// during is how many of the seconds up to an instant lie between two others.
func during(now, from, to time.Duration) float64 {
	return max(0, (min(now, to) - from).Seconds())
}

// recordedSum is a recorded sum of 20 processes, 100 requests a second. At 2 h one of
// them is replaced, with which a twentieth of the sum goes. From 3 h on half of the
// requests fail for 30 min.
func recordedSum(f *field) {
	gone := func(t time.Duration, n float64) float64 {
		if t > 2*time.Hour {
			return n
		}
		return 0
	}
	f.series(`job:requests_total:sum{job="api"}`, 0, 6*time.Hour, interval, func(t time.Duration) float64 {
		return 20e6 + 100*t.Seconds() - gone(t, 1_036_000)
	})
	f.series(`job:requests_failed_total:sum{job="api"}`, 0, 6*time.Hour, interval, func(t time.Duration) float64 {
		return 20_000 + 50*during(t, 3*time.Hour, 3*time.Hour+30*time.Minute) - gone(t, 1000)
	})
}

// TestRecordedSum: of 100 requests a second only the scrape of the fall is not
// counted, in which there were 3000.
func TestRecordedSum(t *testing.T) {
	f := fallCases()[0].open(t)
	s := f.status(3*time.Hour + 30*time.Minute)["requests"]
	require.True(t, fires(s, "page"))
	s = f.status(6 * time.Hour)["requests"]
	requireOwn(t, s, 90_000, 6*360_000-3000, 1)
	require.Contains(t, doubts(s), evaluator.DoubtAmbiguous)
	_, findings := f.check()
	require.Contains(t, findings, "counters fell")
	require.Contains(t, findings, "sums that lose a part")
}

// shrinkingSum is a sum of the counters of 20 channels, each of which ends after 100
// min with all that it counted, one each 5 min. 100 messages a second are published;
// 1 % are returned, and half of them from 4 h on for an hour.
func shrinkingSum(f *field) {
	const life, channels = 100 * time.Minute, 20
	sum := func(counted func(t time.Duration) float64) func(t time.Duration) float64 {
		return func(t time.Duration) float64 {
			n := 0.0
			for i := range channels {
				age := (t + 100*life - time.Duration(i)*life/channels) % life
				n += counted(t) - counted(t-age)
			}
			return math.Round(n)
		}
	}
	published := sum(func(t time.Duration) float64 { return 5 * t.Seconds() })
	returned := sum(func(t time.Duration) float64 {
		return 0.05*t.Seconds() + 2.45*during(t, 4*time.Hour, 5*time.Hour)
	})
	const target = `{job="broker",instance="b-0:15692"}`
	f.series("messages_published_total"+target, 0, 8*time.Hour, interval, published)
	f.series("messages_returned_total"+target, 0, 8*time.Hour, interval, returned)
	f.series("process_start_time_seconds"+target, 0, 8*time.Hour, interval, func(time.Duration) float64 {
		return float64(f.start.Add(-240 * time.Hour).Unix())
	})
}

// TestShrinkingSum: twelve falls an hour take the 3000 messages of a scrape with them,
// and the doubt says so.
func TestShrinkingSum(t *testing.T) {
	f := fallCases()[1].open(t)
	s := f.status(5 * time.Hour)["routed"]
	require.Equal(t, evaluator.StateOK, s.State)
	require.True(t, fires(s, "page"))
	hour := s.Windows[slices.IndexFunc(s.Windows, func(w evaluator.WindowStatus) bool { return w.Name == "1h" })]
	require.InEpsilon(t, 360_000-12*3000, hour.Total, 0.001)
	require.InEpsilon(t, hour.Total/2, hour.Bad, 0.02)
	require.Equal(t, 1.0, hour.Coverage)
	require.Contains(t, doubts(s), evaluator.DoubtAmbiguous)
}

// runs are what a batch counted in each of its runs, and how much of that failed.
var batchRuns = [2][]float64{
	{1000, 985, 1010, 970, 955, 990, 930, 965, 1005, 980, 940, 975, 1000, 960, 985, 950, 990, 935, 970, 1000},
	{50, 49, 51, 48, 47, 50, 46, 48, 50, 49, 47, 48, 50, 48, 49, 47, 50, 46, 48, 50},
}

// pushedBatch has counters that a batch pushes to a gateway once an hour, 2 min after
// it began to count; b says when it began.
func pushedBatch(f *field) {
	const pushed, last = 2 * time.Minute, 20*time.Hour - interval
	for _, job := range []string{"a", "b"} {
		for i, name := range []string{"records_total", "records_failed_total"} {
			f.series(name+`{job="`+job+`"}`, pushed, last, interval, func(t time.Duration) float64 {
				return batchRuns[i][int((t-pushed)/time.Hour)]
			})
		}
	}
	f.series(`process_start_time_seconds{job="b"}`, pushed, last, interval, func(t time.Duration) float64 {
		return float64(f.at((t - pushed).Truncate(time.Hour)).Unix())
	})
	f.series(`up{job="pushgateway",instance="pg:9091"}`, 0, last, interval, func(time.Duration) float64 { return 1 })
}

// TestPushedBatch: b counts each run but the first, which began 2 min before the first
// sample. Nothing says of a what its runs counted.
func TestPushedBatch(t *testing.T) {
	f := fallCases()[2].open(t)
	s := f.status(20*time.Hour - time.Minute)
	require.Equal(t, [2]float64{921 + 50, 18495 + 1000}, [2]float64{ownOf(s["b"]).Bad, ownOf(s["b"]).Total})
	require.NotContains(t, doubts(s["b"]), evaluator.DoubtAmbiguous)
	require.Contains(t, doubts(s["a"]), evaluator.DoubtAmbiguous)
}

// persisted is a gateway, 100 requests a second of which a tenth of a percent fails,
// that crashes at 2 h and restores what it counted until 8 min before. From 2:05 on
// half of the requests fail for 5 min.
func persisted(f *field) {
	const crash, lost = 2 * time.Hour, 480
	restored := func(t time.Duration, n float64) float64 {
		if t > crash {
			return n
		}
		return 0
	}
	f.series(`gw_requests_total{job="gw",instance="g:1"}`, 0, 4*time.Hour, interval, func(t time.Duration) float64 {
		return 100*(t.Seconds()+5000) - restored(t, 100*lost)
	})
	f.series(`gw_errors_total{job="gw",instance="g:1"}`, 0, 4*time.Hour, interval, func(t time.Duration) float64 {
		return math.Floor((t.Seconds()+5000)/10) + 50*during(t, 125*time.Minute, 130*time.Minute) - restored(t, lost/10)
	})
	f.series(`process_start_time_seconds{job="gw",instance="g:1"}`, 0, 4*time.Hour, interval, func(t time.Duration) float64 {
		if t > crash {
			return float64(f.at(crash + 10*time.Second).Unix())
		}
		return float64(f.at(-25 * time.Hour).Unix())
	})
}

// TestPersisted: only the 3000 requests and 3 errors of the scrape of the crash are
// not counted.
func TestPersisted(t *testing.T) {
	f := fallCases()[3].open(t)
	requireOwn(t, f.status(4 * time.Hour)["requests"], 1440+15_000-3, 1_440_000-3000, 1)
}

// statsdTTL has counters of failed and skipped tasks that expire after 5 min without
// one, in an exporter that goes on. Each hour some come at once.
func statsdTTL(f *field) {
	const target = `{job="statsd",instance="s:9102"}`
	skipped := []float64{3, 5, 2, 6, 4, 4, 1, 7}
	f.series("tasks_finished_total"+target, 0, 8*time.Hour, interval, func(t time.Duration) float64 { return math.Floor(t.Seconds() / 6) })
	burst := func(name string, n func(hour int) float64) {
		f.series(name, 0, 8*time.Hour, interval, func(t time.Duration) float64 {
			if since := t % time.Hour; since >= 30*time.Minute && since < 35*time.Minute {
				return n(int(t / time.Hour))
			}
			return math.NaN()
		})
	}
	burst(`tasks_failed_total{job="statsd",instance="s:9102",task="etl"}`, func(int) float64 { return 3 })
	burst(`tasks_skipped_total{job="statsd",instance="s:9102",task="etl"}`, func(hour int) float64 { return skipped[hour] })
	f.series("process_start_time_seconds"+target, 0, 8*time.Hour, interval, func(time.Duration) float64 {
		return float64(f.start.Add(-240 * time.Hour).Unix())
	})
	f.series("up"+target, 0, 8*time.Hour, interval, func(time.Duration) float64 { return 1 })
}

// TestStatsdTTL: the first failures are born, and nothing says whether those that look
// the same came after them. 24 failed, and 32 were skipped.
func TestStatsdTTL(t *testing.T) {
	f := fallCases()[4].open(t)
	s := f.status(8 * time.Hour)
	for name, truth := range map[string]float64{"failed": 24, "skipped": 32} {
		w := ownOf(s[name])
		require.Equal(t, 4800.0, w.Total)
		require.GreaterOrEqual(t, w.Bad, 3.0)
		require.LessOrEqual(t, w.Bad, truth)
		require.Contains(t, doubts(s[name]), evaluator.DoubtAmbiguous)
		require.Contains(t, s[name].StateReason, "ambiguous")
	}
	code, findings := f.check()
	require.Zero(t, code)
	require.Contains(t, findings, "statsd-ttl.yaml:6:25: warning")
	require.Contains(t, findings, "counters expired and came back 7 times in the last 1d")
	require.Contains(t, findings, "lengthen the ttl")
}

// pushedOften has processes that say when they began, and whose counters never fall:
// a batch that pushes 1000 records each 5 minutes, one that pushes 10 more each 2
// minutes, and a crash loop in which each scrape sees a process of 20 s.
func pushedOften(f *field) {
	const last = 2*time.Hour - interval
	push := func(job string, every, length time.Duration, records, more float64) {
		run := func(t time.Duration) float64 { return math.Floor(t.Seconds() / every.Seconds()) }
		for name, share := range map[string]float64{"records_total": 1, "records_failed_total": 0.1} {
			f.series(name+`{job="`+job+`",kind="k"}`, every, last, interval, func(t time.Duration) float64 {
				return share * (records + more*(run(t)-1))
			})
		}
		f.series(`process_start_time_seconds{job="`+job+`"}`, every, last, interval, func(t time.Duration) float64 {
			return float64(f.at(t.Truncate(every) - length).Unix())
		})
	}
	push("alike", 5*time.Minute, time.Minute, 1000, 0)
	push("more", 2*time.Minute, time.Minute, 1000, 10)
	push("loop", interval, 20*time.Second, 20, 0)
}

// TestPushedOften: each run counts that came before the last two minutes, which are not
// settled: of these the growth counts.
func TestPushedOften(t *testing.T) {
	f := fallCases()[5].open(t)
	s := f.status(2*time.Hour - 4*time.Minute)
	requireOwnCounts := func(name string, total float64) {
		t.Helper()
		require.Equal(t, [2]float64{total / 10, total}, [2]float64{ownOf(s[name]).Bad, ownOf(s[name]).Total}, name)
		require.NotContains(t, doubts(s[name]), evaluator.DoubtAmbiguous)
	}
	requireOwnCounts("alike", 22*1000)              // the last one 1:50, and one at 1:55
	requireOwnCounts("more", 57*1000+10*56*57/2+10) // the last one 1:54, and one at 1:56
	requireOwnCounts("split", 22*1000)              // the only group of alike
	requireOwnCounts("loop", 2*114*20)              // up to 1:54
}
