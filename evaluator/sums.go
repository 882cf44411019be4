package evaluator

import (
	"encoding/binary"
	"math"
	"slices"
)

// running are counts summed up from the beginning of a timeline.
type running struct {
	total, bad float64
	known      int32
	excluded   int32 // slots; only in a view
}

// sums are running counts at the boundaries of equal steps. A block of them is
// its first and what each step adds, in few bytes: a slot of a service with
// thousands of requests takes five. The zero value has no boundaries.
type sums struct {
	blocks []block
	skip   int // boundaries at the front of the first block that are dropped
	n      int // boundaries
	last   running
	plain  []running // the last boundaries, unpacked; nil but in a copy to read
}

type block struct {
	first running
	steps []byte
}

// perBlock is the boundaries of a block: enough for its own price not to matter,
// few enough to look one up quickly.
const perBlock = 46

// The first byte of a step holds how many of its slots are known, up to 15, and
// these flags.
const (
	someBad   = 1 << (iota + 4) // a number of bad events follows
	fractions                   // the numbers are grains, not whole events
	verbatim                    // the numbers are float64
)

func (s *sums) len() int { return s.n }

// push adds the boundary after the last.
func (s *sums) push(r running) {
	if at := (s.n + s.skip) % perBlock; at == 0 {
		if i := len(s.blocks) - 1; i >= 0 {
			s.blocks[i].steps = slices.Clip(slices.Clone(s.blocks[i].steps))
		}
		s.blocks = append(s.blocks, block{first: r})
	} else {
		b := &s.blocks[len(s.blocks)-1]
		b.steps = appendStep(b.steps, r.total-s.last.total, r.bad-s.last.bad, r.known-s.last.known)
	}
	s.n++
	s.last = r
}

// at is the i-th boundary.
func (s *sums) at(i int) running {
	var p place
	return s.near(&p, i)
}

// place is where a boundary was found. The zero value is no place.
type place struct {
	found   bool
	i, used int // the boundary, and how many bytes of its block lead to it
	sum     running
}

// near is the i-th boundary, which is quickly found from a place a little before
// it. The place moves there.
func (s *sums) near(p *place, i int) running {
	if i == s.n-1 {
		return s.last
	}
	if j := i - (s.n - len(s.plain)); j >= 0 {
		return s.plain[j]
	}
	if !p.found || i < p.i || (i+s.skip)/perBlock != (p.i+s.skip)/perBlock {
		p.sum, p.used = s.find(i)
		p.found, p.i = true, i
		return p.sum
	}
	for steps := s.blocks[(i+s.skip)/perBlock].steps; p.i < i; p.i++ {
		p.used += p.sum.step(steps[p.used:])
	}
	return p.sum
}

// step adds what a step adds, and gives how many bytes it takes.
func (r *running) step(in []byte) int {
	total, bad, known, n := readStep(in)
	r.total += total
	r.bad += bad
	r.known += known
	return n
}

// unpack gives the boundaries from the i-th on.
func (s *sums) unpack(i int) []running {
	if i >= s.n {
		return nil
	}
	out := make([]running, 0, s.n-i)
	r, used := s.find(i)
	for out = append(out, r); len(out) < cap(out); out = append(out, r) {
		i++
		b := s.blocks[(i+s.skip)/perBlock]
		if (i+s.skip)%perBlock == 0 {
			r, used = b.first, 0
			continue
		}
		used += r.step(b.steps[used:])
	}
	return out
}

// find is the i-th boundary, and how many bytes of its block lead to it.
func (s *sums) find(i int) (running, int) {
	b := s.blocks[(i+s.skip)/perBlock]
	r, used := b.first, 0
	for range (i + s.skip) % perBlock {
		used += r.step(b.steps[used:])
	}
	return r, used
}

// truncate keeps the first n boundaries, at least one.
func (s *sums) truncate(n int) {
	if n >= s.n {
		return
	}
	r, used := s.find(n - 1)
	at := (n - 1 + s.skip) / perBlock
	s.blocks = slices.Delete(s.blocks, at+1, len(s.blocks))
	s.blocks[at].steps = s.blocks[at].steps[:used]
	s.n, s.last = n, r
}

// drop forgets the first n boundaries, of which there are more, or all.
func (s *sums) drop(n int) {
	s.skip += n
	s.n -= n
	whole := s.skip / perBlock
	if s.n == 0 {
		*s = sums{}
	} else if whole > 0 {
		s.blocks = slices.Delete(s.blocks, 0, whole)
		s.skip -= whole * perBlock
	}
	if cap(s.blocks) > 2*len(s.blocks)+8 {
		s.blocks = slices.Clip(slices.Clone(s.blocks))
	}
}

// clone is a copy.
func (s *sums) clone() sums {
	out := *s
	out.blocks = slices.Clone(s.blocks)
	for i := range out.blocks {
		out.blocks[i].steps = slices.Clone(out.blocks[i].steps)
	}
	return out
}

// appendStep writes what a step adds. total and bad are multiples of the grain.
func appendStep(out []byte, total, bad float64, known int32) []byte {
	head, unit := byte(known), 1.0
	if bad != 0 {
		head |= someBad
	}
	const most = 1 << 52 // beyond that a float64 holds no grains
	switch {
	case math.Abs(total) > most || math.Abs(bad) > most:
		out = binary.LittleEndian.AppendUint64(append(out, head|verbatim), math.Float64bits(total))
		if bad != 0 {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(bad))
		}
		return out
	case total != math.Trunc(total) || bad != math.Trunc(bad):
		head |= fractions
		unit = grain
	}
	out = binary.AppendVarint(append(out, head), int64(total/unit))
	if bad != 0 {
		out = binary.AppendVarint(out, int64(bad/unit))
	}
	return out
}

// readStep reads what a step adds, and how many bytes it takes.
func readStep(in []byte) (total, bad float64, known int32, n int) {
	head := in[0]
	known, n = int32(head&15), 1
	number := func() float64 {
		if head&verbatim != 0 {
			n += 8
			return math.Float64frombits(binary.LittleEndian.Uint64(in[n-8:]))
		}
		v, used := binary.Varint(in[n:])
		n += used
		if head&fractions != 0 {
			return float64(v) * grain
		}
		return float64(v)
	}
	total = number()
	if head&someBad != 0 {
		bad = number()
	}
	return total, bad, known, n
}
