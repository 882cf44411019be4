package alerting

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestAJobThatIsMissed is a ticket, one that is missed twice in a row a page. Both go on
// until the next good run, and a process that starts says the same.
func TestAJobThatIsMissed(t *testing.T) {
	s := drill.Nightly(t)
	slots := drill.Slots(drill.Nights(20, 0.0, 1, 1.0, 1, 0.0, 3, 1.0, 2, 0.0)...)
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
				got[a.Severity] = int(timeline.MinuteOf(a.Since) - drill.Begin)
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
	s := drill.Nightly(t)
	slots := drill.Slots(append(drill.Nights(3, 0.0, 2, 1.0), 20*1440, timeline.Slot{Known: true})...)
	require.Len(t, firesAt(s, slots, 0), 2)
	for _, a := range firesAt(s, slots, 0) {
		require.Less(t, a.Since, drill.At(5*1440+1))
		require.False(t, a.Older)
	}
}

// TestOwnPoliciesCountRuns, each with numbers of its own; an SLO of requests has no runs.
func TestOwnPoliciesCountRuns(t *testing.T) {
	p := BuiltIn()
	p["patient"] = Policy{"patient", []Tier{{Name: "third", Severity: slo.Page, Runs: 3}}}
	s := drill.Nightly(t)
	s.Alerting.Policy = "patient"
	slots := drill.Slots(drill.Nights(10, 0.0, 3, 1.0)...)
	require.Empty(t, followBy(p, s).see(slots[:12*1440], 0))
	require.Len(t, pages(followBy(p, s).see(slots, 0)), 1)

	require.Empty(t, p.Check([]*slo.SLO{s}))
	require.Empty(t, p.Check([]*slo.SLO{drill.Nightly(t)}), "which pages")
	requests := drill.SLO(t)
	requests.Alerting.Policy = "patient"
	found := p.Check([]*slo.SLO{requests})
	require.Len(t, found, 2)
	require.Contains(t, found[0].Message, "counts runs in a row")
	require.Contains(t, found[1].Message, "nothing ever alerts")
	requests.Alerting.Policy = "jobs"
	found = p.Check([]*slo.SLO{requests})
	require.Len(t, found, 1)
	require.Equal(t, "policy jobs counts runs in a row, and this SLO counts events, so that nothing ever alerts", found[0].Message)

	journey := drill.SLO(t)
	journey.Alerting.Policy = ""
	journey.Indicator = &slo.WorstOf{Parts: []*slo.SLO{drill.Nightly(t), drill.Nightly(t)}}
	require.Equal(t, slo.DefaultPolicy, p.Chosen(journey).Name, "bad runs of two jobs are no two in a row")
}
