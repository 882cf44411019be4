package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// countingCases are cases of counters.
func countingCases() []fieldCase {
	return append([]fieldCase{{"zero-injection", 2 * time.Hour, zeroInjection}}, fallCases()...)
}

// zeroInjection has samples of 0 at start times, between scrapes each 30 s of 10
// requests a second, of which one fails.
func zeroInjection(f *field) {
	const scrape = 30 * time.Second
	restart := func(job string, at time.Duration) { // of a process, an hour and a little after the start
		var total, bad []memprom.Sample
		add := func(after time.Duration, n, failed float64) {
			total = append(total, memprom.Sample{Time: f.at(after), Value: n})
			bad = append(bad, memprom.Sample{Time: f.at(after + 200*time.Millisecond), Value: failed})
		}
		for t := time.Duration(0); t <= 2*time.Hour; t += scrape {
			if t == time.Hour+scrape {
				add(at, 0, 0)
			}
			n := 10 * t.Seconds()
			if t <= time.Hour {
				n += 5000
			} else {
				n -= 10 * at.Seconds()
			}
			total = append(total, memprom.Sample{Time: f.at(t), Value: n})
			bad = append(bad, memprom.Sample{Time: f.at(t), Value: n / 10})
		}
		f.add(`r_total{job="`+job+`",instance="i"}`, total...)
		f.add(`r_errors_total{job="`+job+`",instance="i"}`, bad...)
	}
	restart("soon", time.Hour+5*time.Second)
	restart("later", time.Hour+20*time.Second)
	f.scrapedLate("unscraped", 3*time.Hour)
	f.scrapedLate("unscraped-hour", time.Hour)
	f.bornLate("born")
	f.renewed("renewed", 300)
	f.renewed("quiet", 3)
}

// scrapedLate is a process that is scraped from an hour on, long after it began. Half
// of its 100 requests a second failed until then, as its zeros say.
func (f *field) scrapedLate(job string, after time.Duration) {
	const scrape, first = 30 * time.Second, time.Hour
	total := []memprom.Sample{{Time: f.at(first - after)}}
	bad := []memprom.Sample{{Time: f.at(first - after + 7*time.Millisecond)}}
	for t := first; t <= 2*time.Hour; t += scrape {
		total = append(total, memprom.Sample{Time: f.at(t), Value: 100 * (t - first + after).Seconds()})
		bad = append(bad, memprom.Sample{Time: f.at(t), Value: 50 * after.Seconds()})
	}
	f.add(`r_total{job="`+job+`",instance="i"}`, total...)
	f.add(`r_errors_total{job="`+job+`",instance="i"}`, bad...)
}

// bornLate has 10 requests a second, and at an hour and 12 s the first of 40 errors.
func (f *field) bornLate(job string) {
	const scrape, born = 30 * time.Second, time.Hour + 12*time.Second
	bad := []memprom.Sample{{Time: f.at(born)}}
	for t := time.Hour + scrape; t <= 2*time.Hour; t += scrape {
		bad = append(bad, memprom.Sample{Time: f.at(t), Value: 40})
	}
	f.series(`r_total{job="`+job+`",instance="i"}`, 0, 2*time.Hour, scrape, func(t time.Duration) float64 { return 10 * t.Seconds() })
	f.add(`r_errors_total{job="`+job+`",instance="i"}`, bad...)
}

// renewed is a process that gives its series a new start with each scrape, so that
// there is a zero right before each sample. A tenth of its requests fails.
func (f *field) renewed(job string, each float64) {
	const scrape = 30 * time.Second
	for name, share := range map[string]float64{"r_total": 1, "r_errors_total": 0.1} {
		var samples []memprom.Sample
		for t := time.Duration(0); t <= 2*time.Hour; t += scrape {
			before := 10 * time.Millisecond
			if share == 1 {
				before = 12 * time.Millisecond
			}
			n := math.Floor(share * (each*t.Seconds()/30 + 5000))
			samples = append(samples, memprom.Sample{Time: f.at(t - before)}, memprom.Sample{Time: f.at(t), Value: n})
		}
		f.add(name+`{job="`+job+`",instance="i"}`, samples...)
	}
}

// TestZeroInjection: until the restart 36,000 requests are seen, after it those
// since it began.
func TestZeroInjection(t *testing.T) {
	f := countingCases()[0].open(t)
	s := f.status(2 * time.Hour)
	requireOwn(t, s["soon"], 3600+3595, 36000+35950, 1)
	requireOwn(t, s["later"], 3600+3580, 36000+35800, 1)
	requireOwn(t, s["unscraped"], 0, 360_000, 0.5)
	requireOwn(t, s["born"], 40, 72_000, 1)
	requireOwn(t, s["renewed"], 7200, 72_000, 1)
	requireOwn(t, s["quiet"], 72, 720, 1)
	requireOwn(t, s["unscraped-hour"], 0, 360_000, 0.5)
	for _, name := range []string{"unscraped", "unscraped-hour"} {
		early := f.status(time.Hour + time.Minute)[name]
		require.False(t, fires(early, "page"))
		require.Equal(t, 6000.0, ownOf(early).Total, "the past is not the SLO's")
	}
}
