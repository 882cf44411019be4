package timeline

import (
	"encoding/binary"
	"slices"
)

// Running contains counts summed up from the beginning of a timeline.
type Running struct {
	Total, Bad grains
	Known      int32
	excluded   int32 // slots; only in a view
}

// sums contains running counts at the boundaries of equal steps. A block stores its first
// boundary and what each step adds. A slot of a service with thousands of requests takes
// five bytes. The zero value has no boundaries.
type sums struct {
	blocks []block
	skip   int  // dropped boundaries at the front of the first block
	n      int  // boundaries
	falls  bool // a step took events away; the step may be dropped by now
	last   Running
	plain  []Running // the last boundaries, unpacked; nil except in a copy to read only
}

// block contains the known slots of its first boundary, as a varint, and its steps. The
// first step leads from zero to that boundary.
type block []byte

// perBlock is the number of boundaries in a block. With more, finding one is slow; with
// fewer, the blocks themselves take too much memory.
const perBlock = 46

// The first byte of a step contains the number of its known slots, up to 15, and these
// flags.
const (
	badFlag       = 1 << (iota + 4) // the number of bad events follows
	fractionsFlag                   // the numbers are grains, not whole events
	largeFlag                       // the numbers are grains, too large to add up those of a block in 64 bits
)

func (s *sums) len() int { return s.n }

// push adds the boundary after the last.
func (s *sums) push(r Running) {
	added := r.Minus(s.last)
	s.falls = s.falls || added.Total.hi < 0 || added.Bad.hi < 0
	if at := (s.n + s.skip) % perBlock; at == 0 {
		if i := len(s.blocks) - 1; i >= 0 {
			s.blocks[i] = slices.Clip(slices.Clone(s.blocks[i]))
		}
		first := binary.AppendVarint(nil, int64(r.Known))
		s.blocks = append(s.blocks, appendStep(first, Running{Total: r.Total, Bad: r.Bad}))
	} else {
		b := &s.blocks[len(s.blocks)-1]
		*b = appendStep(*b, added)
	}
	s.n++
	s.last = r
}

// at returns the i-th boundary.
func (s *sums) at(i int) Running {
	if r := s.atHand(i); r != nil {
		return *r
	}
	r, _ := s.find(i)
	return r
}

// atHand returns the i-th boundary if it is unpacked, else nil.
func (s *sums) atHand(i int) *Running {
	if i == s.n-1 {
		return &s.last
	}
	if j := i - (s.n - len(s.plain)); j >= 0 {
		return &s.plain[j]
	}
	return nil
}

// place is the position at which a boundary was found. The zero value is no position.
type place struct {
	found   bool
	i, used int // the boundary, and the number of bytes of its block that lead to it
	sum     Running
}

// near returns the i-th boundary, and moves the place there. It is quick if the place is
// a little before it.
func (s *sums) near(p *place, i int) Running {
	if r := s.atHand(i); r != nil {
		return *r
	}
	if !p.found || i < p.i || (i+s.skip)/perBlock != (p.i+s.skip)/perBlock {
		p.sum, p.used = s.find(i)
		p.found, p.i = true, i
		return p.sum
	}
	p.used = p.sum.steps(s.blocks[(i+s.skip)/perBlock], p.used, i-p.i)
	p.i = i
	return p.sum
}

// unpack returns the boundaries from the i-th on.
func (s *sums) unpack(i int) []Running {
	if i >= s.n {
		return nil
	}
	out := make([]Running, 0, s.n-i)
	r, used := s.find(i)
	for out = append(out, r); len(out) < cap(out); out = append(out, r) {
		i++
		b := s.blocks[(i+s.skip)/perBlock]
		if (i+s.skip)%perBlock == 0 {
			r, used = b.first()
			continue
		}
		used = r.steps(b, used, 1)
	}
	return out
}

// find returns the i-th boundary, and the number of bytes of its block that lead to it.
func (s *sums) find(i int) (Running, int) {
	b := s.blocks[(i+s.skip)/perBlock]
	r, used := b.first()
	return r, r.steps(b, used, (i+s.skip)%perBlock)
}

// truncate keeps the first n boundaries. n is at least one.
func (s *sums) truncate(n int) {
	if n >= s.n {
		return
	}
	r, used := s.find(n - 1)
	at := (n - 1 + s.skip) / perBlock
	s.blocks = slices.Delete(s.blocks, at+1, len(s.blocks))
	s.blocks[at] = s.blocks[at][:used]
	s.n, s.last = n, r
}

// drop removes the first n boundaries.
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

func (s *sums) clone() sums {
	out := *s
	out.blocks = slices.Clone(s.blocks)
	for i := range out.blocks {
		out.blocks[i] = slices.Clone(out.blocks[i])
	}
	return out
}

// appendStep appends what a step adds.
func appendStep(out []byte, added Running) []byte {
	head := byte(added.Known)
	if added.Bad != (grains{}) {
		head |= badFlag
	}
	total, isWhole := added.Total.whole()
	bad, whole := added.Bad.whole()
	if !isWhole || !whole {
		head |= fractionsFlag
		total, isWhole = added.Total.small()
		bad, whole = added.Bad.small()
	}
	if !isWhole || !whole || !fits(total) || !fits(bad) {
		out = appendLarge(append(out, head&^fractionsFlag|largeFlag), added.Total)
		if head&badFlag != 0 {
			out = appendLarge(out, added.Bad)
		}
		return out
	}
	out = binary.AppendVarint(append(out, head), total)
	if head&badFlag != 0 {
		out = binary.AppendVarint(out, bad)
	}
	return out
}

// fits reports whether a step can contain a number as a varint: all numbers of a block
// add up in 64 bits.
func fits(n int64) bool { return -1<<56 < n && n < 1<<56 }

// rawMarker stands for the zero bits at the end of a large number that is stored with all
// its bits.
const rawMarker = 0xff

// appendLarge appends a large number. A float64, or a sum of some, has few bits before
// many zeros.
func appendLarge(out []byte, g grains) []byte {
	zeros := g.zeros()
	if n, ok := g.right(zeros).small(); ok {
		return binary.AppendVarint(append(out, byte(zeros)), n)
	}
	out = binary.LittleEndian.AppendUint64(append(out, rawMarker), uint64(g.hi))
	return binary.LittleEndian.AppendUint64(out, g.lo)
}

// largeNumber reads a number of appendLarge, and returns where it ends.
func largeNumber(in []byte, at int) (g grains, end int) {
	zeros := in[at]
	at++
	if zeros == rawMarker {
		return grains{int64(binary.LittleEndian.Uint64(in[at:])), binary.LittleEndian.Uint64(in[at+8:])}, at + 16
	}
	n, end := varint(in, at)
	return grainsIn(n).left(uint(zeros)), end
}

// first returns the first boundary, and the number of bytes that lead to it.
func (b block) first() (Running, int) {
	known, n := varint(b, 0)
	r := Running{Known: int32(known)}
	return r, r.steps(b, n, 1)
}

// steps adds n steps that begin at a byte, and returns where they end.
func (r *Running) steps(in []byte, at, n int) (end int) {
	var total, bad, totalGrains, badGrains int64
	known := r.Known
	for range n {
		head := in[at]
		known += int32(head & 15)
		if head&largeFlag != 0 {
			at = r.largeStep(in, at)
			continue
		}
		t, end := varint(in, at+1)
		b := int64(0)
		if head&badFlag != 0 {
			b, end = varint(in, end)
		}
		if head&fractionsFlag != 0 {
			totalGrains, badGrains = totalGrains+t, badGrains+b
		} else {
			total, bad = total+t, bad+b
		}
		at = end
	}
	r.Known = known
	r.Total = r.Total.plus(grainsIn(total).left(grainBits)).plus(grainsIn(totalGrains))
	r.Bad = r.Bad.plus(grainsIn(bad).left(grainBits)).plus(grainsIn(badGrains))
	return at
}

// largeStep adds a step of large numbers, and returns where it ends.
func (r *Running) largeStep(in []byte, at int) (end int) {
	total, end := largeNumber(in, at+1)
	r.Total = r.Total.plus(total)
	if in[at]&badFlag != 0 {
		var bad grains
		bad, end = largeNumber(in, end)
		r.Bad = r.Bad.plus(bad)
	}
	return end
}

// varint reads a number of binary.AppendVarint, and returns where it ends. It checks
// nothing, because steps contain only valid numbers; so it is quick.
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
