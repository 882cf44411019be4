package backtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestABacktestOfAJob: of 30 runs 8.8 %, 2.64, may be missed: each takes 38 %. The page
// is about an incident.
func TestABacktestOfAJob(t *testing.T) {
	s := drill.Nightly(t)
	past := after(drill.Missing, drill.Slots(drill.Nights(40, 0.0, 3, 1.0, 5, 0.0)...))
	b := &Replay{Policies: alerting.BuiltIn(), From: drill.Begin + 30*1440, To: drill.Begin + 48*1440}
	_, results := b.Test(loop.Past{SLO: s, Timeline: past})
	r := results[0]
	require.Equal(t, "jobs", r.Policy)
	require.Equal(t, []int{1, 1, 0, 0}, []int{r.Pages, r.Tickets, r.False, r.Missed})
	require.Len(t, r.Incidents, 3)
	for _, in := range r.Incidents {
		require.InDelta(t, 1/2.64, *in.Consumed, 1e-9)
	}
}

// TestWhatFinishesLaterIsNoIncident: 100 jobs begin within a minute each hour, and are
// counted as good half an hour later. That none is bad is true of incidents too.
func TestWhatFinishesLaterIsNoIncident(t *testing.T) {
	s := drill.SLO(t)
	none := timeline.Slot{Known: true}
	var parts []any
	for range 24 * 20 {
		parts = append(parts, 1, timeline.Slot{Total: 100, Bad: 100, Known: true}, 29, none, 1, timeline.Slot{Bad: -100, Known: true}, 29, none)
	}
	past := after(drill.Missing, drill.Slots(parts...))
	b := &Replay{Policies: alerting.BuiltIn(), From: drill.Begin, To: drill.Begin + 20*1440}
	tested, results := b.Test(loop.Past{SLO: s, Timeline: past})
	require.Zero(t, tested.Bad)
	require.Empty(t, results[0].Incidents)

	parts = append(parts, 1, timeline.Slot{Total: 100, Bad: 100, Known: true}, 29, none, 1, timeline.Slot{Bad: -40, Known: true}, 29, none)
	past = after(drill.Missing, drill.Slots(parts...))
	b.To += 60
	_, results = b.Test(loop.Past{SLO: s, Timeline: past})
	require.Len(t, results[0].Incidents, 1)
	require.InDelta(t, 60, results[0].Incidents[0].Bad, 1e-9)
}

// TestAlertsAboutWhatFinishesLater: each of them is false, and about no bad event, however
// long a job takes. Those that failed stay bad.
func TestAlertsAboutWhatFinishesLater(t *testing.T) {
	for _, takes := range []int{40, 5 * 60, 11 * 60} {
		for _, fails := range []float64{0, 20} {
			s := drill.SLO(t)
			none := timeline.Slot{Known: true}
			var parts []any
			for range 10 {
				parts = append(parts, 120, none, 1, timeline.Slot{Total: 50, Bad: 50, Known: true}, takes-1, none,
					1, timeline.Slot{Bad: fails - 50, Known: true}, 1440-121-takes, none)
			}
			past := after(drill.Missing, drill.Slots(parts...))
			b := &Replay{Policies: alerting.BuiltIn(), From: drill.Begin, To: drill.Begin + 10*1440}
			tested, results := b.Test(loop.Past{SLO: s, Timeline: past})
			require.Equal(t, 10*fails, tested.Bad)
			r := results[0]
			require.GreaterOrEqual(t, r.Pages, 10)
			require.Len(t, r.Incidents, map[float64]int{0: 0, 20: 10}[fails], takes)
			for _, in := range r.Incidents {
				require.Equal(t, fails, in.Bad, takes)
			}
			sum := 0.0
			for _, e := range r.Episodes {
				if e.Severity == slo.Page {
					sum += e.Bad
				}
				require.Equal(t, fails == 0, e.IncidentStart == nil, "%s of %s after %d", e.Severity, e.Start, takes)
			}
			require.LessOrEqual(t, sum, tested.Bad, takes)
			if fails == 0 {
				require.Equal(t, r.Pages+r.Tickets, r.False)
				require.Equal(t, 50.0, r.Episodes[0].GoodLater)
			}
		}
	}
}
