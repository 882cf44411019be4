package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestPoliciesOfTheConfiguration decide as they are written, up to the last of as
// many tiers as a policy may have.
func TestPoliciesOfTheConfiguration(t *testing.T) {
	tiers := []string{"{name: all, severity: page, factor: 9, long: 1h, short: 5m, for: 1m, keep_firing_for: 2m, reset_factor: 4, min_bad: 3, min_budget: 2%, significance: 0.01}"}
	for i := 1; i < 11; i++ {
		tiers = append(tiers, fmt.Sprintf("{name: t%d, severity: page, factor: 9, long: %dh, short: 5m}", i, i))
	}
	tiers = append(tiers, "{name: last, severity: ticket, bad_share: 50%, long: 10m, short: 5m}")
	cfg, findings := config.Parse("a.yaml", []byte("specs: [directory: a]\nbackends: [url: 'http://p']\npolicies: {mine: {tiers: ["+strings.Join(tiers, ",\n")+"]}}"))
	require.Empty(t, findings)
	policies := policiesOf(cfg)
	require.Equal(t, "classic, default, mine", policies.Names())
	require.Equal(t, alerting.Tier{
		Name: "all", Severity: "page", Factor: 9, Long: slo.Window(time.Hour), Short: slo.Window(5 * time.Minute), For: time.Minute,
		KeepFiringFor: 2 * time.Minute, Reset: 4, MinBad: 3, MinBudget: 0.02, Significance: 0.01,
	}, policies["mine"].Tiers[0])

	o, err := slo.ParseObjective("90")
	require.NoError(t, err)
	s := &slo.SLO{Service: "a", Name: "b", Objective: o, Window: slo.Rolling(slo.Window(30 * 24 * time.Hour)), Alerting: slo.Alerting{Policy: "mine"}}
	timeline := evaluator.NewTimeline(evaluator.MinuteOf(time.Unix(0, 0)))
	for range 20 {
		timeline.Append(evaluator.Slot{Total: 10, Bad: 6, Known: true})
	}
	fires := policies.NewJudge()(s, timeline, timeline.End())
	require.Len(t, fires, 1, "6 of 10 fail: 6 times too fast")
	require.Equal(t, "last", fires[0].Tier)
}
