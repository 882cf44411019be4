package slo

import (
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"
	_ "time/tzdata" // zones are known on machines without a zone database

	"github.com/prometheus/common/model"
)

// Calendar is a part of the calendar that a budget is for.
type Calendar string

// The parts of the calendar. Weeks begin on Monday.
const (
	Week    Calendar = "week"
	Month   Calendar = "month"
	Quarter Calendar = "quarter"
	Year    Calendar = "year"
)

// calendars are the parts of the calendar: how long burn-rate alerts take one to be, how many
// days the longest has, and how far the next one is.
var calendars = map[Calendar]struct {
	nominal             Window
	most                int
	years, months, days int
}{
	Week:    {nominal: 7 * Day, most: 7, days: 7},
	Month:   {nominal: 30 * Day, most: 31, months: 1},
	Quarter: {nominal: 90 * Day, most: 92, months: 3},
	Year:    {nominal: 365 * Day, most: 366, years: 1},
}

// Day is a length of 24 hours.
const Day = Window(24 * time.Hour)

// Period is the time that an error budget is for: the last Length, or a part of
// the calendar.
type Period struct {
	Length   Window   // of a calendar period the nominal one: 7, 30, 90 or 365 d
	Calendar Calendar // "" for a rolling period
	Zone     string   // IANA time zone of a calendar period
}

// Rolling is the period of the last d.
func Rolling(d Window) Period { return Period{Length: d} }

// NewCalendar is a part of the calendar in a time zone. It fails when there is no
// such zone.
func NewCalendar(c Calendar, zone string) (Period, error) {
	p := Period{Length: calendars[c].nominal, Calendar: c, Zone: zone}
	if zone == "" || zone == "Local" { // which is another one on each machine
		return p, fmt.Errorf("%q is no time zone", zone)
	}
	if _, err := Location(zone); err != nil {
		return p, fmt.Errorf("%q is no time zone", zone)
	}
	return p, nil
}

// IsRolling reports whether the period is the last Length at any time.
func (p Period) IsRolling() bool { return p.Calendar == "" }

// String is the length of a rolling period, "30d", or the part of the calendar,
// "month".
func (p Period) String() string {
	if p.IsRolling() {
		return p.Length.String()
	}
	return string(p.Calendar)
}

// At is the calendar period (start, end] that holds t, in UTC: an instant in
// which one ends is still its. A period begins with the first instant of its
// first date, which is midnight but where clocks skip that.
func (p Period) At(t time.Time) (start, end time.Time) {
	zone, err := Location(p.Zone)
	if err != nil { // which NewCalendar refuses
		zone = time.UTC
	}
	first := p.first(t.In(zone).Date())
	start, end = dayStart(first, zone), dayStart(p.next(first, 1), zone)
	for !t.After(start) { // or clocks went back over midnight: the date was there before
		first = p.next(first, -1)
		start, end = dayStart(first, zone), start
	}
	for t.After(end) {
		first = p.next(first, 1)
		start, end = end, dayStart(p.next(first, 1), zone)
	}
	return start.UTC(), end.UTC()
}

// Longest is a length that no period exceeds. Of a calendar period it holds a day
// more than the calendar, for clocks that are changed.
func (p Period) Longest() time.Duration {
	if p.IsRolling() {
		return p.Length.Duration()
	}
	return time.Duration(calendars[p.Calendar].most+1) * Day.Duration()
}

// Name identifies the calendar period that ends with an instant: "2026-W45",
// "2026-10", "2026-Q4" or "2026". Weeks are those of ISO 8601.
func (p Period) Name(end time.Time) string {
	zone, err := Location(p.Zone)
	if err != nil {
		zone = time.UTC
	}
	start, _ := p.At(end)
	first := start.In(zone)
	switch p.Calendar {
	case Week:
		year, week := first.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Month:
		return first.Format("2006-01")
	case Quarter:
		return fmt.Sprintf("%d-Q%d", first.Year(), (first.Month()+2)/3)
	}
	return first.Format("2006")
}

// first is the first date of the period that holds a date, as its midnight in UTC.
func (p Period) first(year int, month time.Month, date int) time.Time {
	switch p.Calendar {
	case Week:
		d := time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
		return d.AddDate(0, 0, -int(d.Weekday()+6)%7)
	case Quarter:
		month -= (month - 1) % 3
	case Year:
		month = time.January
	}
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// next is the first date of the period n later than that which begins with first.
func (p Period) next(first time.Time, n int) time.Time {
	c := calendars[p.Calendar]
	return first.AddDate(n*c.years, n*c.months, n*c.days)
}

// dayStart is the first instant in a zone of a date, given as its midnight in
// UTC, or of what follows it where the zone skips the date. It looks at the
// stretches between changes of the clock; Time.ZoneBounds is wrong about some of
// them.
func dayStart(date time.Time, zone *time.Location) time.Time {
	const (
		ahead = 16 * time.Hour // more than any clock is
		step  = 4 * time.Hour  // no clock is changed twice in it
	)
	for at := date.Add(-ahead); ; {
		offset, end := offsetAt(at, zone), at.Add(step)
		if offsetAt(end, zone) != offset {
			end = at.Add(time.Duration(sort.Search(int(step/time.Second), func(s int) bool {
				return offsetAt(at.Add(time.Duration(s)*time.Second), zone) != offset
			})) * time.Second)
		}
		switch midnight := date.Add(-offset); {
		case midnight.Before(at):
			return at
		case midnight.Before(end):
			return midnight
		}
		at = end
	}
}

// offsetAt is how far a zone's clocks are ahead.
func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// zones are the time zones that were used, by name.
var zones sync.Map

// Location returns a time zone by its name in the zone database.
func Location(zone string) (*time.Location, error) {
	if l, ok := zones.Load(zone); ok {
		return l.(*time.Location), nil
	}
	l, err := time.LoadLocation(zone)
	if err == nil {
		zones.Store(zone, l)
	}
	return l, err
}

// Window is the length of a rolling window: whole minutes, printed with the
// largest of d, h and m that divides it ("28d", never "4w").
type Window time.Duration

// The shortest and the longest window that an SLO may have.
const (
	MinWindow = Window(time.Hour)
	MaxWindow = Window(365 * 24 * time.Hour)
)

// ParseWindow reads a duration such as 30d, 36h or 1y (365 d). The error is in
// the words of a finding.
func ParseWindow(text string) (Window, error) {
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30d or 12h", text)
	}
	w := Window(d)
	switch {
	case w < MinWindow || w > MaxWindow:
		return 0, fmt.Errorf("window %s is not between 1h and 1y", text)
	case time.Duration(w)%time.Minute != 0:
		return 0, fmt.Errorf("window %s is not a whole number of minutes", text)
	}
	return w, nil
}

// Duration is the window's length.
func (w Window) Duration() time.Duration { return time.Duration(w) }

// String prints the window with the largest unit that divides it.
func (w Window) String() string {
	d := time.Duration(w)
	switch {
	case w >= Day && w%Day == 0:
		return strconv.FormatInt(int64(w/Day), 10) + "d"
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
}
