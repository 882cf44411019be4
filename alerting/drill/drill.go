// Package drill has SLOs and slots for tests of alerts and backtests: all is well, 30 %
// fail, nothing is known. It imports slo and timelines only.
package drill

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Begin is where timelines begin, at a quarter of an hour.
const Begin = timeline.Minute(30_000_000)

// Day is a window of a day.
const Day = slo.Window(24 * time.Hour)

// At returns an instant so many slots after Begin.
func At(n int) time.Time { return (Begin + timeline.Minute(n)).Time() }

// Slots of 1,000 events.
var (
	Healthy = Bad(0)
	Failing = Bad(300) // 300 times as many as 99.9 % allows
	Missing = timeline.Slot{}
)

// Bad returns a slot of 1,000 events, so many of which are bad.
func Bad(n float64) timeline.Slot { return timeline.Slot{Total: 1000, Bad: n, Known: true} }

// Slots returns so many times a slot, and so on.
func Slots(parts ...any) []timeline.Slot {
	var out []timeline.Slot
	for i := 0; i < len(parts); i += 2 {
		for range parts[i].(int) {
			out = append(out, parts[i+1].(timeline.Slot))
		}
	}
	return out
}

// Objective parses an objective.
func Objective(t testing.TB, text string) slo.Objective {
	t.Helper()
	o, err := slo.ParseObjective(text)
	require.NoError(t, err)
	return o
}

// SLO returns an SLO of 99.9 % over 30 d with the classic policy.
func SLO(t testing.TB) *slo.SLO {
	return &slo.SLO{
		Service: "checkout", Name: "availability", Objective: Objective(t, "99.9"), Window: slo.Rolling(30 * Day),
		Alerting: slo.Alerting{Policy: "classic"},
	}
}

// Excluding returns an SLO that excludes the slots (from, to] after Begin.
func Excluding(s *slo.SLO, edges ...int) *slo.SLO {
	out := *s
	for i := 0; i < len(edges); i += 2 {
		out.Exclusions = append(out.Exclusions, slo.Exclusion{From: At(edges[i]), To: At(edges[i+1])})
	}
	return &out
}

// Nightly returns a job that is due each day, with the policy of jobs.
func Nightly(t testing.TB) *slo.SLO {
	s := SLO(t)
	s.Objective, s.Alerting.Policy = Objective(t, "91.2"), ""
	s.Indicator = slo.JobRuns{Numbers: slo.Runs{LastSuccess: "x", Every: 24 * time.Hour}}
	return s
}

// Nights returns parts for Slots: days of one run each at their ends, of which so many
// are good (0) or bad (1), and so on.
func Nights(runs ...any) []any {
	var out []any
	for i := 0; i < len(runs); i += 2 {
		for range runs[i].(int) {
			out = append(out, 1439, timeline.Slot{Known: true}, 1, timeline.Slot{Total: 1, Bad: runs[i+1].(float64), Known: true})
		}
	}
	return out
}
