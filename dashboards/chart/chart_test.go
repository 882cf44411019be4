package chart_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/chart"
	"github.com/slowburn-slo/slowburn/evaluator"
)

var end = time.Date(2026, 11, 22, 15, 4, 0, 0, time.UTC)

// TestPicturesFillTheirWidth expects that a sparkline of 96 buckets, merged by three, ends
// where all others do, and that a month and some minutes have as many dates as a month.
func TestPicturesFillTheirWidth(t *testing.T) {
	st := &evaluator.Status{Objective: 0.999, Budget: evaluator.Budget{Allowed: new(100.0)}}
	for i := range 96 {
		st.History = append(st.History, evaluator.Bucket{End: end.Add(time.Duration(i-95) * (30*24*time.Hour + 14*time.Minute) / 96), Total: 100, Bad: 1, Coverage: 1})
	}
	spark := chart.NewSparkline(st)
	require.Equal(t, 96, spark.Width)
	require.Contains(t, spark.Over, "M94 26v")
	for _, c := range []*chart.Chart{chart.Budget(st), chart.Errors(st)} {
		require.Len(t, c.X, 6)
		require.Regexp(t, `^\d+ (Oct|Nov)$`, c.X[0].Text)
	}
}

// TestUnknownBudgetIsNotDrawn has three parts of a window, of which the middle one is unknown.
// A quarter of the budget went in the first.
func TestUnknownBudgetIsNotDrawn(t *testing.T) {
	st := &evaluator.Status{Objective: 0.999, Budget: evaluator.Budget{Allowed: new(100.0)}}
	for i, coverage := range []float64{1, 0, 1} {
		st.History = append(st.History, evaluator.Bucket{End: end.Add(time.Duration(i-2) * 10 * 24 * time.Hour), Total: 1000, Coverage: coverage})
	}
	st.History[0].Bad, st.History[1].Total = 25, 0
	c := chart.Budget(st)
	require.Equal(t, "M0 0L333.3 45M666.7 45L1000 45", c.Line)
	require.Equal(t, "M0 180V0L333.3 45V180ZM666.7 180V45L1000 45V180Z", c.Area)
	require.Nil(t, chart.Budget(&evaluator.Status{}), "there is no history")
}
