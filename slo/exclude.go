package slo

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// parseExclusions reads the list of times that don't count.
func parseExclusions(v yamlfile.Value, origin Origin) []Exclusion {
	var out []Exclusion
	for _, e := range v.List() {
		out = append(out, parseExclusion(e, origin))
	}
	return out
}

func parseExclusion(v yamlfile.Value, origin Origin) Exclusion {
	m := v.Map("from", "to", "time_intervals", "operating_hours", "reason", "ticket")
	x := Exclusion{Origin: origin}
	x.Origin.Line, x.Origin.Column = v.Line(), v.Column()
	if !v.IsMap() {
		return x
	}
	once := m.Has("from") || m.Has("to")
	switch {
	case once && (m.Has("time_intervals") || m.Has("operating_hours")), m.Has("time_intervals") && m.Has("operating_hours"):
		v.Errorf("make several of it", "an exclusion is one of: from and to, time_intervals, operating_hours")
	case m.Has("time_intervals"):
		x.Intervals = parseIntervals(m.Get("time_intervals"), m.Key("time_intervals"))
	case m.Has("operating_hours"):
		x.Intervals, x.OperatingHours = parseIntervals(m.Get("operating_hours"), m.Key("operating_hours")), true
	default:
		to := m.Require("to")
		x.From, x.To = parseTime(m.Require("from")), parseTime(to)
		if !x.From.IsZero() && !x.To.IsZero() && !x.From.Before(x.To) {
			to.Errorf("", "to is not later than from")
		}
	}
	reason := m.Require("reason")
	x.Reason, x.Ticket = strings.TrimSpace(reason.Text()), m.Get("ticket").Text()
	if x.Reason == "" && reason.IsScalar() {
		reason.Errorf("who reads a report wants to know why", "reason is empty")
	}
	return x
}

const timeHint = "write 2026-11-22T06:00:00Z, 2026-11-22T07:00:00+01:00 or, for the midnight of UTC that begins it, 2026-11-22"

// parseTime reads an instant: RFC 3339, or a date for the midnight of UTC that
// begins it.
func parseTime(v yamlfile.Value) time.Time {
	text := v.Text()
	if text == "" {
		if v.Present() && v.IsScalar() {
			v.Errorf(timeHint, "the time is empty")
		}
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	if err != nil || t.Year() < 1970 {
		v.Errorf(timeHint, "%q is not a time", text)
		return time.Time{}
	}
	return t.UTC()
}

// parseIntervals reads Alertmanager's time intervals, by its own library, one
// value at a time, so that its errors have places.
func parseIntervals(v, key yamlfile.Value) []timeinterval.TimeInterval {
	var out []timeinterval.TimeInterval
	for _, e := range v.List() {
		m := e.Map("times", "weekdays", "days_of_month", "months", "years", "location")
		if e.IsMap() && len(m.Entries) == 0 {
			e.Errorf("", "the time interval is empty")
		}
		i := timeinterval.TimeInterval{
			DaysOfMonth: decoded[timeinterval.DayOfMonthRange](m.Get("days_of_month")),
			Years:       decoded[timeinterval.YearRange](m.Get("years")),
		}
		if checkWeekdays(m.Get("weekdays")) {
			i.Weekdays = decoded[timeinterval.WeekdayRange](m.Get("weekdays"))
		}
		if checkTimes(m.Get("times")) {
			i.Times = decoded[timeinterval.TimeRange](m.Get("times"))
		}
		for _, month := range m.Get("months").List() {
			var r timeinterval.MonthRange
			if month.Decode(&r) {
				if r.Begin < 1 || r.End > 12 {
					month.Errorf("", "%s is not a month", month.Text())
				}
				i.Months = append(i.Months, r)
			}
		}
		if zone := m.Get("location"); zone.Present() {
			if parseZone(zone) {
				l, err := location(zone.Text())
				if err == nil {
					i.Location = &timeinterval.Location{Location: l}
				}
			}
		}
		out = append(out, i)
	}
	if v.IsList() && len(out) == 0 || !v.Present() {
		key.Errorf("", "%s is empty", key.Text())
	}
	return out
}

// timeOfDay is how Alertmanager wants one.
var timeOfDay = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`)

// checkTimes reports whether ranges of times can be decoded.
func checkTimes(v yamlfile.Value) bool {
	ok := true
	for _, e := range v.List() {
		m := e.Map("start_time", "end_time")
		for _, key := range []string{"start_time", "end_time"} {
			at := m.Require(key)
			if text := at.Text(); !timeOfDay.MatchString(text) {
				ok = false
				if text != "" {
					at.Errorf("write it as 08:00", "%q is no time of day", text)
				}
			}
		}
		if from, to := m.Get("start_time").Text(), m.Get("end_time").Text(); ok && from >= to {
			ok = false
			m.Get("end_time").Errorf("a range over midnight is two: "+from+" to 24:00, and 00:00 to "+to, "%s is not after %s", to, from)
		}
	}
	return ok
}

// weekdays are in the order of Alertmanager's ranges.
var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// checkWeekdays reports whether no range of weekdays goes beyond Saturday, which
// Alertmanager's library refuses in words that are no help.
func checkWeekdays(v yamlfile.Value) bool {
	ok := true
	for _, e := range v.List() {
		from, to, _ := strings.Cut(strings.ToLower(e.Text()), ":")
		begin, end := slices.Index(weekdays, from), slices.Index(weekdays, to)
		if end < 0 || begin <= end {
			continue
		}
		ok = false
		before, after := from+":saturday", "sunday:"+to
		if from == "saturday" {
			before = from
		}
		if to == "sunday" {
			after = to
		}
		e.Errorf("write two: "+before+", "+after, "%s ends before it begins, for weeks begin on Sunday here", e.Text())
	}
	return ok
}

// decoded reads a list of what Alertmanager's library decodes.
func decoded[T any](v yamlfile.Value) []T {
	var out []T
	for _, e := range v.List() {
		var t T
		if e.Decode(&t) {
			out = append(out, t)
		}
	}
	if v.IsList() && len(v.List()) == 0 {
		v.Errorf("leave it out", "the list is empty")
	}
	return out
}

// parseZone reports whether a value names a time zone, and suggests one.
func parseZone(v yamlfile.Value) bool {
	text := v.Text()
	if _, err := NewCalendar(Week, text); err == nil {
		return true
	}
	if v.IsScalar() {
		hint := "write a name of the IANA database, such as Europe/Berlin or UTC"
		if near := nearestZone(text); near != "" {
			hint = "did you mean " + near + "?"
		}
		v.Errorf(hint, "%q is no time zone", text)
	}
	return false
}

// nearestZone finds the zone of a city without its continent, or in other case.
func nearestZone(text string) string {
	city := text[strings.LastIndexByte(text, '/')+1:]
	words := strings.FieldsFunc(strings.ToLower(city), func(r rune) bool { return r == ' ' || r == '_' })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	city = strings.Join(words, "_")
	if city == "" || len(city) > 40 {
		return ""
	}
	areas := []string{"Europe/", "America/", "Asia/", "Africa/", "Australia/", "Pacific/", "Atlantic/"}
	i := slices.IndexFunc(areas, func(area string) bool {
		_, err := location(area + city)
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return areas[i] + city
}
