package evaluator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// monthly returns an SLO of 99.9 % a calendar period.
func monthly(t *testing.T, c slo.Calendar, zone string) *slo.SLO {
	t.Helper()
	window, err := slo.NewCalendar(c, zone)
	require.NoError(t, err)
	o, err := slo.ParseObjective("99.9")
	require.NoError(t, err)
	return &slo.SLO{Service: "shop", Name: "availability", Objective: o, Window: window}
}

// knownSlots returns a timeline of known slots.
func knownSlots(from, to time.Time, f func(at time.Time) (total, bad float64)) *timeline.Timeline {
	tl := timeline.NewTimeline(timeline.MinuteOf(from))
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		total, bad := f(at)
		tl.Append(timeline.Slot{Total: total, Bad: bad, Known: true})
	}
	return tl
}

func computed(s *slo.SLO, tl *timeline.Timeline) *Status {
	st := NewStatus(s, "default")
	st.Compute(tl, tl.End(), []slo.Window{slo.Window(time.Hour), s.Window.Length})
	return &st
}

func utc(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// TestCalendarBudgetWorkedOut has ten days of a November with 10 events a minute. In the
// last six hours each hundredth event is bad. So far there are 144,000 events, 36 of them
// bad, and three times as many events in the whole month.
func TestCalendarBudgetWorkedOut(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	now := utc(2026, 11, 11)
	tl := knownSlots(utc(2026, 11, 1), now, func(at time.Time) (float64, float64) {
		if now.Sub(at) <= 6*time.Hour && at.Minute()%10 == 0 {
			return 10, 1
		}
		return 10, 0
	})
	st := computed(s, tl)
	own := st.Windows[1]
	require.Equal(t, "month", own.Name)
	require.EqualValues(t, 10*86400, own.Seconds)
	require.Equal(t, [2]time.Time{utc(2026, 11, 1), now}, [2]time.Time{own.Start, own.End})
	require.Equal(t, [3]float64{144_000, 36, 1}, [3]float64{own.Total, own.Bad, own.Coverage})
	require.InDelta(t, 0.25, *own.BurnRate, 1e-12)

	b := st.Budget
	require.Equal(t, "traffic of the last 30d", *b.ProjectionBasis)
	require.InDelta(t, 432_000, *b.ProjectedTotal, 1e-6)
	require.InDelta(t, 432, *b.Allowed, 1e-9)
	require.InDelta(t, 36.0/432, *b.Consumed, 1e-12)
	require.InDelta(t, 1-36.0/432, *b.Remaining, 1e-12)
	require.InDelta(t, 144, b.SoFar.Allowed, 1e-9)
	require.InDelta(t, 0.75, b.SoFar.Remaining, 1e-12)
	require.Equal(t, [2]time.Time{utc(2026, 11, 1), utc(2026, 12, 1)}, [2]time.Time{*b.PeriodStart, *b.PeriodEnd})

	// 396 are left, and 36 come in six hours: they last for 66 hours.
	require.InDelta(t, 66*3600, *b.ExhaustedInSeconds, 60)
	require.Len(t, st.History, 96*10/30)
	require.Equal(t, now, st.History[31].End)
	require.Equal(t, utc(2026, 11, 1).Add(10*24*time.Hour/32), st.History[0].End)
}

// TestCalendarExhaustionEndsWithThePeriod checks that the time is nil if the budget would
// be spent in the next period.
func TestCalendarExhaustionEndsWithThePeriod(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	// 50 bad events an hour in the last 6 h, of 432 allowed.
	bad := func(now time.Time) func(time.Time) (float64, float64) {
		return func(at time.Time) (float64, float64) {
			if now.Sub(at) <= 6*time.Hour && at.Minute() < 50 {
				return 10, 1
			}
			return 10, 0
		}
	}
	for _, tt := range []struct {
		now   time.Time
		spent bool
	}{
		{utc(2026, 12, 1).Add(-2 * time.Hour), false}, // 300 and 100 more
		{utc(2026, 12, 1).Add(-3 * time.Hour), true},  // 300 and 150 more
	} {
		b := computed(s, knownSlots(utc(2026, 11, 1), tt.now, bad(tt.now))).Budget
		require.Equal(t, tt.spent, b.ExhaustedInSeconds != nil, tt.now)
	}
	// At the end of the month the projection equals the count.
	now := utc(2026, 12, 1)
	b := computed(s, knownSlots(utc(2026, 11, 1), now, bad(now))).Budget
	require.Equal(t, 432_000.0, *b.ProjectedTotal)
	require.Equal(t, b.SoFar.Remaining, *b.Remaining)
	require.Nil(t, b.ExhaustedInSeconds)
}

// TestProjectionOfTheLastMonth has 10 events a minute from Monday to Friday and one on
// Saturday and Sunday. On 11 November 2026 seven days of the former and three of the
// latter are over. The last 30 days had 22 and 8 of them, so the 20 days to come get
// 10,944 events each.
func TestProjectionOfTheLastMonth(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	traffic := func(at time.Time) (float64, float64) {
		if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			return 1, 0
		}
		return 10, 0
	}
	now := utc(2026, 11, 11)
	b := computed(s, knownSlots(now.Add(-40*24*time.Hour), now, traffic)).Budget
	require.Equal(t, "traffic of the last 30d", *b.ProjectionBasis)
	require.InDelta(t, 7*14_400+3*1_440+20*10_944, *b.ProjectedTotal, 1e-6)
}

// TestProjectionOfTheKnown has an outage of a day in the last 30 days, of which nothing
// is known.
func TestProjectionOfTheKnown(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	now := utc(2026, 11, 21)
	tl := timeline.NewTimeline(timeline.MinuteOf(utc(2026, 10, 10)))
	for m := tl.Start(); m < timeline.MinuteOf(now); m++ {
		if m.Time().Day() == 15 {
			tl.Append(timeline.Slot{})
		} else {
			tl.Append(timeline.Slot{Total: 10, Known: true})
		}
	}
	b := computed(s, tl).Budget
	// 20 days of 14,400 events, of which 19 are known, and 10 to come.
	require.InDelta(t, 29*14_400, *b.ProjectedTotal, 1e-6)
}

// TestProjectionAtTheEndOfALongMonth has a month of 31 days of which the first day alone
// is known. It is before the last 30 days, and what is left gets traffic all the same.
func TestProjectionAtTheEndOfALongMonth(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	tl := timeline.NewTimeline(timeline.MinuteOf(utc(2026, 10, 1)))
	for m := tl.Start(); m < timeline.MinuteOf(utc(2026, 10, 31).Add(12*time.Hour)); m++ {
		if m.Time().Day() == 1 {
			tl.Append(timeline.Slot{Total: 10, Known: true})
		} else {
			tl.Append(timeline.Slot{})
		}
	}
	b := computed(s, tl).Budget
	require.InDelta(t, 14_400+7_200, *b.ProjectedTotal, 1e-6)
}

// TestCalendarBudgetOfTheUnknown checks that an unknown budget is not untouched.
func TestCalendarBudgetOfTheUnknown(t *testing.T) {
	s := monthly(t, slo.Year, "Asia/Kathmandu")
	tl := timeline.NewTimeline(timeline.MinuteOf(utc(2025, 12, 1)))
	for tl.End() < timeline.MinuteOf(utc(2026, 1, 10)) {
		tl.Append(timeline.Slot{})
	}
	b := computed(s, tl).Budget
	require.Nil(t, b.Remaining)
	require.Nil(t, b.SoFar)
	require.Nil(t, b.ProjectedTotal)
	require.Equal(t, "2025-12-31T18:15:00Z", b.PeriodStart.Format(time.RFC3339))
	// The same holds while the beginning of the period is not read.
	late := knownSlots(utc(2026, 1, 5), utc(2026, 1, 10), func(time.Time) (float64, float64) { return 1, 0 })
	require.Nil(t, computed(s, late).Budget.Remaining)
}

// TestEndedPeriods checks that a running process has the same periods as one that starts
// and reads them.
func TestEndedPeriods(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	old, err := slo.ParseObjective("99")
	require.NoError(t, err)
	s.PastObjectives = []slo.PastObjective{{Until: utc(2026, 11, 1), Objective: old}}
	tl := knownSlots(utc(2026, 10, 1), utc(2026, 12, 2), func(at time.Time) (float64, float64) {
		if at.Hour() == 0 && at.Minute() == 0 {
			return 100, 1
		}
		return 100, 0
	})
	p := &EndedPeriods{Spec: s}
	list := func(at timeline.Minute) []timeline.Period {
		all, _, _ := p.list(at)
		return all
	}
	december := timeline.MinuteOf(utc(2026, 12, 1))
	p.Renew(tl, december)
	require.Len(t, list(december), 1, "November goes on in its last minute")
	p.Renew(tl, december+1)
	p.Renew(tl, december+2)
	got, _ := p.Statuses(s, tl.End())
	require.Nil(t, got, "September may be known")
	next, ok := p.Next(tl.End())
	require.True(t, ok)
	require.Equal(t, utc(2026, 9, 1), next.Start.Time())
	p.Add(next, timeline.Sum{})
	got, more := p.Statuses(s, tl.End())
	require.False(t, more)
	require.Len(t, got, 2)
	require.Equal(t, []string{"2026-11", "2026-10"}, []string{got[0].Name, got[1].Name})
	require.Equal(t, [4]float64{30 * 144_000, 30, 0.999, 1}, [4]float64{got[0].Total, got[0].Bad, got[0].Objective, got[0].Coverage})
	require.Equal(t, [3]float64{31 * 144_000, 31, 0.99}, [3]float64{got[1].Total, got[1].Bad, got[1].Objective})
	require.InDelta(t, 4320, *got[0].Allowed, 1e-9)
	require.InDelta(t, 44640, *got[1].Allowed, 1e-9)
	require.True(t, got[0].Complete)
}

// TestEndedPeriodsEnd at the first month of which nothing is known. Only 120 periods are
// kept, so the oldest go.
func TestEndedPeriodsEnd(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	now := timeline.MinuteOf(utc(2026, 12, 2))
	p := &EndedPeriods{Spec: s}
	read := func(known int) {
		next, _ := p.Next(now)
		p.Add(next, timeline.Sum{Start: next.Start, End: next.End, Known: known})
	}
	unread := func() bool {
		_, ok := p.Next(now)
		return ok
	}
	read(1)
	read(1)
	require.True(t, unread())
	read(0)
	require.False(t, unread())
	got, more := p.Statuses(s, now)
	require.False(t, more)
	require.Equal(t, []string{"2026-11", "2026-10"}, []string{got[0].Name, got[1].Name})
	require.Equal(t, 1.0, *got[1].Remaining)

	// What was known of a month stays when it is read again without data.
	p.Reset()
	read(1)
	read(0)
	require.True(t, unread())
	read(0)
	got, _ = p.Statuses(s, now)
	require.Len(t, got, 2)

	*p = EndedPeriods{Spec: s}
	for range MaxPeriods {
		read(1)
		require.True(t, unread())
	}
	read(1)
	got, more = p.Statuses(s, now)
	require.Len(t, got, MaxPeriods)
	require.True(t, more)
	// A process that runs a month longer drops the oldest.
	tl := knownSlots(utc(2026, 12, 1), utc(2027, 1, 1).Add(time.Minute), func(time.Time) (float64, float64) { return 1, 0 })
	p.Renew(tl, tl.End())
	got, more = p.Statuses(s, tl.End())
	require.Len(t, got, MaxPeriods)
	require.Equal(t, "2026-12", got[0].Name)
	require.True(t, more)
}

// TestAnUnknownMonthEndsThePeriods has a process that is up through a month without data
// report the same as one that starts after it.
func TestAnUnknownMonthEndsThePeriods(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	tl := knownSlots(utc(2026, 10, 1), utc(2026, 11, 1), func(time.Time) (float64, float64) { return 1, 0 })
	up := &EndedPeriods{Spec: s}
	tl.Append(timeline.Slot{})
	up.Renew(tl, tl.End())
	october, _, _ := up.list(tl.End())
	require.Len(t, october, 1)
	for range 30 * 24 * 60 {
		tl.Append(timeline.Slot{})
	}
	up.Renew(tl, tl.End())

	started := &EndedPeriods{Spec: s}
	november, _ := started.Next(tl.End())
	require.Equal(t, utc(2026, 11, 1), november.Start.Time())
	started.Add(november, tl.Sum(november.Start, november.End))
	for _, p := range []*EndedPeriods{up, started} {
		none, more := p.Statuses(s, tl.End())
		require.Equal(t, []PeriodStatus{}, none)
		require.False(t, more)
	}
}

// TestProjectionOfExcludedTime has 10 events a minute, 14,400 a day. The 5th was excluded
// and the 20th will be. On the 11th nine days have counted, and 19 of the 20 that are
// left will, whether or not there is traffic of the month before.
func TestProjectionOfExcludedTime(t *testing.T) {
	s := monthly(t, slo.Month, "UTC")
	for _, day := range []int{5, 20} {
		s.Exclusions = append(s.Exclusions, slo.Exclusion{From: utc(2026, 11, day), To: utc(2026, 11, day+1)})
	}
	even := func(time.Time) (float64, float64) { return 10, 0 }
	for _, since := range []time.Time{utc(2026, 11, 1), utc(2026, 10, 1)} {
		b := computed(s, knownSlots(since, utc(2026, 11, 11), even).ViewFor(s)).Budget
		require.InDelta(t, 28*14_400, *b.ProjectedTotal, 1e-6, since)
		require.InDelta(t, 9*14_400*s.Objective.Budget(), b.SoFar.Allowed, 1e-9, since)
	}
}
