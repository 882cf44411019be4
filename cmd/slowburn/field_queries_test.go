package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// queriesCases are cases of what is asked for: names, expressions, and what numbers
// mean.
func queriesCases() []fieldCase {
	return []fieldCase{{"utf8", 3 * time.Hour, utf8Names}, {"guard", 8 * time.Hour, guard}}
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
	const why = "clamp_min(sum(rate(reqs_total[$window])), 1) is no sum of counters"
	_, findings := f.check()
	require.Contains(t, findings, "guard.yaml:16:79: warning: the number of events is estimated: "+why)
	require.Equal(t, 1, strings.Count(findings, "is no sum of counters"), findings)
}
