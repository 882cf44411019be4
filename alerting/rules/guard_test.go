package rules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestGuardedRules: rules count what is inside guards as if these were not there.
func TestGuardedRules(t *testing.T) {
	made := func(bad, total string) string {
		set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: a\nslos:\n- name: a\n  objective: 99\n" +
			"  sli: {events: {bad: '" + bad + "', total: '" + total + "'}}\n")}})
		require.Empty(t, set.Findings)
		text, err := File("a.yaml", set.SLOs, Options{Alerts: true, Policies: alerting.BuiltIn()})
		require.NoError(t, err)
		return string(text)
	}
	plain := made(`sum(rate(a_total{code="500"}[$window]))`, `sum(rate(a_total[$window]))`)
	require.Equal(t, plain, made(`a_total{code="500"}`, `a_total`))
	require.Equal(t, plain, made(
		`clamp_min(sum by (job) (rate(a_total{code="500"}[$window])) or 0 * sum by (job) (rate(a_total[$window])), 0)`,
		`sum(round(increase(a_total[$window])) >= 0) > 0`))
}
