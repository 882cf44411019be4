package cache_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/cache"
)

type shape interface{ area() float64 }

type square struct{ side float64 }

func (s *square) area() float64 { return s.side * s.side }

type point struct {
	x, y  int32
	known bool
}

type world struct {
	name    string
	points  []point
	byName  map[string]*point
	first   *point // the same as one of byName
	any     shape
	texts   [][]string
	numbers [3]float64
	next    *world
	absent  map[uint64]bool //nolint:unused // nil
	empty   []int
	skipped *skipped
	at      time.Time
	call    func()
}

type skipped struct{ secret string }

func newWorldCodec() *cache.Codec {
	return cache.NewCodec(&world{}, []any{&square{}}, []any{&skipped{}})
}

// All is read as it was written: unexported fields, shared objects, nil and empty ones.
func TestCodecReadsWhatItWrote(t *testing.T) {
	shared := &point{1, -2, true}
	in := &world{
		name: "a", points: []point{{3, 4, false}, {5, 6, true}}, byName: map[string]*point{"one": shared, "two": {7, 8, false}}, first: shared,
		any: &square{1.5}, texts: [][]string{nil, {}, {"x", ""}}, numbers: [3]float64{math.Inf(1), -0.5, 1 << 60}, empty: []int{},
		skipped: &skipped{"password"}, at: time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC),
	}
	in.next = in
	codec := newWorldCodec()
	data, err := codec.Encode(in)
	require.NoError(t, err)
	require.NotContains(t, string(data), "password")
	var out world
	require.NoError(t, codec.Decode(data, &out))
	require.Same(t, out.byName["one"], out.first)
	require.Nil(t, out.skipped)
	require.Same(t, out.next, out.next.next)
	out.next, in.next, in.skipped = nil, nil, nil
	require.Equal(t, in, &out)
}

// A value that no other process can have is refused.
func TestCodecRefusesFunctions(t *testing.T) {
	_, err := newWorldCodec().Encode(&world{call: func() {}})
	require.ErrorContains(t, err, "world.call")
}

// Types with other fields have another checksum.
func TestCodecTellsTypesApart(t *testing.T) {
	type small struct{ a, b int32 }
	type renamed struct{ a, c int32 }
	type wider struct{ a, b int64 }
	sum := func(v any) string { return string(cache.NewCodec(v, nil, nil).Types()) }
	require.Equal(t, sum(&small{}), sum(&small{a: 1, b: 2}))
	require.NotEqual(t, sum(&small{}), sum(&renamed{a: 1, c: 2}))
	require.NotEqual(t, sum(&small{}), sum(&wider{a: 1, b: 2}))
}

// Damaged bytes give an error or another value, and no more memory than the bytes have.
func FuzzDecode(f *testing.F) {
	codec := newWorldCodec()
	data, err := codec.Encode(&world{name: "a", points: make([]point, 3), byName: map[string]*point{"one": {}}, any: &square{1}, texts: [][]string{{"x"}}})
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var out world
		if codec.Decode(data, &out) == nil {
			_, err := codec.Encode(&out)
			require.NoError(t, err)
		}
	})
}
