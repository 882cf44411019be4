package evaluator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestBadWithoutTotalSpends has 5 bad events a minute for the last two hours of a day,
// and no event in the total. At 99.9 % they burn 1,000 times as fast as allowed, over a
// rolling window and in a calendar period.
func TestBadWithoutTotalSpends(t *testing.T) {
	now := utc(2026, 11, 2)
	tl := knownSlots(utc(2026, 11, 1), now, func(at time.Time) (float64, float64) {
		if now.Sub(at) <= 2*time.Hour {
			return 0, 5
		}
		return 0, 0
	})
	month := monthly(t, slo.Month, "UTC")
	day := *month
	day.Window = slo.Rolling(slo.Window(24 * time.Hour))
	for _, s := range []*slo.SLO{month, &day} {
		st := computed(s, tl)
		require.InDelta(t, 1000, *st.Windows[0].BurnRate, 1e-9, s.Window)
		require.Zero(t, *st.Windows[1].SLI)
		require.InDelta(t, 1-1000, *computed(&day, tl).Budget.Remaining, 1e-9)
		require.InDelta(t, 0.6, *computed(&day, tl).Budget.Allowed, 1e-9, "1 of 1,000 of the 600 events there must have been")
		require.Zero(t, *st.Budget.ExhaustedInSeconds, "spent")
	}
	require.InDelta(t, 1000, computed(month, tl).Budget.SoFar.Consumed, 1e-9)
}

// TestExcess has two days of 10 events in each minute, and at the end slots that make a
// doubt or do not.
func TestExcess(t *testing.T) {
	type slots func(before time.Duration) (total, bad float64) // before the end
	even := func(time.Duration) (float64, float64) { return 10, 0 }
	for name, tt := range map[string]struct {
		slots slots
		good  bool
		since time.Duration // before the end; 0 for no excess
	}{
		"nothing bad": {slots: even},
		"all bad":     {slots: func(time.Duration) (float64, float64) { return 10, 10 }},
		"bad is read a scrape before the total": {slots: func(before time.Duration) (float64, float64) {
			if before == time.Minute {
				return 10, 20
			}
			return 10, 10
		}},
		"the events in the making fail at once": {slots: func(before time.Duration) (float64, float64) {
			if before == 4*time.Minute {
				return 10, 100
			}
			return 10, 0
		}},
		"the total stops while everything fails": {since: 20 * time.Minute, slots: func(before time.Duration) (float64, float64) {
			if before <= 20*time.Minute {
				return 0, 10
			}
			return 10, 0
		}},
		"each failure is tried three times": {since: 40 * time.Minute, slots: func(before time.Duration) (float64, float64) {
			if before <= 40*time.Minute {
				return 10, 30
			}
			return 10, 0
		}},
		"it never had a total": {since: 3 * time.Hour, slots: func(before time.Duration) (float64, float64) {
			if before <= 3*time.Hour {
				return 0, 1
			}
			return 0, 0
		}},
		"the total is a part since a week's last deploy": {good: true, since: 5 * time.Hour, slots: func(before time.Duration) (float64, float64) {
			if before <= 5*time.Hour {
				return 1, -9
			}
			return 10, 0
		}},
		"good ones are read a scrape before the total": {good: true, slots: func(before time.Duration) (float64, float64) {
			if before <= time.Minute {
				return 0, -10
			}
			return 10, 0
		}},
		"all events of the night end in the morning": {good: true, slots: func(before time.Duration) (float64, float64) {
			switch before % (24 * time.Hour) {
			case 10 * time.Hour:
				return 50, 50
			case 2 * time.Hour:
				return 0, -50
			}
			return 0, 0
		}},
		"a nightly run fails as a whole, an hour after it began": {slots: func(before time.Duration) (float64, float64) {
			switch {
			case before > 60*time.Minute && before <= 90*time.Minute:
				return 10, 0
			case before <= 30*time.Minute:
				return 0, 10
			}
			return 0, 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			end := utc(2026, 11, 3)
			tl := knownSlots(utc(2026, 11, 1), end, func(at time.Time) (float64, float64) { return tt.slots(end.Sub(at)) })
			x := ExcessOf(tl, timeline.MinuteOf(utc(2026, 11, 2)), tl.End(), 1, tt.good)
			if tt.since == 0 {
				require.Nil(t, x)
				return
			}
			require.NotNil(t, x)
			require.Equal(t, end.Add(-tt.since), x.since.Time())
		})
	}
}
