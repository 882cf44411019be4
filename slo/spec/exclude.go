package spec

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// parseExclusions reads the list of times that don't count.
func (p *parsed) parseExclusions(v yamlfile.Value) []slo.Exclusion {
	if !within(v, "exclude", p.limits.Exclusions, "exclusions") {
		return nil
	}
	return remembered(p.memo, memoKey{v, "exclude", ""}, func() []slo.Exclusion {
		var out []slo.Exclusion
		for _, e := range v.List() {
			out = append(out, p.parseExclusion(e))
		}
		if n := ranges(out); n > p.limits.Exclusions {
			v.Errorf(limitHint("exclusions"), "exclude has %d ranges of times, more than %d", n, p.limits.Exclusions)
			return nil
		}
		return out
	})
}

// ranges is how many ranges of times exclusions have.
func ranges(list []slo.Exclusion) (n int) {
	for _, x := range list {
		for _, i := range x.Intervals {
			n += max(len(i.Times), 1)
		}
		if len(x.Intervals) == 0 {
			n++
		}
	}
	return n
}

// originOf is where a value was read: in the file, or in one of defaults.
func (p *parsed) originOf(v yamlfile.Value) slo.Origin {
	origin := p.in.origin()
	for _, d := range p.defaults {
		if v.In(d.file) {
			origin = d.in.origin()
		}
	}
	origin.Line = v.Line()
	origin.Column = v.Column()
	return origin
}

func (p *parsed) parseExclusion(v yamlfile.Value) slo.Exclusion {
	m := v.Map("from", "to", "time_intervals", "operating_hours", "reason", "ticket")
	x := slo.Exclusion{Origin: p.originOf(v)}
	if !v.IsMap() {
		return x
	}
	once := m.Has("from") || m.Has("to")
	switch {
	case once && (m.Has("time_intervals") || m.Has("operating_hours")), m.Has("time_intervals") && m.Has("operating_hours"):
		v.Errorf("make several of it", "an exclusion is one of: from and to, time_intervals, operating_hours")
	case m.Has("time_intervals"):
		x.Intervals = p.parseIntervals(m.Get("time_intervals"), m.Key("time_intervals"))
	case m.Has("operating_hours"):
		x.Intervals, x.OperatingHours = p.parseIntervals(m.Get("operating_hours"), m.Key("operating_hours")), true
	default:
		to := m.Require("to")
		x.From, x.To = parseTime(m.Require("from")), parseTime(to)
		if !x.From.IsZero() && !x.To.IsZero() && !x.From.Before(x.To) {
			to.Errorf("", "to is not later than from")
		}
	}
	x.Reason = strings.TrimSpace(m.Require("reason").Filled("reason", "who reads a report wants to know why"))
	x.Ticket = label(m.Get("ticket"))
	return x
}

const timeHint = "write 2026-11-22T06:00:00Z, 2026-11-22T07:00:00+01:00 or, for the midnight of UTC that begins it, 2026-11-22"

// parseTime reads an instant: RFC 3339, or a date for the midnight of UTC that
// begins it.
func parseTime(v yamlfile.Value) time.Time {
	text := v.Filled("the time", timeHint)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	if err != nil {
		v.Errorf(timeHint, "%q is not a time", text)
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
		v.Errorf("", "%s is not within the years %d to %d", text, firstYear, lastYear)
		return time.Time{}
	}
	return t
}

// The years that times of files are in.
const (
	firstYear = 1970
	lastYear  = 2200
)

// checkYear reports years of intervals that no time of a file is in.
func checkYear(v yamlfile.Value, r timeinterval.YearRange) {
	if r.Begin < firstYear || r.End > lastYear {
		v.Errorf("", "%s is not within the years %d to %d", v.Text(), firstYear, lastYear)
	}
}

func checkMonth(v yamlfile.Value, r timeinterval.MonthRange) {
	if r.Begin < 1 || r.End > 12 {
		v.Errorf("", "%s is not a month", v.Text())
	}
}

// parseIntervals reads Alertmanager's time intervals, by its own library, one
// value at a time, so that its errors have places.
func (p *parsed) parseIntervals(v, key yamlfile.Value) []timeinterval.TimeInterval {
	if !within(v, key.Text(), p.limits.Exclusions, "exclusions") {
		return nil
	}
	return remembered(p.memo, memoKey{v, "intervals", ""}, func() []timeinterval.TimeInterval { return p.readIntervals(v, key) })
}

func (p *parsed) readIntervals(v, key yamlfile.Value) []timeinterval.TimeInterval {
	var out []timeinterval.TimeInterval
	for _, e := range v.List() {
		m := e.Map("times", "weekdays", "days_of_month", "months", "years", "location")
		if e.IsMap() && len(m.Entries) == 0 {
			e.Errorf("", "the time interval is empty")
		}
		i := timeinterval.TimeInterval{
			DaysOfMonth: decoded[timeinterval.DayOfMonthRange](p, m.Get("days_of_month"), "", nil),
			Months:      decoded(p, m.Get("months"), "", checkMonth),
			Years:       decoded(p, m.Get("years"), "", checkYear),
			Weekdays:    decoded[timeinterval.WeekdayRange](p, m.Get("weekdays"), "a range ends after it begins, and weeks begin on sunday: write friday:monday as friday:saturday and sunday:monday", nil),
			Times:       decoded[timeinterval.TimeRange](p, m.Get("times"), "write {start_time: 08:00, end_time: 24:00}; a range over midnight is two", nil, "start_time", "end_time"),
		}
		if zone := m.Get("location"); zone.Present() && p.parseZone(zone) {
			if l, err := slo.Location(zone.Text()); err == nil {
				i.Location = &timeinterval.Location{Location: l}
			}
		}
		out = append(out, i)
	}
	if v.IsList() && len(out) == 0 || !v.Present() {
		key.Errorf("", "%s is empty", key.Text())
	}
	return out
}

// decoded reads a list of what Alertmanager's library decodes, and checks each entry, which has
// the keys if it is a mapping. The hint is for what the library refuses.
func decoded[T any](p *parsed, v yamlfile.Value, hint string, check func(yamlfile.Value, T), keys ...string) []T {
	return remembered(p.memo, memoKey{v, fmt.Sprintf("%T", *new(T)), ""}, func() []T {
		if !within(v, "the list", p.limits.Exclusions, "exclusions") {
			return nil
		}
		var out []T
		for _, e := range v.List() {
			var t T
			if len(keys) > 0 {
				e.Map(keys...)
			}
			if !e.Decode(&t, hint) {
				continue
			}
			if check != nil {
				check(e, t)
			}
			out = append(out, t)
		}
		if v.IsList() && v.Len() == 0 {
			v.Errorf("leave it out", "the list is empty")
		}
		return out
	})
}

// maxNoZones is how many texts of a file are searched among time zones in vain. It has more
// errors then than are shown.
const maxNoZones = 2 * yamlfile.MaxFindings

// parseZone reports whether a value names a time zone.
func (p *parsed) parseZone(v yamlfile.Value) bool {
	text := v.OneLine()
	if p.noZones < maxNoZones {
		if _, err := slo.NewCalendar(slo.Week, text); err == nil {
			return true
		}
	}
	if p.noZones++; v.IsScalar() {
		v.Errorf("write a name of the IANA database, such as Europe/Berlin or UTC", "%q is no time zone", text)
	}
	return false
}
