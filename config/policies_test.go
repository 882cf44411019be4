package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestTiersThatCountRuns have a number of runs and nothing else.
func TestTiersThatCountRuns(t *testing.T) {
	parse := func(tier string) (*Config, []string) {
		cfg, found := Parse("c.yaml", []byte("specs: [{directory: slos}]\nbackends: [{url: http://prometheus:9090}]\npolicies:\n  mine: {tiers: ["+tier+"]}\n"))
		var out []string
		for _, f := range found {
			out = append(out, f.Message)
		}
		return cfg, out
	}
	cfg, found := parse(`{name: again, severity: page, runs: 2}`)
	require.Empty(t, found)
	require.Equal(t, []alerting.Tier{{Name: "again", Severity: slo.Page, Runs: 2}}, cfg.Policies["mine"].Tiers)
	for tier, want := range map[string]string{
		`{name: a, severity: page, runs: 0}`:             "0 is not a whole number from 1 to 1000",
		`{name: a, severity: page, runs: 1.5}`:           "1.5 is not a whole number from 1 to 1000",
		`{name: a, severity: page, runs: 2, long: 1h}`:   "a tier with runs has no long: it begins with the last of so many bad runs, and ends with the next good one",
		`{name: a, severity: page, runs: 2, factor: 10}`: "a tier with runs has no factor: it begins with the last of so many bad runs, and ends with the next good one",
	} {
		_, found := parse(tier)
		require.Equal(t, []string{want}, found, tier)
	}
	_, found = parse(`{name: a, severity: page}`)
	require.NotEmpty(t, found)
}
