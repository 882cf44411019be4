package evaluator

import (
	"encoding/binary"
	"math"
	"slices"
)

// running are counts summed up from the beginning of a timeline.
type running struct {
	total, bad grains
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
	first first
	steps []byte
}

// first is the first boundary of a block, in few bytes: up to 2^85 events.
type first struct {
	total, bad                uint64
	totalHigh, badHigh, known int32
}

func firstOf(r running) first {
	return first{r.total.lo, r.bad.lo, int32(r.total.hi), int32(r.bad.hi), r.known}
}

func (f *first) running() running {
	return running{total: grains{int64(f.totalHigh), f.total}, bad: grains{int64(f.badHigh), f.bad}, known: f.known}
}

// perBlock is the boundaries of a block: enough for its own price not to matter,
// few enough to look one up quickly.
const perBlock = 46

// The first byte of a step holds how many of its slots are known, up to 15, and
// these flags.
const (
	someBad   = 1 << (iota + 4) // a number of bad events follows
	fractions                   // the numbers are grains, not whole events
	verbatim                    // the numbers are float64, or with fractions grains of 128 bits
)

func (s *sums) len() int { return s.n }

// push adds the boundary after the last.
func (s *sums) push(r running) {
	if at := (s.n + s.skip) % perBlock; at == 0 {
		if i := len(s.blocks) - 1; i >= 0 {
			s.blocks[i].steps = slices.Clip(slices.Clone(s.blocks[i].steps))
		}
		s.blocks = append(s.blocks, block{first: firstOf(r)})
	} else {
		b := &s.blocks[len(s.blocks)-1]
		b.steps = appendStep(b.steps, r.minus(s.last))
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
			r, used = b.first.running(), 0
			continue
		}
		used += r.step(b.steps[used:])
	}
	return out
}

// find is the i-th boundary, and how many bytes of its block lead to it.
func (s *sums) find(i int) (running, int) {
	b := s.blocks[(i+s.skip)/perBlock]
	r, used := b.first.running(), 0
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

// appendStep writes what a step adds.
func appendStep(out []byte, added running) []byte {
	head := byte(added.known)
	if added.bad != (grains{}) {
		head |= someBad
	}
	total, isWhole := added.total.whole()
	bad, whole := added.bad.whole()
	if !isWhole || !whole {
		var isSmall, small bool
		head |= fractions
		total, isSmall = added.total.small()
		if bad, small = added.bad.small(); !isSmall || !small {
			return appendVerbatim(out, head&^fractions|verbatim, added)
		}
	}
	out = binary.AppendVarint(append(out, head), total)
	if head&someBad != 0 {
		out = binary.AppendVarint(out, bad)
	}
	return out
}

// appendVerbatim writes more events than a varint holds: as float64 where these are
// the same number, as those of one slot are.
func appendVerbatim(out []byte, head byte, added running) []byte {
	numbers := []grains{added.total, added.bad}
	if head&someBad == 0 {
		numbers = numbers[:1]
	}
	if slices.ContainsFunc(numbers, func(g grains) bool { return grainsOf(g.events()) != g }) {
		head |= fractions
	}
	out = append(out, head)
	for _, g := range numbers {
		if head&fractions == 0 {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(g.events()))
		} else {
			out = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(out, uint64(g.hi)), g.lo)
		}
	}
	return out
}

// step adds what a step adds, and gives how many bytes it takes.
func (r *running) step(in []byte) int {
	head := in[0]
	r.known += int32(head & 15)
	if head&verbatim != 0 {
		return r.verbatim(in)
	}
	total, n := varint(in, 1)
	bad := int64(0)
	if head&someBad != 0 {
		bad, n = varint(in, n)
	}
	if head&fractions != 0 {
		r.total = r.total.plus(grains{total >> 63, uint64(total)})
		r.bad = r.bad.plus(grains{bad >> 63, uint64(bad)})
	} else {
		r.total = r.total.plus(grains{total >> (64 - grainBits), uint64(total) << grainBits})
		r.bad = r.bad.plus(grains{bad >> (64 - grainBits), uint64(bad) << grainBits})
	}
	return n
}

// varint reads the number that binary.AppendVarint wrote at a place, and gives where it
// ends. Steps hold valid ones only, so it checks nothing, and is quick.
func varint(in []byte, at int) (v int64, end int) {
	var u uint64
	for shift := 0; ; shift += 7 {
		b := in[at]
		at++
		u |= uint64(b&0x7f) << (shift & 63)
		if b < 0x80 {
			return int64(u>>1) ^ -int64(u&1), at
		}
	}
}

func (r *running) verbatim(in []byte) int {
	head, n := in[0], 1
	number := func() grains {
		if head&fractions == 0 {
			n += 8
			return grainsOf(math.Float64frombits(binary.LittleEndian.Uint64(in[n-8:])))
		}
		n += 16
		return grains{int64(binary.LittleEndian.Uint64(in[n-16:])), binary.LittleEndian.Uint64(in[n-8:])}
	}
	r.total = r.total.plus(number())
	if head&someBad != 0 {
		r.bad = r.bad.plus(number())
	}
	return n
}
