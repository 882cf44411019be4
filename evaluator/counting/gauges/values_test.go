package gauges

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/floats"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestValuesThatAreWaitedFor checks that a series with a value for five minutes of each
// 15 is not gone in between, alone or beside another. A series with a value each minute
// is gone.
func TestValuesThatAreWaitedFor(t *testing.T) {
	const first, hours = timeline.Minute(1000), 6
	measure := slo.Levels{Query: "queue_length", Op: "<=", Value: 100}
	measure.Absent = true
	series := func(key uint64, at, slots, every, until int) counting.RawSeries {
		s := counting.RawSeries{Key: key}
		for m := at; m < until; m++ {
			if (m-at)%every < slots {
				s.Samples = append(s.Samples, backend.Sample{T: (first + timeline.Minute(m+1)).Millis(), V: 5})
			}
		}
		return s
	}
	const end = hours * 60
	for name, tt := range map[string]struct {
		batch []counting.RawSeries
		bad   float64
	}{
		"each 15 minutes":          {[]counting.RawSeries{series(1, 0, 5, 15, end)}, 0},
		"two, 200 s apart":         {[]counting.RawSeries{series(1, 0, 5, 15, end), series(2, 3, 5, 15, end)}, 0},
		"each minute, for an hour": {[]counting.RawSeries{series(1, 0, 1, 1, 60)}, end - 60},
	} {
		t.Run(name, func(t *testing.T) {
			got := NewValues(measure).Feed(tt.batch, first, first+end)
			require.Equal(t, tt.bad, floats.Sum(got.Bad))
		})
	}
}
