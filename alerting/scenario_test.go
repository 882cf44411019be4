package alerting

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/scenario"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// play evaluates a scenario minute by minute, as a process that is up.
func play(c scenario.Scenario, policy string, seed uint64) scenario.Played {
	s, judge := c.SLO(policy), BuiltIn().NewJudge()
	line := timeline.NewTimeline(scenario.Begin - timeline.Minute(c.Before()))
	return c.Play(seed, func(m int, slot timeline.Slot) []string {
		line.Append(slot)
		var out []string
		if m >= 0 {
			for _, f := range burning(judge(s, line.ViewFor(s), line.End())) {
				out = append(out, f.Severity)
			}
		}
		return out
	})
}

// TestScenarios plays each with several seeds, holds what the default policy gives
// against what it must, and what both policies give against docs/explanation/alerts.md.
// With -short it plays each fourth.
func TestScenarios(t *testing.T) {
	all := scenario.All()
	rows := make([][]string, len(all))
	t.Run("play", func(t *testing.T) {
		for i, c := range all {
			if testing.Short() && i%4 != 0 {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				for _, policy := range []string{"classic", slo.DefaultPolicy} {
					var row scenario.Tally
					for seed := range uint64(5) {
						p := play(c, policy, seed)
						one := c.Tally(p)
						if row.Add(one); policy == slo.DefaultPolicy {
							require.Empty(t, c.Wrong(one, 0), "seed %d: %v", seed, p.Episodes)
						}
					}
					rows[i] = append(rows[i], row.Row(c, policy))
				}
			})
		}
	})
	const page, part = "../docs/explanation/alerts.md", "scenarios"
	if testing.Short() {
		table := golden.Part(t, page, part)
		for _, row := range slices.Concat(rows...) {
			require.Contains(t, table, row)
		}
		return
	}
	golden.RequirePart(t, page, part, scenario.Header+strings.Join(slices.Concat(rows...), ""))
}

// TestPoliciesScale: an outage and nothing at all, over other windows.
func TestPoliciesScale(t *testing.T) {
	month, err := slo.NewCalendar(slo.Month, "Europe/Berlin")
	require.NoError(t, err)
	for _, window := range []slo.Period{slo.Rolling(day), slo.Rolling(7 * day), slo.Rolling(90 * day), slo.Rolling(365 * day), month} {
		c := scenario.All()[0] // all fail for half an hour
		c.Window = window
		p := play(c, slo.DefaultPolicy, 1)
		got := c.Tally(p)
		require.Equal(t, []int{1}, got.Pages, "%s: %v", window, p.Episodes)
		require.LessOrEqual(t, got.ToPage[0], 5, window)
		require.LessOrEqual(t, got.Tickets[0], 1, window)
		require.Zero(t, got.Wrong, window)
	}
}
