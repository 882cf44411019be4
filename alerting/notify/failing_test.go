package notify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestFailingValue says what value of a threshold was bad, unless that was before the
// alert's window.
func TestFailingValue(t *testing.T) {
	objective, err := slo.ParseObjective("99")
	require.NoError(t, err)
	since, burn := time.Date(2026, 11, 20, 14, 2, 0, 0, time.UTC), 50.0
	s := evaluator.Status{
		ID: "shop/queue", Service: "shop", SLO: "queue", Window: "30d", State: evaluator.StateOK,
		Windows: []evaluator.WindowStatus{{Name: "1h", Seconds: 3600, Total: 60, Bad: 30, BurnRate: &burn, End: since.Add(time.Hour)}},
		Spec:    &slo.SLO{Objective: objective, Indicator: slo.Threshold{Levels: slo.Levels{Query: "queue_length", Op: "<=", Value: 100}}},
		Failing: &evaluator.Failing{Value: 512, At: since.Add(58 * time.Minute)},
	}
	fires := evaluator.FiringAlert{Severity: slo.Page, Tier: "fast", Since: since, Windows: []string{"1h", "5m"}}
	require.Contains(t, alertOf(&s, fires, "").Annotations["description"], "queue_length was 512 at 15:00 UTC (<= 100 is good).")
	s.Failing.At = since.Add(-2 * time.Hour)
	require.NotContains(t, alertOf(&s, fires, "").Annotations["description"], "512")
}
