package shop

import (
	"math"
	"math/rand/v2"
)

// poisson draws from a Poisson distribution: by multiplying uniforms where few
// events are expected, otherwise by W. Hörmann's transformed rejection (PTRS,
// "The transformed rejection method for generating Poisson random variables",
// 1993).
func poisson(rng *rand.Rand, mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean < 10 {
		k, p, limit := 0.0, rng.Float64(), math.Exp(-mean)
		for p > limit {
			k++
			p *= rng.Float64()
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	accept := 0.9277 - 3.6224/(b-2)
	for {
		u, v := rng.Float64()-0.5, rng.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= accept {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lgamma, _ := math.Lgamma(k + 1)
		scale := 1.1239 + 1.1328/(b-3.4)
		if math.Log(v*scale/(a/(us*us)+b)) <= k*math.Log(mean)-mean-lgamma {
			return k
		}
	}
}
