package evaluator

import (
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
	tl.Fold(tl.Start(), end-fineAge)

	// Four days and seven minutes back lie among folded slots: the edge moves
	// to the quarter of an hour before, eight minutes earlier.
	got := tl.Sum(end-4*24*60-7, end)
	require.Equal(t, end-4*24*60-15, got.Start)
	require.Equal(t, 10.0*(4*24*60+15), got.Total)
	// Three days are still kept singly, to the minute.
	require.Equal(t, end-fineAge+1, tl.Sum(end-fineAge+1, end).Start)

	// Before the timeline nothing is known.
	got = tl.Sum(end-10*24*60, end)
	require.Equal(t, 10.0*5*24*60, got.Total)
	require.InDelta(t, 0.45, got.Coverage(), 1e-9) // nine of ten minutes in five of ten days
}

func TestTimelineKeepsPartsOfEventsExactly(t *testing.T) {
	// Sums are the same in whatever order slots come: each is a whole number
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

// TestTimelineAgainstPlainSlots holds the timeline against a list of slots that
// are added up one by one.
func TestTimelineAgainstPlainSlots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var plain []Slot
		tl := NewTimeline(0)
		folded := Minute(0)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 40).Draw(rt, "n") {
					s := Slot{Total: float64(rapid.IntRange(0, 9).Draw(rt, "total")), Known: rapid.Bool().Draw(rt, "known")}
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
			if s.Known {
				want.Known++
			}
		}
		require.Equal(rt, want, got)
	})
}

// TestWindowsAreTheSameBeforeAndAfterFolding, so that an episode of an alert
// begins at the same instant for a process that looks back.
func TestWindowsAreTheSameBeforeAndAfterFolding(t *testing.T) {
	start := MinuteOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	unfolded, folded := NewTimeline(start), NewTimeline(start)
	for i := range 9 * 24 * 60 {
		s := Slot{Total: float64(i), Known: true}
		unfolded.Append(s)
		folded.Append(s)
		folded.Fold(start, folded.End()-fineAge)
		if end := folded.End(); end-start > 8*24*60 {
			for _, d := range []time.Duration{time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour} {
				require.Equal(t, folded.Window(d, end), unfolded.Window(d, end))
			}
		}
	}
}
