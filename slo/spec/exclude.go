package spec

import (
	"fmt"
	"regexp"
	"slices"
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
	reason := m.Require("reason")
	x.Reason, x.Ticket = strings.TrimSpace(reason.Text()), label(m.Get("ticket"))
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
			DaysOfMonth: decoded[timeinterval.DayOfMonthRange](p, m.Get("days_of_month"), nil, nil),
			Months:      decoded(p, m.Get("months"), nil, checkMonth),
			Years:       decoded(p, m.Get("years"), nil, checkYear),
			Weekdays:    decoded[timeinterval.WeekdayRange](p, m.Get("weekdays"), checkWeekdays, nil),
			Times:       decoded[timeinterval.TimeRange](p, m.Get("times"), checkTimes, nil),
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

// decoded reads a list of what Alertmanager's library decodes, if it is fine, and checks
// each entry.
func decoded[T any](p *parsed, v yamlfile.Value, fine func(yamlfile.Value) bool, check func(yamlfile.Value, T)) []T {
	return remembered(p.memo, memoKey{v, fmt.Sprintf("%T", *new(T)), ""}, func() []T {
		if !within(v, "the list", p.limits.Exclusions, "exclusions") || fine != nil && !fine(v) {
			return nil
		}
		var out []T
		for _, e := range v.List() {
			var t T
			if !e.Decode(&t) {
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

// parseZone reports whether a value names a time zone, and suggests one.
func (p *parsed) parseZone(v yamlfile.Value) bool {
	text := v.OneLine()
	if p.noZones < maxNoZones {
		if _, err := slo.NewCalendar(slo.Week, text); err == nil {
			return true
		}
	}
	if p.noZones++; v.IsScalar() {
		hint := "write a name of the IANA database, such as Europe/Berlin or UTC"
		if p.noZones < maxNoZones/2 {
			if near := nearestZone(text); near != "" {
				hint = "did you mean " + near + "?"
			}
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
		_, err := slo.Location(area + city)
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return areas[i] + city
}
