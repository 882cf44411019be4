package timeline

import (
	"math"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTimelineSumsWindowsOnTheGridOfTheirAge(t *testing.T) {
	start := MinuteOf(time.Date(2026, 11, 1, 0, 7, 0, 0, time.UTC))
	tl := NewTimeline(start)
	require.Equal(t, "00:00", tl.Start().Time().Format("15:04"))
	for i := range 5 * 24 * 60 {
		tl.Append(Slot{Total: 10, Bad: float64(i % 2), Known: i%10 != 0})
	}
	end := tl.End()
	require.Equal(t, Sum{Start: end - 61, End: end, Total: 610, Bad: 31, Known: 55}, tl.Sum(end-61, end))
	tl.Fold(tl.Start(), end-FineAge)

	// Four days and seven minutes ago lie among folded slots. The edge moves to the
	// quarter of an hour before, eight minutes earlier.
	got := tl.Sum(end-4*24*60-7, end)
	require.Equal(t, end-4*24*60-15, got.Start)
	require.Equal(t, 10.0*(4*24*60+15), got.Total)
	// Slots of the last three days are single: the edge is exact to the minute.
	require.Equal(t, end-FineAge+1, tl.Sum(end-FineAge+1, end).Start)

	// Time before the timeline is unknown.
	got = tl.Sum(end-10*24*60, end)
	require.Equal(t, 10.0*5*24*60, got.Total)
	require.InDelta(t, 0.45, got.Coverage(), 1e-9) // nine of ten minutes in five of ten days
}

func TestTimelineKeepsPartsOfEventsExactly(t *testing.T) {
	// Sums are the same whatever the order of slots, because each is a whole number
	// of grains.
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 50).Draw(rt, "events")
		forward, backward := NewTimeline(0), NewTimeline(0)
		for i := range events {
			forward.Append(Slot{Total: events[i], Bad: -events[i]})
			backward.Append(Slot{Total: events[len(events)-1-i]})
		}
		a, b := forward.Sum(0, forward.End()), backward.Sum(0, backward.End())
		require.Equal(rt, a.Total, b.Total)
		require.Equal(rt, a.Total, -a.Bad)
	})
}

// drawEvents draws a count: usually small and whole, sometimes a fraction, negative or
// very large. All their sums are exact.
func drawEvents(rt *rapid.T, label string) float64 {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 3000), func(n int) float64 { return float64(n) }),
		rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) float64 { return float64(n) / 1024 }),
		rapid.SampledFrom([]float64{0, 0, 1e9, -1e9, 1.0 / 1024}),
	).Draw(rt, label)
}

// TestUnpacked compares the sums of an unpacked copy with those of the timeline.
func TestUnpacked(t *testing.T) {
	tl := NewTimeline(1000)
	for i := range 9 * 24 * 60 {
		tl.Append(Slot{Total: float64(i % 7), Bad: float64(i%11) / 4, Known: i%13 != 0})
	}
	tl.Fold(tl.Start()+400, tl.End()-FineAge)
	for _, from := range []Minute{0, tl.Start() + 100, tl.End() - 5*24*60, tl.End() - 700, tl.End(), tl.End() + 5} {
		u := tl.Unpacked(from)
		for m := tl.Start() - 20; m < tl.End()+20; m += 17 {
			require.Equal(t, tl.Sum(m, tl.End()), u.Sum(m, tl.End()))
		}
	}
}

// TestCursor compares the sums of a cursor with those of the timeline, in any order.
func TestCursor(t *testing.T) {
	tl := NewTimeline(1000)
	for i := range 9 * 24 * 60 {
		tl.Append(Slot{Total: float64(i % 7), Bad: float64(i%11) / 4, Known: i%13 != 0})
	}
	tl.Fold(tl.Start()+400, tl.End()-FineAge)
	rapid.Check(t, func(rt *rapid.T) {
		l := Cursor{Timeline: tl}
		for _, m := range rapid.SliceOfN(rapid.Int64Range(900, 1100+9*24*60), 1, 40).Draw(rt, "starts") {
			for step := range Minute(30) {
				wantAt, want := tl.At(Minute(m) + step)
				at, got := l.At(Minute(m) + step)
				require.Equal(rt, wantAt, at)
				require.Equal(rt, want, got)
			}
		}
	})
}

// TestHugeCounts appends more events than a float64 of grains can count.
func TestHugeCounts(t *testing.T) {
	tl := NewTimeline(0)
	for range 100 {
		tl.Append(Slot{Total: 1e20, Bad: -1e20, Known: true})
	}
	sum := tl.Sum(30, 40)
	require.InEpsilon(t, 1e21, sum.Total, 1e-9)
	require.InEpsilon(t, -1e21, sum.Bad, 1e-9)
	require.Equal(t, 10, sum.Known)
}

// TestDifferences counts the slots that reading again changed.
func TestDifferences(t *testing.T) {
	a := NewTimeline(0)
	for range 5 * 24 * 60 {
		a.Append(Slot{Total: 7, Bad: 1, Known: true})
	}
	b := a.Clone()
	require.Zero(t, (&Comparison{Old: a, Next: b, Coarse: Quarter, Fine: 1}).Differences(0, a.End()))
	b.Truncate(b.End() - 10)
	for i := range 10 {
		b.Append(Slot{Total: 7, Bad: float64(i % 2), Known: true}) // every other one differs
	}
	require.Equal(t, 5, (&Comparison{Old: a, Next: b, Coarse: Quarter, Fine: 1}).Differences(0, a.End()))
	require.Equal(t, 3, (&Comparison{Old: a, Next: b, Coarse: Quarter, Fine: 1}).Differences(0, a.End()-5))
	a.Fold(0, a.End()-FineAge)
	require.Equal(t, 5, (&Comparison{Old: a, Next: b, Coarse: Quarter, Fine: 1}).Differences(0, a.End()))
	// 100 minutes in the folded part are at most seven quarters of an hour.
	c := NewTimeline(0)
	for i := range 5 * 24 * 60 {
		s := Slot{Total: 7, Bad: 1, Known: true}
		if i >= 15 && i < 115 {
			s.Total++
		}
		c.Append(s)
	}
	require.Equal(t, 7, (&Comparison{Old: a, Next: c, Coarse: Quarter, Fine: 1}).Differences(0, a.End()-10))
}

// TestTimelinesAreSmall checks the memory of 30 d: less than 64 KiB if counts are whole,
// and less than 128 KiB if they are not. Counts beyond the precision of a float64 are
// exact too, and take less than 144 KiB.
func TestTimelinesAreSmall(t *testing.T) {
	const month, n = 30 * 24 * 60, 50
	for name, tt := range map[string]struct {
		slot func(i int) Slot
		most uint64
	}{
		"some requests a minute": {func(i int) Slot { return Slot{Total: float64(i % 40), Bad: float64(i % 40 / 39), Known: true} }, 28 << 10},
		"thousands a minute":     {func(i int) Slot { return Slot{Total: float64(5000 + i*7919%3000), Bad: float64(i % 17), Known: true} }, 44 << 10},
		"millions a minute": {func(i int) Slot {
			return Slot{Total: float64(5e6 + i*7919%1e6), Bad: float64(i * 31 % 5000), Known: true}
		}, 64 << 10},
		"parts of events": {func(i int) Slot {
			return Slot{Total: float64(i*7919%1e7) / 1024, Bad: float64(i*104729%1e7) / 1024, Known: true}
		}, 128 << 10},
		"more than anything counts": {func(i int) Slot { return Slot{Total: 1e18 + float64(i), Bad: 1e17, Known: true} }, 144 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			timelines := make([]*Timeline, n)
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			for i := range timelines {
				tl := NewTimeline(0)
				for m := range month + 1000 {
					tl.Append(tt.slot(m))
					if m%15 == 0 {
						tl.Fold(tl.End()-month, tl.End()-FineAge)
					}
				}
				timelines[i] = tl
			}
			each := (heap() - before) / n
			t.Logf("%d bytes", each)
			require.Less(t, each, tt.most)
			runtime.KeepAlive(timelines)
		})
	}
}

// TestTimelineAgainstPlainSlots compares the timeline with a list of slots that are
// added up one by one.
func TestTimelineAgainstPlainSlots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var plain []Slot
		tl := NewTimeline(0)
		folded := Minute(0)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 40).Draw(rt, "n") {
					s := Slot{Total: drawEvents(rt, "total"), Bad: drawEvents(rt, "bad"), Known: rapid.Bool().Draw(rt, "known")}
					plain, folded = append(plain, s), folded+0
					tl.Append(s)
				}
			case 3:
				end := max(folded, tl.End()-Minute(rapid.IntRange(0, 20).Draw(rt, "drop")))
				tl.Truncate(end)
				plain = plain[:end]
			case 4:
				from := max(folded, tl.End()-Minute(rapid.IntRange(0, 20).Draw(rt, "back")))
				to := min(tl.End(), from+Minute(rapid.IntRange(0, 9).Draw(rt, "length")))
				tl.MarkKnown(from, to)
				for m := from; m < to; m++ {
					plain[m].Known = true
				}
			case 5:
				copied := tl.Clone()
				tl.Append(Slot{Total: 1e9}) // must not appear in the copy
				tl = copied
				tl.Fold(0, tl.End()-30)
				folded = max(folded, tl.End()-30)
			}
		}
		end := tl.End()
		require.Equal(rt, len(plain), int(end))
		got := tl.Sum(Minute(rapid.IntRange(0, int(end)).Draw(rt, "from")), end)
		want := Sum{Start: got.Start, End: end}
		for _, s := range plain[got.Start:] {
			want.Total += s.Total
			want.Bad += s.Bad
			if s.Known {
				want.Known++
			}
		}
		require.Equal(rt, want, got)
	})
}

// TestWindowsAreTheSameBeforeAndAfterFolding checks that an episode of an alert begins
// at the same instant for a process that reads history.
func TestWindowsAreTheSameBeforeAndAfterFolding(t *testing.T) {
	start := MinuteOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	unfolded, folded := NewTimeline(start), NewTimeline(start)
	for i := range 9 * 24 * 60 {
		s := Slot{Total: float64(i), Known: true}
		unfolded.Append(s)
		folded.Append(s)
		folded.Fold(start, folded.End()-FineAge)
		if end := folded.End(); end-start > 8*24*60 {
			for _, d := range []time.Duration{time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour} {
				require.Equal(t, folded.Window(d, end), unfolded.Window(d, end))
			}
		}
	}
}

// TestSumsFromDifferentStarts checks that timelines that begin and fold at different
// times return the same sum of a window, to the bit.
func TestSumsFromDifferentStarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.SliceOfN(rapid.OneOf(
			rapid.Float64Range(0, 1e4), rapid.Float64Range(0, 1e18), rapid.SampledFrom([]float64{1e17, 1e17 + 16, 1.0 / 1024, 4e23, 1<<43 + 0.5}),
		), 200, 200).Draw(rt, "slots")
		const skip = 3 * Quarter
		up, starts := NewTimeline(0), NewTimeline(skip)
		exact := new(big.Rat)
		for i, events := range slots {
			up.Append(Slot{Total: events, Bad: -events / 128, Known: true})
			up.Fold(0, Minute(i)/2)
			if i >= skip {
				starts.Append(Slot{Total: events, Bad: -events / 128, Known: true})
			}
			if i >= 2*skip {
				exact.Add(exact, new(big.Rat).SetFloat64(math.Round(events*1024)/1024))
			}
		}
		starts.Fold(skip, skip)
		require.Equal(rt, starts.Sum(2*skip, 200), up.Sum(2*skip, 200))
		want, _ := exact.Float64()
		require.InEpsilon(rt, want, up.Sum(2*skip, 200).Total, 1e-15)
	})
}
