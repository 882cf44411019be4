package evaluator

import (
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestWhatIsComputedTakesNoMoreMemoryForALongerWindow compares the memory of Compute for
// windows of different length.
func TestWhatIsComputedTakesNoMoreMemoryForALongerWindow(t *testing.T) {
	objective, err := slo.ParseObjective("99.9")
	require.NoError(t, err)
	allocated := func(days int) float64 {
		tl := timeline.NewTimeline(0)
		for range days * 24 * 60 {
			tl.Append(timeline.Slot{Total: 100, Bad: 1, Known: true})
		}
		tl.Fold(0, tl.End()-timeline.FineAge)
		w := slo.Window(time.Duration(days) * 24 * time.Hour)
		spec := &slo.SLO{Service: "a", Name: "b", Objective: objective, Window: slo.Rolling(w)}
		windows := []slo.Window{slo.Window(time.Hour), slo.Window(6 * time.Hour), w}
		return testing.AllocsPerRun(5, func() {
			s := NewStatus(spec, "default")
			s.Compute(tl, tl.End(), windows)
		})
	}
	require.Equal(t, allocated(7), allocated(98)) // a name of three digits takes memory
}

// TestWindowsOfWhatWasNeverRead checks that unread windows are as long as their names.
func TestWindowsOfWhatWasNeverRead(t *testing.T) {
	end := timeline.MinuteOf(time.Date(2026, 11, 30, 10, 40, 0, 0, time.UTC))
	objective, err := slo.ParseObjective("99.9")
	require.NoError(t, err)
	st := Status{Spec: &slo.SLO{Objective: objective, Window: slo.Rolling(slo.Window(time.Hour))}}
	windows := []slo.Window{slo.Window(5 * time.Minute), slo.Window(15 * time.Minute), slo.Window(time.Hour)}
	st.Compute(timeline.NewTimeline(end), end, windows)
	for i, w := range windows {
		got := st.Windows[i]
		require.Equal(t, w.Duration(), got.End.Sub(got.Start), got.Name)
		require.Equal(t, end.Time(), got.End)
		require.Zero(t, got.Coverage)
		require.Nil(t, got.BurnRate)
	}
}

// TestExhaustionOfAView has 12 bad events left of a budget of 60, and 1 comes in each
// minute that counts. The second half of each hour does not count.
func TestExhaustionOfAView(t *testing.T) {
	objective, err := slo.ParseObjective("90")
	require.NoError(t, err)
	tl := timeline.NewTimeline(0)
	for m := range 600 {
		s := timeline.Slot{Total: 1, Known: true}
		if m >= 500 {
			s.Bad = 1
		}
		tl.Append(s)
	}
	half := timeinterval.TimeInterval{}
	for h := range 24 {
		half.Times = append(half.Times, timeinterval.TimeRange{StartMinute: h*60 + 30, EndMinute: h*60 + 60})
	}
	spec := &slo.SLO{Objective: objective, Window: slo.Rolling(slo.Window(600 * time.Minute)), Exclusions: []slo.Exclusion{{Intervals: []timeinterval.TimeInterval{half}}}}
	// In (0, 600] 300 slots count; after 500 those are 500-510 and 540-570.
	v := tl.ViewFor(spec)
	require.Equal(t, 40.0, v.Sum(0, 600).Bad)
	// It is overspent already: 30 are allowed.
	require.Equal(t, 0.0, *exhaustion(v, 600, spec, 540))
	// With 80 % 60 are allowed. Until 630 all slots that count are bad, as many as leave
	// the window. 60 are reached with slot 20.
	spec.Objective, err = slo.ParseObjective("80")
	require.NoError(t, err)
	require.Equal(t, 20.0*60, *exhaustion(v, 600, spec, 540))
	// With 70 % 90 are allowed; 70 by 630, and 90 by 680, because no slot counts until
	// 660.
	spec.Objective, err = slo.ParseObjective("70")
	require.NoError(t, err)
	require.Equal(t, 80.0*60, *exhaustion(v, 600, spec, 540))
	// It is unknown if no recent slot counts.
	require.Nil(t, exhaustion(v, 600, spec, 570))
}
