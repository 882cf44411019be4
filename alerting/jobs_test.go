package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// nightly is a job that is due each hour, of which the policy is that of jobs.
func nightly(t *testing.T) *slo.SLO {
	s := policySLO(t)
	s.Objective, s.Alerting.Policy = objective(t, "91.2"), ""
	s.Indicator = slo.JobRuns{Numbers: slo.Runs{LastSuccess: "x", Every: 24 * time.Hour}}
	return s
}

// nights are days of one run each at their ends, of which a time each is good or bad.
func nights(runs ...any) []any {
	var out []any
	for i := 0; i < len(runs); i += 2 {
		for range runs[i].(int) {
			out = append(out, 1439, timeline.Slot{Known: true}, 1, timeline.Slot{Total: 1, Bad: runs[i+1].(float64), Known: true})
		}
	}
	return out
}

// TestAJobThatIsMissed is a ticket, one that is missed twice in a row a page. Both go on
// until the next good run, and a process that starts says the same.
func TestAJobThatIsMissed(t *testing.T) {
	s := nightly(t)
	slots := slotsOf(nights(20, 0.0, 1, 1.0, 1, 0.0, 3, 1.0, 2, 0.0)...)
	const days = 1440
	live := follow(s)
	for _, step := range []struct{ at, ticket, page, row int }{
		{20 * days, 0, 0, 0}, {21*days - 1, 0, 0, 0}, {21 * days, 21 * days, 0, 1}, {22*days - 1, 21 * days, 0, 1}, {22 * days, 0, 0, 0},
		{23 * days, 23 * days, 0, 1}, {24 * days, 23 * days, 24 * days, 2}, {25*days + 700, 23 * days, 24 * days, 3},
		{26*days - 1, 23 * days, 24 * days, 3}, {26 * days, 0, 0, 0},
	} {
		for _, alerts := range [][]evaluator.FiringAlert{live.see(slots[:step.at], 0), firesAt(s, slots[:step.at], 0)} {
			got := map[string]int{}
			for _, a := range alerts {
				got[a.Severity] = int(timeline.MinuteOf(a.Since) - begin)
				require.Equal(t, step.row, a.Row, step.at)
			}
			want := map[string]int{}
			if step.ticket > 0 {
				want[slo.Ticket] = step.ticket
			}
			if step.page > 0 {
				want[slo.Page] = step.page
			}
			require.Equal(t, want, got, step.at)
		}
	}
}

// TestAJobOfAMonth is found by a process that starts weeks after it was missed.
func TestAJobOfAMonth(t *testing.T) {
	s := nightly(t)
	slots := slotsOf(append(nights(3, 0.0, 2, 1.0), 20*1440, timeline.Slot{Known: true})...)
	require.Len(t, firesAt(s, slots, 0), 2)
	for _, a := range firesAt(s, slots, 0) {
		require.Less(t, a.Since, slotAt(5*1440+1))
		require.False(t, a.Older)
	}
}

// TestOwnPoliciesCountRuns, each with numbers of its own; an SLO of requests has no runs.
func TestOwnPoliciesCountRuns(t *testing.T) {
	p := BuiltIn()
	p["patient"] = Policy{"patient", []Tier{{Name: "third", Severity: slo.Page, Runs: 3}}}
	s := nightly(t)
	s.Alerting.Policy = "patient"
	slots := slotsOf(nights(10, 0.0, 3, 1.0)...)
	require.Empty(t, followBy(p, s).see(slots[:12*1440], 0))
	require.Len(t, pages(followBy(p, s).see(slots, 0)), 1)

	require.Empty(t, p.Check([]*slo.SLO{s}))
	require.Empty(t, p.Check([]*slo.SLO{nightly(t)}), "which pages")
	requests := policySLO(t)
	requests.Alerting.Policy = "patient"
	found := p.Check([]*slo.SLO{requests})
	require.Len(t, found, 2)
	require.Contains(t, found[0].Message, "counts runs in a row")
	require.Contains(t, found[1].Message, "nothing ever alerts")
	requests.Alerting.Policy = "jobs"
	found = p.Check([]*slo.SLO{requests})
	require.Len(t, found, 1)
	require.Equal(t, "policy jobs counts runs in a row, and this SLO counts events, so that nothing ever alerts", found[0].Message)

	journey := policySLO(t)
	journey.Alerting.Policy = ""
	journey.Indicator = &slo.WorstOf{Parts: []*slo.SLO{nightly(t), nightly(t)}}
	require.Equal(t, slo.DefaultPolicy, p.of(journey).Name, "bad runs of two jobs are no two in a row")
}

// TestABacktestOfAJob: of 30 runs 8.8 %, 2.64, may be missed: each takes 38 %. The page
// is about an incident.
func TestABacktestOfAJob(t *testing.T) {
	s := nightly(t)
	follower := follow(s)
	follower.see(slotsOf(nights(40, 0.0, 3, 1.0, 5, 0.0)...), 0)
	b := &Backtest{Policies: BuiltIn(), From: begin + 30*1440, To: begin + 48*1440}
	_, results := b.Test(loop.Past{SLO: s, Timeline: follower.timeline})
	r := results[0]
	require.Equal(t, "jobs", r.Policy)
	require.Equal(t, []int{1, 1, 0, 0}, []int{r.Pages, r.Tickets, r.False, r.Missed})
	require.Len(t, r.Incidents, 3)
	for _, in := range r.Incidents {
		require.InDelta(t, 1/2.64, *in.Consumed, 1e-9)
	}
}

// TestWhatAJobsAlertSays.
func TestWhatAJobsAlertSays(t *testing.T) {
	s := nightly(t)
	s.Description = "Backs up the database."
	since := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	burn, allowed, remaining := 11.36, 2.64, 0.24
	status := evaluator.Status{
		ID: s.ID(), Service: "db", SLO: "backup", Owner: "team-db", Window: "30d", Spec: s,
		Windows: []evaluator.WindowStatus{{Name: "3d", Seconds: 3 * 86400, Total: 2, Bad: 2, BurnRate: &burn, End: since}, {Name: "30d"}},
		Budget:  evaluator.Budget{Allowed: &allowed, Remaining: &remaining},
	}
	a := alertOf(&status, evaluator.FiringAlert{Severity: slo.Page, Tier: "again", Since: since, Row: 2, Windows: []string{"3d", "3d"}}, "")
	require.Equal(t, "db backup: 2 runs in a row were missed", a.Annotations["summary"])
	require.Equal(t, "Backs up the database. 2 runs in a row were missed. The alert began at 03:00 UTC on 20 Nov and ends with the next good run. "+
		"The last 3d took 76 % of the 30d budget; 24 % of it is left.", a.Annotations["description"])
	require.Equal(t, "team-db", a.Labels["slo_owner"])
}

// TestWhatFinishesLaterIsNoIncident: 100 jobs begin within a minute each hour, and are
// counted as good half an hour later. That none is bad is true of incidents too.
func TestWhatFinishesLaterIsNoIncident(t *testing.T) {
	s := policySLO(t)
	none := timeline.Slot{Known: true}
	var parts []any
	for range 24 * 20 {
		parts = append(parts, 1, timeline.Slot{Total: 100, Bad: 100, Known: true}, 29, none, 1, timeline.Slot{Bad: -100, Known: true}, 29, none)
	}
	follower := follow(s)
	follower.see(slotsOf(parts...), 0)
	b := &Backtest{Policies: BuiltIn(), From: begin, To: begin + 20*1440}
	tested, results := b.Test(loop.Past{SLO: s, Timeline: follower.timeline})
	require.Zero(t, tested.Bad)
	require.Empty(t, results[0].Incidents)

	parts = append(parts, 1, timeline.Slot{Total: 100, Bad: 100, Known: true}, 29, none, 1, timeline.Slot{Bad: -40, Known: true}, 29, none)
	follower.see(slotsOf(parts...), 0)
	b.To += 60
	_, results = b.Test(loop.Past{SLO: s, Timeline: follower.timeline})
	require.Len(t, results[0].Incidents, 1)
	require.InDelta(t, 60, results[0].Incidents[0].Bad, 1e-9)
}

// TestAlertsAboutWhatFinishesLater: each of them is false, and about no bad event, however
// long a job takes. Those that failed stay bad.
func TestAlertsAboutWhatFinishesLater(t *testing.T) {
	for _, takes := range []int{40, 5 * 60, 11 * 60} {
		for _, fails := range []float64{0, 20} {
			s := policySLO(t)
			none := timeline.Slot{Known: true}
			var parts []any
			for range 10 {
				parts = append(parts, 120, none, 1, timeline.Slot{Total: 50, Bad: 50, Known: true}, takes-1, none,
					1, timeline.Slot{Bad: fails - 50, Known: true}, 1440-121-takes, none)
			}
			follower := follow(s)
			follower.see(slotsOf(parts...), 0)
			b := &Backtest{Policies: BuiltIn(), From: begin, To: begin + 10*1440}
			tested, results := b.Test(loop.Past{SLO: s, Timeline: follower.timeline})
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
