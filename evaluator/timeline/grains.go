package timeline

import (
	"math"
	"math/bits"
)

// grain is the smallest part of an event that is counted.
const grain = 1.0 / (1 << grainBits)

const grainBits = 10

// grains is a number of grains of events: a signed integer of 128 bits. Sums of slots are
// exact in any order, and so the same in every process. 2^117 events fit. A float64 would
// be exact only up to 2^43 events.
type grains struct {
	hi int64
	lo uint64
}

// grainsOf returns events rounded to grains. A float64 of 2^52 or more is a whole number.
func grainsOf(events float64) grains {
	if math.Abs(events) < 1<<52 {
		n := int64(math.Round(events * (1 << grainBits)))
		return grainsIn(n)
	}
	const mantissa = 52
	text := math.Float64bits(events)
	shift := int(text>>mantissa&0x7ff) - 1023 - mantissa + grainBits
	shift = min(shift, 127-mantissa-1) // no metric counts as many
	g := grains{0, text&(1<<mantissa-1) | 1<<mantissa}.left(uint(shift))
	if events < 0 {
		return grains{}.Minus(g)
	}
	return g
}

// grainsIn returns n grains.
func grainsIn(n int64) grains { return grains{n >> 63, uint64(n)} }

// left shifts the bits left.
func (g grains) left(n uint) grains {
	if n >= 64 {
		return grains{int64(g.lo << (n - 64)), 0}
	}
	return grains{g.hi<<n | int64(g.lo>>(64-n)), g.lo << n}
}

// right shifts the bits right.
func (g grains) right(n uint) grains {
	if n >= 64 {
		return grainsIn(g.hi >> (n - 64))
	}
	return grains{g.hi >> n, g.lo>>n | uint64(g.hi)<<(64-n)}
}

// zeros returns the number of zero bits at the end.
func (g grains) zeros() uint {
	if g.lo != 0 || g.hi == 0 {
		return uint(bits.TrailingZeros64(g.lo) % 64) // 0 has none
	}
	return 64 + uint(bits.TrailingZeros64(uint64(g.hi)))
}

func (g grains) plus(o grains) grains {
	lo, carry := bits.Add64(g.lo, o.lo, 0)
	return grains{g.hi + o.hi + int64(carry), lo}
}

func (g grains) Minus(o grains) grains {
	lo, borrow := bits.Sub64(g.lo, o.lo, 0)
	return grains{g.hi - o.hi - int64(borrow), lo}
}

// Events returns the number as a float64. Equal numbers give equal results, whatever they
// were summed up from.
func (g grains) Events() float64 {
	if n, ok := g.small(); ok {
		return float64(n) * grain
	}
	return (float64(g.hi)*(1<<64) + float64(g.lo)) * grain
}

// small returns the number of grains if it fits into 64 bits.
func (g grains) small() (n int64, ok bool) {
	return int64(g.lo), g.hi == int64(g.lo)>>63
}

// whole returns the number of events if it is a whole number that fits into 64 bits.
func (g grains) whole() (n int64, ok bool) {
	top := g.hi >> (grainBits - 1)
	return g.hi<<(64-grainBits) | int64(g.lo>>grainBits), g.lo&(1<<grainBits-1) == 0 && (top == 0 || top == -1)
}

// Rounded returns events rounded to grains.
func Rounded(events float64) float64 {
	return math.Round(events/grain) * grain
}
