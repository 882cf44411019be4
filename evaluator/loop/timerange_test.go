package loop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestStretch has five days of 10 events a minute, one of them bad in the slots (100,
// 200] and (7000, 7100]. The slots (7040, 7060] are unknown, (7080, 7100] are
// excluded, and those up to 2880 are folded.
func TestStretch(t *testing.T) {
	begin := timeline.MinuteOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	tl := timeline.NewTimeline(begin)
	for i := range 5 * 24 * 60 {
		s := timeline.Slot{Total: 10, Known: true}
		if i >= 100 && i < 200 || i >= 7000 && i < 7100 {
			s.Bad = 1
		}
		if i >= 7040 && i < 7060 {
			s = timeline.Slot{}
		}
		tl.Append(s)
	}
	tl.Fold(begin, tl.End()-timeline.FineAge)
	excluded := slo.Span{From: (begin + 7080).Time(), To: (begin + 7100).Time()}
	x := &followed{
		slo: &slo.SLO{Window: slo.Rolling(slo.Window(5 * 24 * time.Hour)), Exclusions: []slo.Exclusion{{From: excluded.From, To: excluded.To}}},
		job: &job{record: &history.Record{Timeline: tl, Settled: tl.End() - 2}},
	}
	at := func(from, to timeline.Minute) *Range { return x.countsBetween(begin+from, begin+to) }

	// 180 minutes are 90 parts of two. Bad are 100 slots without 20 that are unknown and 20
	// that are excluded.
	got := at(6960, 7140)
	require.Equal(t, timeline.Sum{Start: begin + 6960, End: begin + 7140, Total: 1400, Bad: 60, Known: 140, Excluded: 20}, got.Sum)
	require.Equal(t, begin.Time(), got.HeldFrom)
	require.Equal(t, (begin + 7200).Time(), got.HeldTo)
	require.Len(t, got.Parts, 90)
	require.Equal(t, evaluator.Bucket{End: (begin + 7000).Time(), Total: 20, Coverage: 1}, got.Parts[19])
	require.Equal(t, evaluator.Bucket{End: (begin + 7002).Time(), Total: 20, Bad: 2, Coverage: 1}, got.Parts[20])
	require.Equal(t, evaluator.Bucket{End: (begin + 7042).Time()}, got.Parts[40])
	require.Equal(t, evaluator.Bucket{End: (begin + 7082).Time(), Excluded: 1}, got.Parts[60])
	require.Equal(t, []slo.Span{excluded}, got.Excluded)
	require.Empty(t, at(6960, 7080).Excluded)

	// What is folded is whole quarters of an hour, and no less than was asked for.
	got = at(107, 193)
	require.Equal(t, timeline.Sum{Start: begin + 105, End: begin + 195, Total: 900, Bad: 90, Known: 90}, got.Sum)
	require.Len(t, got.Parts, 6)
	for i, p := range got.Parts {
		require.Equal(t, evaluator.Bucket{End: (begin + 120 + 15*timeline.Minute(i)).Time(), Total: 150, Bad: 15, Coverage: 1}, p)
	}

	// A single slot has one before it in the picture.
	got = at(7001, 7002)
	require.Equal(t, timeline.Sum{Start: begin + 7001, End: begin + 7002, Total: 10, Bad: 1, Known: 1}, got.Sum)
	require.Len(t, got.Parts, 2)

	// What is not held is left out.
	require.Equal(t, timeline.Sum{Start: begin, End: begin + 30, Total: 300, Known: 30}, at(-500, 30).Sum)
	require.Equal(t, timeline.Sum{Start: begin + 7190, End: begin + 7200, Total: 100, Known: 10}, at(7190, 9000).Sum)
	for _, none := range []*Range{at(-500, -30), at(7200, 9000), at(30, 30)} {
		require.Equal(t, &Range{HeldFrom: begin.Time(), HeldTo: (begin + 7200).Time()}, none)
	}
}
