package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// queriesCases are cases of what is asked for: names, expressions, and what numbers
// mean.
func queriesCases() []fieldCase {
	return []fieldCase{{"utf8", 3 * time.Hour, utf8Names}, {"guard", 8 * time.Hour, guard}, {"delta", 3 * time.Hour, deltas}, {"mistyped", 3 * time.Hour, deltas},
		{"huge", 3 * time.Hour, huge}, {"bytes", 31 * 24 * time.Hour, backedUp}}
}

// utf8Names has the names of OpenTelemetry as Prometheus 3 keeps them: 100 requests a
// second, of which one fails, and 95 take at most 0.25 s.
func utf8Names(f *field) {
	const scrape = 30 * time.Second
	rises := func(name, more string, perSecond float64) {
		text := `{"` + name + `",job="x",instance="i","service.name"="shop"` + more + `}`
		f.series(text, 0, 3*time.Hour, scrape, func(after time.Duration) float64 { return perSecond * after.Seconds() })
	}
	rises("http.server.requests", `,"http.route"="/a","http.status"="200"`, 99)
	rises("http.server.requests", `,"http.route"="/a","http.status"="500"`, 1)
	rises("http.server.request.duration_bucket", `,le="0.25"`, 95)
	rises("http.server.request.duration_bucket", `,le="0.5"`, 99)
	rises("http.server.request.duration_bucket", `,le="+Inf"`, 100)
	rises("http.server.request.duration_count", "", 100)
	for name, v := range map[string]float64{"queue.length": 3, "probe.ok": 1} {
		f.series(`{"`+name+`",job="x","service.name"="shop"}`, 0, 3*time.Hour, scrape, func(time.Duration) float64 { return v })
	}
}

// TestUTF8Names: metrics and labels with dots in their names are found by all kinds
// of indicators, and are nothing to warn of.
func TestUTF8Names(t *testing.T) {
	f := queriesCases()[0].open(t)
	for _, command := range []func(...string) (int, string){f.validate, f.check} {
		code, findings := command("--strict")
		require.Equal(t, 0, code, findings)
	}
	s := f.status(3 * time.Hour)
	for _, name := range []string{"bare", "expression", "routes"} {
		requireOwn(t, s[name], 10_800, 1_080_000, 1)
	}
	requireOwn(t, s["latency"], 54_000, 1_080_000, 1)
	requireOwn(t, s["queue"], 0, 180, 1)
	requireOwn(t, s["up"], 0, 180, 1)
	code, out, errs := f.run("explain", `otel/routes{"http.route"="/a"}`, f.file, "--backend", f.url, "--at", f.at(3*time.Hour+30*time.Second).Format(time.RFC3339))
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "10,800")
}

// guard has a request a second for 2 h, nothing until 7:00, when 7 fail: by that their
// series is born.
func guard(f *field) {
	const scrape = 30 * time.Second
	f.series(`reqs_total{job="api",instance="a",code="200"}`, 0, 8*time.Hour, scrape, func(after time.Duration) float64 {
		return min(after, 2*time.Hour).Seconds()
	})
	f.series(`reqs_total{job="api",instance="a",code="500"}`, 7*time.Hour, 8*time.Hour, scrape, func(time.Duration) float64 { return 7 })
}

// TestGuard: guards around counters change nothing that is counted. What they change
// is estimated, and that is said.
func TestGuard(t *testing.T) {
	f := queriesCases()[1].open(t)
	s := f.status(8 * time.Hour)
	for _, name := range []string{"plain", "greater", "or-zero", "clamp", "round"} {
		requireOwn(t, s[name], 7, 7207, 1)
		require.True(t, s[name].Exact, name)
		require.Empty(t, s[name].Doubts, name)
	}
	require.False(t, s["floor"].Exact)
	require.Equal(t, []evaluator.DoubtCode{evaluator.DoubtEstimated}, doubts(s["floor"]))
	const why = "clamp_min(sum(rate(reqs_total[$window])), 1) is not a sum of counters"
	require.Contains(t, s["floor"].Doubts[0].Message, why)
	_, findings := f.check()
	require.Contains(t, findings, "guard.yaml:16:79: warning: the number of events is estimated: "+why)
	require.Equal(t, 1, strings.Count(findings, "is not a sum of counters"), findings)
}

// deltas has the requests of each 5 minutes as gauges, 600 of which 6 fail, at the
// times of a metrics service: the newest are 10 minutes old. Recorded rates come each
// 30 s: 100 requests a second and a little more in turns, of which one in 128 fails.
func deltas(f *field) {
	const every = 5 * time.Minute
	end := f.end.Sub(f.start)
	for name, n := range map[string]float64{"alb_request_count_sum": 600, "alb_5xx_count_sum": 6} {
		f.series(name+`{job="yace",instance="y"}`, 0, end-10*time.Minute, every, func(after time.Duration) float64 {
			return n + n/6*float64(int(after/every)%3-1) // 500, 600, 700, 500, ...
		})
	}
	for name, share := range map[string]float64{"job:requests:rate5m": 1, "job:errors:rate5m": 1.0 / 128} {
		f.series(name+`{job="api"}`, 0, end, 30*time.Second, func(after time.Duration) float64 {
			return share * (100 + float64(int(after/(30*time.Second))%4))
		})
	}
	for name, share := range map[string]float64{"requests_total": 1, "errors_total": 0.01} {
		f.series(name+`{job="api",instance="a"}`, 0, end, 30*time.Second, func(after time.Duration) float64 { return 100 * share * after.Seconds() })
	}
}

// TestDeltas: there are 34 samples of 5 minutes, eleven times 600, 700 and 500 and once
// 600, and the slots after the last are not known. Of 30 s there are 360, whose rates
// are 101.5 on average. At 2:50 the first sample is in the window as well, 500, and its
// slot begins what is known.
func TestDeltas(t *testing.T) {
	f := queriesCases()[2].open(t)
	for _, command := range []func(...string) (int, string){f.validate, f.check} {
		_, findings := command()
		require.NotContains(t, findings, "counter", findings)
	}
	now, then := f.status(3*time.Hour), f.status(3*time.Hour-10*time.Minute)
	for _, name := range []string{"selectors", "sums"} {
		requireOwn(t, now[name], 204, 20_400, 170.0/180)
		requireOwn(t, then[name], 209, 20_900, 171.0/180)
		require.True(t, now[name].Exact)
	}
	requireOwn(t, now["rates"], 30*360*101.5/128, 30*360*101.5, 1)
	require.False(t, now["rates"].Exact)
	require.Equal(t, []evaluator.DoubtCode{evaluator.DoubtEstimated}, doubts(now["rates"]))
}

// TestMistyped: gauges that are taken for counters get the advice to say so, and
// counters that are taken for gauges.
func TestMistyped(t *testing.T) {
	f := queriesCases()[3].open(t)
	_, findings := f.check()
	require.Contains(t, findings, "alb_request_count_sum falls as gauges do")
	require.Contains(t, findings, "write type: delta")
	require.Contains(t, findings, "requests_total rises as counters do")
	require.Contains(t, findings, "remove type for counters")
}

// huge has 2e9 bytes a second, of which 1 % bad, on counters that pass 2^53 or are far
// above it, and one that is -1 in 64 bits for a sample.
func huge(f *field) {
	for job, base := range map[string]float64{"a": 9e15, "b": 2e16, "c": 3e17, "d": 1e15} {
		for name, perSecond := range map[string]float64{"sent_bytes_total": 2e9, "retrans_bytes_total": 2e7} {
			f.series(name+`{job="`+job+`",instance="`+job+`"}`, 0, 3*time.Hour, 32*time.Second, func(after time.Duration) float64 {
				switch {
				case name == "retrans_bytes_total":
					return perSecond * after.Seconds()
				case job == "d" && after == 1024*time.Second:
					return 1 << 64
				}
				return base + perSecond*after.Seconds()
			})
		}
	}
}

// TestHugeCounters: the last of the samples, each 32 s, is at 10,784 s; what float64
// holds of these counters are multiples of 64, as are all of the samples.
func TestHugeCounters(t *testing.T) {
	f := queriesCases()[4].open(t)
	s := f.status(3 * time.Hour)
	for _, name := range []string{"passing", "above", "nanoseconds", "wrapped"} {
		w := s[name].Windows[len(s[name].Windows)-1]
		require.Equal(t, [2]float64{2e7 * 10_784, 2e9 * 10_784}, [2]float64{w.Bad, w.Total}, name)
		if name != "wrapped" {
			require.Empty(t, s[name].Doubts, name)
		}
	}
	require.Equal(t, []evaluator.DoubtCode{evaluator.DoubtImpossible}, doubts(s["wrapped"]))
	require.Contains(t, s["wrapped"].Doubts[0].Message, "1.8446744073709552e+19")
	_, findings := f.check()
	require.Contains(t, findings, "huge.yaml:8:35: warning: samples that no number of events can have are left out")
}

// backedUp has 12.5 GB a second on each of eight devices, and 1 % of one of them sent
// again.
func backedUp(f *field) {
	for device := range 8 {
		text := `net_sent_bytes_total{job="node",instance="n",device="` + []string{"", "e1", "e2", "e3", "e4", "e5", "e6", "e7"}[device] + `"}`
		f.series(text, 0, 31*24*time.Hour, 5*time.Minute, func(after time.Duration) float64 { return 12.5e9 * after.Seconds() })
	}
	f.series(`net_retrans_bytes_total{job="node",instance="n"}`, 0, 31*24*time.Hour, 5*time.Minute, func(after time.Duration) float64 { return 125e6 * after.Seconds() })
}

// TestBytes: a day is 86,400 s, and a month 30 of them. Windows begin with the quarter of
// an hour, so they may be 14 minutes longer.
func TestBytes(t *testing.T) {
	f := queriesCases()[5].open(t)
	all := f.status(31 * 24 * time.Hour)
	for name, perSecond := range map[string]float64{"day": 12.5e9, "month": 12.5e9, "all": 8 * 12.5e9} {
		s := all[name]
		w := s.Own()
		seconds := w.Total / perSecond
		require.InDelta(t, w.End.Sub(w.Start).Seconds(), seconds, 5*60, name) // of samples each 5 minutes
		require.Equal(t, 125e6*seconds, w.Bad, name)
	}
}
