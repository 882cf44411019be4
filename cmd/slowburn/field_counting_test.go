package main

import (
	"testing"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// countingCases are cases of counters.
func countingCases() []fieldCase {
	return []fieldCase{{"zero-injection", 2 * time.Hour, zeroInjection}}
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
}

// TestZeroInjection: until the restart 36,000 requests are seen, behind it those
// since it began.
func TestZeroInjection(t *testing.T) {
	f := countingCases()[0].open(t)
	s := f.status(2 * time.Hour)
	requireOwn(t, s["soon"], 3600+3595, 36000+35950, 1)
	requireOwn(t, s["later"], 3600+3580, 36000+35800, 1)
}
