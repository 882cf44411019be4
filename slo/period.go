package slo

import (
	"fmt"
	"sync"
	"time"
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

// nominal are the lengths that burn-rate alerts take for a calendar period.
var nominal = map[Calendar]Window{Week: 7 * day, Month: 30 * day, Quarter: 90 * day, Year: 365 * day}

const day = Window(24 * time.Hour)

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
	p := Period{Length: nominal[c], Calendar: c, Zone: zone}
	if zone == "" || zone == "Local" { // which is another one on each machine
		return p, fmt.Errorf("%q is no time zone", zone)
	}
	if _, err := location(zone); err != nil {
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

// zones are the time zones that were used, by name.
var zones sync.Map

func location(zone string) (*time.Location, error) {
	if l, ok := zones.Load(zone); ok {
		return l.(*time.Location), nil
	}
	l, err := time.LoadLocation(zone)
	if err == nil {
		zones.Store(zone, l)
	}
	return l, err
}
