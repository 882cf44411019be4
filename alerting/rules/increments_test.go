package rules

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestSlotsOfRecordedRates has two recorded rates, of which one comes each 2 minutes
// only: between its samples the last one counts.
func TestSlotsOfRecordedRates(t *testing.T) {
	s := example(t, "", "job:errors:rate5m", "job:requests:rate5m")
	c := s.Indicator.Measure().(slo.Counters)
	s.Indicator = slo.Events{Numbers: slo.Increments{Bad: c.Bad, Total: c.Total, PerSecond: true}}
	b := newBackend(t)
	b.load(7*time.Second, 30*time.Second, `job:requests:rate5m{job="a"} 2 4 4 4 0 0 1 1`, `job:errors:rate5m{job="a"} 1 _ _ _ 0.5 _ _ _`)
	b.run(s, Options{Policies: alerting.BuiltIn()}, 0, 15*time.Minute)
	require.Equal(t, texts([]float64{180, 240, 0, 60}), texts(b.slots(totalSlots, 4)))
	require.Equal(t, texts([]float64{60, 60, 30, 30}), texts(b.slots(badSlots, 4)))
}

// TestIncrementsWithoutName: sums over time drop the names that tell series apart.
func TestIncrementsWithoutName(t *testing.T) {
	s := example(t, "", `{__name__=~"a|b"}`, "all")
	c := s.Indicator.Measure().(slo.Counters)
	s.Indicator = slo.Events{Numbers: slo.Increments{Bad: c.Bad, Total: c.Total}}
	require.Equal(t, "its gauges have no single metric name, and PromQL drops the names that tell their series apart", Refusal(s))
}
