package evaluator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const theDay = 24 * 60 // minutes

// TestIncrementsOfReplicas: of two replicas that have the same gauge one is followed,
// and the other while that is gone. A process that begins later counts the same.
func TestIncrementsOfReplicas(t *testing.T) {
	var a, b []sample
	for i := range int64(60) { // a minute apart, and b 20 s after a, which is away from minute 20 to 29
		if i < 20 || i >= 30 {
			a = append(a, sample{(theDay + i) * 60_000, 10})
		}
		b = append(b, sample{(theDay+i)*60_000 + 20_000, 10})
	}
	batch := []rawSeries{
		{key: 1, replica: "a", roles: roleTotal, samples: a}, {key: 1, replica: "b", roles: roleTotal, samples: b},
	}
	whole := newIncrements(roleTotal, false).feed(batch, theDay-1, theDay+59)
	var got []float64
	got = append(got, whole.total...)
	// Slot i ends at minute i. Those of b begin with its first sample more than 66 s after
	// the last of a, at 20:20, and a takes over again at 30:00, in the slot of the last of b.
	want := make([]float64, 60)
	for i := range want {
		want[i] = 10
	}
	want[20], want[30] = 0, 20
	require.Equal(t, want, got)
	later := newIncrements(roleTotal, false).feed(batch, theDay+34, theDay+59)
	require.Equal(t, got[37:], later.total[2:], "from when the interval of the scrapes is known")
	for i, known := range whole.known {
		require.True(t, known, i)
	}
}

// TestRatesOverGaps: a rate counts for the time since the sample before, and for two
// intervals at most.
func TestRatesOverGaps(t *testing.T) {
	var samples []sample
	for _, minute := range []int64{0, 1, 2, 3, 4, 5, 7, 20, 21} {
		samples = append(samples, sample{(theDay + minute) * 60_000, 2})
	}
	out := newIncrements(roleTotal, true).feed([]rawSeries{{key: 1, roles: roleTotal, samples: samples}}, theDay-1, theDay+21)
	want := make([]float64, 22)
	for i := 1; i <= 5; i++ {
		want[i] = 120
	}
	want[7], want[20], want[21] = 240, 240, 120
	require.Equal(t, want, out.total)
	require.Equal(t, []bool{true, true, true, true, true, true, true, true, false}, out.known[:9], "not known behind the gap that begins at minute 7")
	require.Equal(t, []bool{false, true, true}, out.known[19:])
}
