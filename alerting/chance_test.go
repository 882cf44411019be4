package alerting

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
)

// TestBeyondChance: of 72 requests at 99.9 %, three fail by chance in 59,640 *
// 1e-9 * 0.999^69 = 5.6e-5 of all hours, and four in 1,028,790 * 1e-12 * 0.999^68
// = 9.6e-7, more in so few that they change neither.
func TestBeyondChance(t *testing.T) {
	o := drill.Objective(t, "99.9")
	require.False(t, BeyondChance(3, 72, o, 1e-5))
	require.True(t, BeyondChance(3, 72, o, 6e-5))
	require.True(t, BeyondChance(4, 72, o, 1e-5))
	require.False(t, BeyondChance(4, 72, o, 9e-7))
	require.False(t, BeyondChance(0, 0, o, 1e-5))
	require.True(t, BeyondChance(2, 2, o, 1.001e-6), "all of two: 0.001^2")
	require.False(t, BeyondChance(2, 2, o, 0.999e-6))
	require.False(t, BeyondChance(3.9, 72, o, 1e-5), "a part of an event is none")
}

// TestBeyondChanceOfMany holds the test against the sum of the probabilities, each
// by the logarithms of factorials.
func TestBeyondChanceOfMany(t *testing.T) {
	for _, text := range []string{"99.999", "99.9", "99", "90", "50"} {
		o := drill.Objective(t, text)
		for _, total := range []float64{10, 1000, 144_000, 10_000_000} {
			p := o.Budget()
			mean, deviation := total*p, math.Sqrt(total*p*(1-p))
			for _, z := range []float64{0.5, 2, 4, 4.5} {
				bad := math.Ceil(mean + z*deviation)
				if bad > total {
					continue
				}
				want := tail(bad, total, p)
				require.True(t, BeyondChance(bad, total, o, want*1.001), "%s: %g of %g", text, bad, total)
				require.False(t, BeyondChance(bad, total, o, want*0.999), "%s: %g of %g", text, bad, total)
			}
		}
	}
}

// tail is the probability of at least so many of n.
func tail(bad, n, p float64) float64 {
	log := func(x float64) float64 { l, _ := math.Lgamma(x + 1); return l }
	sum := 0.0
	for k := bad; k <= n; k++ {
		term := math.Exp(log(n) - log(k) - log(n-k) + k*math.Log(p) + (n-k)*math.Log1p(-p))
		if sum += term; term < sum*1e-9 && k > n*p {
			break
		}
	}
	return sum
}
