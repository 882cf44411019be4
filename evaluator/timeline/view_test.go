package timeline

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slowburn-slo/slowburn/slo"
)

// exclusions draws some exclusions, which may touch the minutes of (0, end].
func exclusions(rt *rapid.T, end Minute) []slo.Exclusion {
	var out []slo.Exclusion
	for range rapid.IntRange(0, 4).Draw(rt, "exclusions") {
		if rapid.IntRange(0, 4).Draw(rt, "kind") == 0 {
			a, b := rapid.IntRange(0, 1440).Draw(rt, "from"), rapid.IntRange(0, 1440).Draw(rt, "to")
			out = append(out, slo.Exclusion{OperatingHours: rapid.Bool().Draw(rt, "inverse"), Intervals: []timeinterval.TimeInterval{{
				Times: []timeinterval.TimeRange{{StartMinute: min(a, b), EndMinute: max(a, b)}},
			}}})
			continue
		}
		from := Minute(rapid.IntRange(-100, int(end)+100).Draw(rt, "begin"))
		to := from + Minute(rapid.IntRange(1, 300).Draw(rt, "length"))
		out = append(out, slo.Exclusion{From: from.Time(), To: to.Time()})
	}
	return out
}

// excludedAt reports whether one slot is excluded, by checking each exclusion.
func excludedAt(list []slo.Exclusion, end Minute) bool {
	return slices.ContainsFunc(list, func(e slo.Exclusion) bool {
		if len(e.Intervals) == 0 {
			return e.From.Before(end.Time()) && e.To.After((end - 1).Time())
		}
		return e.Intervals[0].ContainsTime((end - 1).Time()) != e.OperatingHours
	})
}

// plainParts adds up the events that each exclusion removes and no earlier one, slot by
// slot.
func plainParts(plain []Slot, list []slo.Exclusion, from, to Minute) []Sum {
	out := make([]Sum, len(list))
	for m := max(from, 0); m < min(to, Minute(len(plain))); m++ {
		for i := range list {
			if excludedAt(list[i:i+1], m+1) {
				out[i].Total += plain[m].Total
				out[i].Bad += plain[m].Bad
				out[i].Excluded++
				break
			}
		}
	}
	return out
}

// plainSum adds up slots one by one.
func plainSum(plain []Slot, list []slo.Exclusion, from, to Minute) Sum {
	sum := Sum{Start: from, End: to}
	for m := max(from, 0); m < min(to, Minute(len(plain))); m++ {
		switch s := plain[m]; {
		case excludedAt(list, m+1):
			sum.Excluded++
		default:
			sum.Total += s.Total
			sum.Bad += s.Bad
			if s.Known {
				sum.Known++
			}
		}
	}
	return sum
}

// TestViewAgainstPlainSlots compares views with sums over single slots, while the
// timeline grows, is folded and gets its newest slots again.
func TestViewAgainstPlainSlots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		end := Minute(rapid.IntRange(200, 1500).Draw(rt, "end"))
		spec := &slo.SLO{Exclusions: exclusions(rt, end), Window: slo.Rolling(slo.Window(time.Hour))}
		tl, v, singles := NewTimeline(0), View{}, Cuts{}
		var plain []Slot
		for tl.End() < end {
			settled := max(0, tl.End()-2)
			tl.Truncate(settled)
			plain = plain[:settled]
			for range rapid.IntRange(3, 90).Draw(rt, "slots") {
				s := Slot{Total: drawEvents(rt, "total"), Bad: drawEvents(rt, "bad"), Known: rapid.Bool().Draw(rt, "known")}
				tl.Append(s)
				plain = append(plain, s)
			}
			settled = tl.End() - 2
			from := settled - Minute(rapid.IntRange(0, 10).Draw(rt, "gap"))
			tl.MarkKnown(from, settled)
			for m := max(from, 0, tl.FineFrom); m < settled; m++ {
				plain[m].Known = true
			}
			look := func() {
				is, exact := v.Update(tl, singles, settled, spec)
				require.True(rt, exact)
				a, b := Minute(rapid.IntRange(-20, int(end)+20).Draw(rt, "a")), Minute(rapid.IntRange(-20, int(end)+20).Draw(rt, "b"))
				got := is.Sum(min(a, b), max(a, b))
				require.Equal(rt, plainSum(plain, spec.Exclusions, got.Start, got.End), got)
				require.Equal(rt, plainParts(plain, spec.Exclusions, got.Start, got.End), is.RemovedBy(got.Start, got.End, len(spec.Exclusions)))
				m := Minute(rapid.IntRange(1, int(tl.End())).Draw(rt, "slot"))
				require.Equal(rt, excludedAt(spec.Exclusions, m), is.Excludes(m))
				require.Equal(rt, got, is.Unpacked(min(a, b)).Sum(min(a, b), max(a, b)))
				// A view that begins now returns the same.
				fresh, _ := new(View).Update(tl, singles, settled, spec)
				require.Equal(rt, got, fresh.Sum(min(a, b), max(a, b)))
			}
			look()
			singles.Keep(tl, settled-100, v.Times)
			tl.Fold(0, settled-100)
			look()
		}
	})
}

// TestViewOfFoldedSlots checks exclusions whose edges lie in folded quarters: they
// exclude only the whole quarters within them.
func TestViewOfFoldedSlots(t *testing.T) {
	tl := NewTimeline(0)
	for range 600 {
		tl.Append(Slot{Total: 10, Bad: 1, Known: true})
	}
	spec := &slo.SLO{Window: slo.Rolling(slo.Window(time.Hour)), Exclusions: []slo.Exclusion{
		{From: Minute(20).Time(), To: Minute(70).Time()},   // 30 to 60 are whole quarters
		{From: Minute(122).Time(), To: Minute(130).Time()}, // within one
		{From: Minute(200).Time(), To: Minute(240).Time()}, // ends with one
	}}
	fine := tl.ViewFor(spec)
	require.Equal(t, Sum{End: 600, Total: 6000 - 980, Bad: 600 - 98, Known: 502, Excluded: 98}, fine.Sum(0, 600))
	singles := Cuts{195: CutOf(tl, 195)}
	tl.Fold(0, 300)
	whole, exact := new(View).Update(tl, singles, 600, spec)
	require.Equal(t, Sum{End: 600, Total: 6000 - 700, Bad: 600 - 70, Known: 530, Excluded: 70}, whole.Sum(0, 600))
	require.False(t, exact)
	// If two overlap, no time between them is lost. The quarter from 30 belongs to the
	// first, which excludes part of it, until its single slots are known.
	two := &slo.SLO{Window: spec.Window, Exclusions: []slo.Exclusion{
		{From: Minute(40).Time(), To: Minute(90).Time()},
		{From: Minute(20).Time(), To: Minute(55).Time()},
	}}
	whole, exact = new(View).Update(tl, nil, 600, two)
	require.Equal(t, Sum{End: 600, Total: 6000 - 600, Bad: 600 - 60, Known: 540, Excluded: 60}, whole.Sum(0, 600))
	require.False(t, exact)
	require.Equal(t, []Sum{{Total: 600, Bad: 60, Excluded: 60}, {}}, whole.RemovedBy(0, 600, 2))
	// A cut that does not fit its quarter is ignored.
	singles[195] = Cut{}
	whole, exact = new(View).Update(tl, singles, 600, spec)
	require.Equal(t, 60, whole.Sum(0, 600).Excluded)
	require.False(t, exact)
}
