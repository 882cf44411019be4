package history

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestFailingValue checks that the newest bad value is kept, of several at a time the
// highest, whether values are fed at once or in parts.
func TestFailingValue(t *testing.T) {
	threshold := slo.Threshold{Levels: slo.Levels{Query: "queue_length", Op: "<=", Value: 100}}
	at := func(m timeline.Minute) int64 { return m.Millis() }
	batch := []counting.RawSeries{
		{Key: 1, Samples: []backend.Sample{{T: at(1), V: 5}, {T: at(2), V: 300}, {T: at(3), V: 512}, {T: at(4), V: 7}}},
		{Key: 2, Samples: []backend.Sample{{T: at(1), V: 5}, {T: at(2), V: 900}, {T: at(3), V: 400}, {T: at(4), V: 7}}},
	}
	s := &slo.SLO{Indicator: threshold}
	whole, parts := gauges.NewValues(threshold.Measure().(slo.Levels)), gauges.NewValues(threshold.Measure().(slo.Levels))
	k := func(l *gauges.Values) *Record { return &Record{Inputs: []InputState{{Counting: l}}} }
	require.Nil(t, k(whole).Failing(s))
	whole.Feed(batch, 0, 4)
	parts.Feed(batch, 0, 2)
	parts.Feed(batch, 2, 4)
	require.Equal(t, &evaluator.Failing{Value: 512, At: timeline.Minute(3).Time()}, k(whole).Failing(s))
	require.Equal(t, k(whole).Failing(s), k(parts).Failing(s))
	require.Nil(t, k(whole).Failing(&slo.SLO{Indicator: slo.Freshness{}}))
}
