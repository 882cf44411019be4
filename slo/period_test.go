package slo_test

import (
	"go/build"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slowburn-slo/slowburn/slo"
)

// zones are IANA time zones: each offset in use, zones off the full hour, clocks
// that change by half an hour or two hours, at midnight, a minute after it, or
// over the date line.
var zones = []string{
	"UTC", "Africa/Abidjan", "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Johannesburg",
	"Africa/Lagos", "Africa/Nairobi", "Africa/Windhoek", "America/Adak", "America/Anchorage", "America/Argentina/Buenos_Aires",
	"America/Asuncion", "America/Bogota", "America/Campo_Grande", "America/Caracas", "America/Chicago", "America/Denver",
	"America/Godthab", "America/Halifax", "America/Havana", "America/Lima", "America/Los_Angeles", "America/Mexico_City",
	"America/Miquelon", "America/New_York", "America/Noronha", "America/Phoenix", "America/Santiago", "America/Sao_Paulo",
	"America/Scoresbysund", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut",
	"Asia/Calcutta", "Asia/Damascus", "Asia/Dhaka", "Asia/Dubai", "Asia/Gaza", "Asia/Jerusalem",
	"Asia/Kabul", "Asia/Karachi", "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Rangoon", "Asia/Seoul",
	"Asia/Shanghai", "Asia/Singapore", "Asia/Tashkent", "Asia/Tehran", "Asia/Tokyo", "Asia/Vladivostok",
	"Atlantic/Azores", "Atlantic/Reykjavik", "Australia/Adelaide", "Australia/Darwin", "Australia/Eucla", "Australia/Lord_Howe",
	"Australia/Sydney", "Europe/Berlin", "Europe/Dublin", "Europe/Istanbul", "Europe/Lisbon", "Europe/London",
	"Europe/Moscow", "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Easter", "Pacific/Fakaofo",
	"Pacific/Honolulu", "Pacific/Kiritimati", "Pacific/Kwajalein", "Pacific/Marquesas", "Pacific/Norfolk", "Pacific/Tongatapu",
}

var calendars = []slo.Calendar{slo.Week, slo.Month, slo.Quarter, slo.Year}

func calendar(t require.TestingT, c slo.Calendar, zone string) (slo.Period, *time.Location) {
	p, err := slo.NewCalendar(c, zone)
	require.NoError(t, err)
	l, err := time.LoadLocation(zone)
	require.NoError(t, err)
	return p, l
}

// firstDate is the first date of the period that a date is in, in words of the
// calendar: found by going back day by day.
func firstDate(c slo.Calendar, date time.Time) time.Time {
	for ; ; date = date.AddDate(0, 0, -1) {
		switch _, m, d := date.Date(); {
		case c == slo.Week && date.Weekday() == time.Monday,
			c == slo.Month && d == 1,
			c == slo.Quarter && d == 1 && (m == 1 || m == 4 || m == 7 || m == 10),
			c == slo.Year && d == 1 && m == 1:
			return date
		}
	}
}

// opening is the first minute in a zone whose date is a date or later, found by
// looking at the wall clock each minute.
func opening(date time.Time, zone *time.Location) time.Time {
	for at := date.Add(-26 * time.Hour); ; at = at.Add(time.Minute) {
		y, m, d := at.In(zone).Date()
		if !time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(date) {
			return at
		}
	}
}

// TestPeriodsAreThoseOfTheWallClock compares periods with what a clock on the
// wall of each zone shows minute by minute.
func TestPeriodsAreThoseOfTheWallClock(t *testing.T) {
	require.GreaterOrEqual(t, len(zones), 60)
	for _, zone := range zones {
		t.Run(zone, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				c := rapid.SampledFrom(calendars).Draw(rt, "calendar")
				p, l := calendar(rt, c, zone)
				at := time.Unix(rapid.Int64Range(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC).Unix()).Draw(rt, "at"), 0)
				start, end := p.At(at)

				y, m, d := start.Add(time.Hour / 2).In(l).Date()
				first := firstDate(c, time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
				last := firstDate(c, first.AddDate(0, 0, map[slo.Calendar]int{slo.Week: 10, slo.Month: 40, slo.Quarter: 100, slo.Year: 380}[c]))
				require.Equal(rt, opening(first, l), start, "the start for %s", at)
				require.Equal(rt, opening(last, l), end, "the end for %s", at)
				require.True(rt, start.Before(at) && !end.Before(at), "it holds %s: %s to %s", at, start, end)
				require.LessOrEqual(rt, end.Sub(start), p.Longest())

				days := int(last.Sub(first).Hours() / 24)
				require.InDelta(rt, float64(days)*24, end.Sub(start).Hours(), 25, "%d days", days)
				require.Contains(rt, map[slo.Calendar][]int{slo.Week: {7}, slo.Month: {28, 29, 30, 31}, slo.Quarter: {90, 91, 92}, slo.Year: {365, 366}}[c], days)

				_, before := p.At(start)
				require.Equal(rt, start, before, "the one before ends where it starts")
				after, _ := p.At(end.Add(time.Nanosecond))
				require.Equal(rt, end, after, "the one after starts where it ends")
				for _, inside := range []time.Time{start.Add(time.Nanosecond), end} {
					s, e := p.At(inside)
					require.Equal(rt, [2]time.Time{start, end}, [2]time.Time{s, e}, "at %s", inside)
				}
			})
		})
	}
}

// TestPeriodsTile walks through all periods of 35 years: none overlaps another
// and nothing is left out. From 2000 on each begins on a quarter of an hour.
func TestPeriodsTile(t *testing.T) {
	for _, zone := range zones {
		for _, c := range calendars {
			p, _ := calendar(t, c, zone)
			at := time.Date(2000, 6, 15, 12, 0, 0, 0, time.UTC)
			for at.Year() < 2035 {
				start, end := p.At(at)
				require.Zero(t, start.Unix()%900, "%s: %s of %s", zone, c, start)
				next, _ := p.At(end.Add(time.Second))
				require.Equal(t, end, next, "%s: %s of %s", zone, c, start)
				at = end.Add(time.Second)
			}
		}
	}
}

// TestPeriodsWorkedOut are hard ones, by hand from the zones' histories.
func TestPeriodsWorkedOut(t *testing.T) {
	tests := []struct {
		name     string
		calendar slo.Calendar
		zone, at string
		from, to string // in UTC
		period   string
	}{
		{"an hour shorter in spring", slo.Month, "Europe/Berlin", "2026-03-10T12:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "2026-03"},
		{"and longer in autumn", slo.Month, "Europe/Berlin", "2026-10-10T12:00:00Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "2026-10"},
		{"the instant in which it ends", slo.Month, "Europe/Berlin", "2026-10-31T23:00:00Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "2026-10"},
		{"half an hour shorter", slo.Month, "Australia/Lord_Howe", "2026-10-20T00:00:00Z", "2026-09-30T13:30:00Z", "2026-10-31T13:00:00Z", "2026-10"},
		{"two hours shorter", slo.Month, "Antarctica/Troll", "2026-03-10T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-31T22:00:00Z", "2026-03"},
		{"three quarters off", slo.Week, "Asia/Kathmandu", "2026-11-22T18:14:00Z", "2026-11-15T18:15:00Z", "2026-11-22T18:15:00Z", "2026-W47"},
		{"a week of two years", slo.Week, "UTC", "2026-12-31T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z", "2026-W53"},
		{"a leap day", slo.Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", "2028-02"},
		{"a century without one", slo.Quarter, "UTC", "2100-02-28T12:00:00Z", "2100-01-01T00:00:00Z", "2100-04-01T00:00:00Z", "2100-Q1"},
		{"a year", slo.Year, "Asia/Tokyo", "2027-01-01T00:00:00Z", "2026-12-31T15:00:00Z", "2027-12-31T15:00:00Z", "2027"},
		// Samoa went from 29 to 31 December 2011.
		{"a date that is none", slo.Week, "Pacific/Apia", "2011-12-30T20:00:00Z", "2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z", "2011-W52"},
		// Summer time in Paraguay began at midnight.
		{"a week with the start of summer time", slo.Week, "America/Asuncion", "2023-10-01T12:00:00Z", "2023-09-25T04:00:00Z", "2023-10-02T03:00:00Z", "2023-W39"},
		{"a month that begins at 1:00", slo.Month, "America/Asuncion", "2017-10-01T12:00:00Z", "2017-10-01T04:00:00Z", "2017-11-01T03:00:00Z", "2017-10"},
		// Clocks went back from 0:01 on 1 November 2009 to 23:01 on 31 October.
		{"midnight is twice", slo.Month, "America/St_Johns", "2009-11-01T03:00:00Z", "2009-11-01T02:30:00Z", "2009-12-01T03:30:00Z", "2009-11"},
		{"and before", slo.Month, "America/St_Johns", "2009-11-01T02:30:00Z", "2009-10-01T02:30:00Z", "2009-11-01T02:30:00Z", "2009-10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := calendar(t, tt.calendar, tt.zone)
			at, err := time.Parse(time.RFC3339, tt.at)
			require.NoError(t, err)
			start, end := p.At(at)
			require.Equal(t, [2]string{tt.from, tt.to}, [2]string{start.Format(time.RFC3339), end.Format(time.RFC3339)})
			require.Equal(t, tt.period, p.Name(end))
		})
	}
}

// TestZonesAreEmbedded so that a machine without a zone database knows them.
func TestZonesAreEmbedded(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	require.NoError(t, err)
	require.Contains(t, pkg.Imports, "time/tzdata")
}
