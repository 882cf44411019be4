package evaluator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

func exhaustible(tb testing.TB, window slo.Window) *slo.SLO {
	tb.Helper()
	objective, err := slo.ParseObjective("99.9")
	require.NoError(tb, err)
	return &slo.SLO{Objective: objective, Window: slo.Rolling(window)}
}

// TestExhaustionPassesNothingOver checks that a short time without budget is found. When
// a busy first day has left the window, 4,320 of 4,320,000 requests in 30 days may be
// bad. In one hour 4,100 were. A correction of -500 in hour 31, which hour 33 takes back,
// leaves the window before it. Then 4,600 are left for two hours.
func TestExhaustionPassesNothingOver(t *testing.T) {
	tl := timeline.NewTimeline(0)
	for m := range timeline.Minute(30 * 24 * 60) {
		s := timeline.Slot{Total: 100, Known: true}
		if m < 24*60 {
			s.Total = 1000
		}
		switch m {
		case 10:
			s.Bad = 510
		case 30 * 60:
			s.Bad = -500
		case 32 * 60:
			s.Bad = 500
		case 600 * 60:
			s.Bad = 4100
		}
		tl.Append(s)
	}
	spec, since := exhaustible(t, spec.DefaultWindow), tl.End()-6*60
	require.Equal(t, (30*60+1)*60.0, *exhaustion(tl, tl.End(), spec, since))

	tl.Fold(0, 30*60+15) // the correction is in the last folded quarter of an hour
	require.Equal(t, (30*60+15)*60.0, *exhaustion(tl, tl.End(), spec, since))
	require.Equal(t, (30*60+15)*60.0, *exhaustion(timeline.Merge(tl.Clone(), tl, nil), tl.End(), spec, since))
}

// TestExhaustionAgainstEachInstant compares it with the budget at each instant that it
// must check.
func TestExhaustionAgainstEachInstant(t *testing.T) {
	const window = 9 * 24 * 60
	spec := exhaustible(t, window*slo.Window(time.Minute))
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1, 100, 5000}), 9, 9).Draw(rt, "requests")
		often := rapid.SliceOfN(rapid.SampledFrom([]timeline.Minute{1, 7, 100, 900, 5000}), 9, 9).Draw(rt, "minutes between bad ones")
		bad := rapid.SampledFrom([]float64{0.5, 1, 3, -1}).Draw(rt, "bad")
		tl := timeline.NewTimeline(0)
		for m := range timeline.Minute(window) {
			s := timeline.Slot{Total: total[m/1440], Known: true}
			if m%often[m/1440] == 0 {
				s.Bad = bad
			}
			tl.Append(s)
		}
		tl.Fold(0, timeline.Minute(rapid.IntRange(0, window).Draw(rt, "folded")))
		recent := tl.Sum(window-360, window)
		spent := func(ahead timeline.Minute) bool {
			left := tl.Sum(ahead, window)
			n := left.Total + recent.Total/360*float64(ahead)
			return spec.Objective.BurnRate(max(left.Bad, 0)+max(recent.Bad, 0)/360*float64(ahead), n) >= 1
		}
		var want *float64
		for ahead, last := timeline.Minute(0), timeline.Minute(-1); ahead <= window && want == nil; ahead++ {
			if looksAt := ahead%60 == 0 || ahead <= 24*60 && ahead%15 == 0; !looksAt {
				continue
			}
			for m := last + 1; spent(ahead) && want == nil; m++ {
				if spent(m) {
					seconds := float64(m) * 60
					want = &seconds
				}
			}
			last = ahead
		}
		require.Equal(rt, want, exhaustion(tl, window, spec, window-360))
	})
}
