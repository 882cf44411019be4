package slo

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse("2006-01-02 15:04:05", text)
	require.NoError(t, err)
	return out
}

func in(t require.TestingT, zone string) *timeinterval.Location {
	l, err := time.LoadLocation(zone)
	require.NoError(t, err)
	return &timeinterval.Location{Location: l}
}

func hours(from, to int) []timeinterval.TimeRange {
	return []timeinterval.TimeRange{{StartMinute: from * 60, EndMinute: to * 60}}
}

func days(from, to int) []timeinterval.WeekdayRange {
	return []timeinterval.WeekdayRange{{InclusiveRange: timeinterval.InclusiveRange{Begin: from, End: to}}}
}

// texts are spans for people.
func texts(spans []Span) []string {
	var out []string
	for _, s := range spans {
		out = append(out, s.From.Format("01-02 15:04")+" to "+s.To.Format("01-02 15:04"))
	}
	return out
}

// TestExcludedWindows: minutes that are touched are excluded whole, and time that
// several exclusions exclude is one span.
func TestExcludedWindows(t *testing.T) {
	from, to := at(t, "2026-11-01 00:00:00"), at(t, "2026-11-02 00:00:00")
	list := []Exclusion{
		{From: at(t, "2026-11-01 10:00:30"), To: at(t, "2026-11-01 10:20:01")},
		{From: at(t, "2026-10-30 00:00:00"), To: at(t, "2026-11-01 01:00:00")},
		{From: at(t, "2026-11-01 10:10:00"), To: at(t, "2026-11-01 10:15:00")},
		{From: at(t, "2026-11-01 10:21:00"), To: at(t, "2026-11-01 10:30:00")},
		{From: at(t, "2026-11-01 12:00:59"), To: at(t, "2026-11-01 12:00:59")},
		{From: at(t, "2026-11-03 12:00:00"), To: at(t, "2026-11-04 12:00:00")},
		{From: at(t, "2026-11-01 23:59:59"), To: at(t, "2026-11-04 12:00:00")},
	}
	require.Equal(t, []string{
		"11-01 00:00 to 11-01 01:00",
		"11-01 10:00 to 11-01 10:30",
		"11-01 23:59 to 11-02 00:00",
	}, texts(Excluded(list, from, to)))
}

// TestExcludedAcrossClockChanges: in Berlin 02:00 to 03:00 does not exist on 29
// March 2026 and comes twice on 25 October; in UTC it is 01:00 to 02:00 in winter
// and 00:00 to 01:00 in summer.
func TestExcludedAcrossClockChanges(t *testing.T) {
	night := []Exclusion{{Intervals: []timeinterval.TimeInterval{{Times: hours(2, 3), Location: in(t, "Europe/Berlin")}}}}
	require.Equal(t, []string{"03-28 01:00 to 03-28 02:00", "03-30 00:00 to 03-30 01:00"},
		texts(Excluded(night, at(t, "2026-03-28 00:00:00"), at(t, "2026-03-31 00:00:00"))))
	require.Equal(t, []string{"10-24 00:00 to 10-24 01:00", "10-25 00:00 to 10-25 02:00", "10-26 01:00 to 10-26 02:00"},
		texts(Excluded(night, at(t, "2026-10-24 00:00:00"), at(t, "2026-10-27 00:00:00"))))
}

// TestOperatingHours exclude all but themselves: nights and the weekend.
func TestOperatingHours(t *testing.T) {
	list := []Exclusion{{OperatingHours: true, Intervals: []timeinterval.TimeInterval{
		{Times: hours(8, 18), Weekdays: days(1, 5), Location: in(t, "Asia/Kathmandu")}, // 5:45 ahead
		{Times: hours(10, 14), Weekdays: days(6, 6), Location: in(t, "Asia/Kathmandu")},
	}}}
	require.Equal(t, []string{ // 6 November 2026 is a Friday
		"11-06 00:00 to 11-06 02:15",
		"11-06 12:15 to 11-07 04:15",
		"11-07 08:15 to 11-09 02:15",
		"11-09 12:15 to 11-09 18:00",
	}, texts(Excluded(list, at(t, "2026-11-06 00:00:00"), at(t, "2026-11-09 18:00:00"))))
}

// anInterval draws a recurring interval.
func anInterval(rt *rapid.T) timeinterval.TimeInterval {
	var i timeinterval.TimeInterval
	ranges := func(label string, least, most int) (out []timeinterval.InclusiveRange) {
		for range rapid.IntRange(0, 2).Draw(rt, label+"s") {
			a, b := rapid.IntRange(least, most).Draw(rt, label), rapid.IntRange(least, most).Draw(rt, label)
			out = append(out, timeinterval.InclusiveRange{Begin: min(a, b), End: max(a, b)})
		}
		return out
	}
	for _, r := range ranges("minute", 0, 24*60) {
		i.Times = append(i.Times, timeinterval.TimeRange{StartMinute: r.Begin, EndMinute: r.End})
	}
	for _, r := range ranges("weekday", 0, 6) {
		i.Weekdays = append(i.Weekdays, timeinterval.WeekdayRange{InclusiveRange: r})
	}
	for _, r := range ranges("day", -31, -1) {
		i.DaysOfMonth = append(i.DaysOfMonth, timeinterval.DayOfMonthRange{InclusiveRange: r})
	}
	for _, r := range ranges("month", 1, 12) {
		i.Months = append(i.Months, timeinterval.MonthRange{InclusiveRange: r})
	}
	if zone := rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia"}).Draw(rt, "zone"); zone != "" {
		i.Location = in(rt, zone)
	}
	return i
}

// TestExcludedMinuteByMinute holds spans against a look at each minute, in weeks
// in which clocks are moved.
func TestExcludedMinuteByMinute(t *testing.T) {
	begins := []time.Time{
		at(t, "2026-03-27 00:00:00"), at(t, "2026-10-24 07:13:00"), at(t, "2026-10-31 00:00:00"), at(t, "2026-04-03 00:00:00"),
		at(t, "2028-02-27 00:00:00"), at(t, "2011-12-28 00:00:00"), at(t, "2018-11-02 00:00:00"),
	}
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.SampledFrom(begins).Draw(rt, "from")
		to := from.Add(time.Duration(rapid.IntRange(1, 5*24*60).Draw(rt, "length")) * time.Minute)
		var list []Exclusion
		for range rapid.IntRange(0, 4).Draw(rt, "exclusions") {
			e := Exclusion{OperatingHours: rapid.Bool().Draw(rt, "inverse")}
			for range rapid.IntRange(0, 2).Draw(rt, "intervals") {
				e.Intervals = append(e.Intervals, anInterval(rt))
			}
			if len(e.Intervals) == 0 {
				e.From = from.Add(time.Duration(rapid.IntRange(-1e5, 5e5).Draw(rt, "begin")) * time.Second)
				e.To = e.From.Add(time.Duration(rapid.IntRange(1, 1e5).Draw(rt, "seconds")) * time.Second)
			}
			list = append(list, e)
		}
		spans := Excluded(list, from, to)
		for m := from; m.Before(to); m = m.Add(time.Minute) {
			want := slices.ContainsFunc(list, func(e Exclusion) bool {
				inside := slices.ContainsFunc(e.Intervals, func(i timeinterval.TimeInterval) bool { return i.ContainsTime(m) })
				return len(e.Intervals) == 0 && e.From.Before(m.Add(time.Minute)) && e.To.After(m) || len(e.Intervals) > 0 && inside != e.OperatingHours
			})
			require.Equal(rt, want, slices.ContainsFunc(spans, func(s Span) bool { return !m.Before(s.From) && m.Before(s.To) }), "%s", m)
		}
		for i, s := range spans {
			require.True(rt, s.From.Before(s.To) && !s.From.Before(from) && !s.To.After(to))
			require.True(rt, i == 0 || spans[i-1].To.Before(s.From))
		}
	})
}

// BenchmarkExcluded finds a year of nights and weekends.
func BenchmarkExcluded(b *testing.B) {
	list := []Exclusion{{OperatingHours: true, Intervals: []timeinterval.TimeInterval{
		{Times: hours(8, 18), Weekdays: days(1, 5), Location: in(b, "Europe/Berlin")},
	}}}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		Excluded(list, from, from.AddDate(1, 0, 0))
	}
}
