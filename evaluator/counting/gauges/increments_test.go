package gauges

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
)

const day = 24 * 60 // minutes

// TestIncrementsOfReplicas checks that only one of two replicas counts, and the other
// while that is gone. A process that starts later counts the same.
func TestIncrementsOfReplicas(t *testing.T) {
	var a, b []backend.Sample
	for i := range int64(60) { // a minute apart; b is 20 s after a, which is away from minute 20 to 29
		if i < 20 || i >= 30 {
			a = append(a, backend.Sample{T: (day + i) * 60_000, V: 10})
		}
		b = append(b, backend.Sample{T: (day+i)*60_000 + 20_000, V: 10})
	}
	batch := []counting.RawSeries{
		{Key: 1, Replica: "a", Roles: counting.RoleTotal, Samples: a}, {Key: 1, Replica: "b", Roles: counting.RoleTotal, Samples: b},
	}
	whole := NewIncrements(counting.RoleTotal, false).Feed(batch, day-1, day+59)
	var got []float64
	got = append(got, whole.Total...)
	// Slot i ends at minute i. Samples of b count from its first one more than 66 s after
	// the last of a, at 20:20. a takes over again at 30:00, in the slot of the last of b.
	want := make([]float64, 60)
	for i := range want {
		want[i] = 10
	}
	want[20], want[30] = 0, 20
	require.Equal(t, want, got)
	later := NewIncrements(counting.RoleTotal, false).Feed(batch, day+34, day+59)
	require.Equal(t, got[37:], later.Total[2:], "from when the interval of the scrapes is known")
	for i, known := range whole.Known {
		require.True(t, known, i)
	}
}

// TestRatesOverGaps checks that a rate counts for the time since the sample before, and
// for two intervals at most.
func TestRatesOverGaps(t *testing.T) {
	var samples []backend.Sample
	for _, minute := range []int64{0, 1, 2, 3, 4, 5, 7, 20, 21} {
		samples = append(samples, backend.Sample{T: (day + minute) * 60_000, V: 2})
	}
	out := NewIncrements(counting.RoleTotal, true).Feed([]counting.RawSeries{{Key: 1, Roles: counting.RoleTotal, Samples: samples}}, day-1, day+21)
	want := make([]float64, 22)
	for i := 1; i <= 5; i++ {
		want[i] = 120
	}
	want[7], want[20], want[21] = 240, 240, 120
	require.Equal(t, want, out.Total)
	require.Equal(t, []bool{true, true, true, true, true, true, true, true, false}, out.Known[:9], "not known after the gap that begins at minute 7")
	require.Equal(t, []bool{false, true, true}, out.Known[19:])
}
