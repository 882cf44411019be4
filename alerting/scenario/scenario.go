// Package scenario simulates services that alert policies are held against: what
// should wake somebody, and what should not. The evaluator's alerts and those of
// generated rules are played by the same.
//
// A use, from a scenario to what its alerts were worth:
//
//	p := c.Play(seed, func(minute int, slot evaluator.Slot) []string { ... })
//	t := c.Tally(p)
package scenario

import (
	"math"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Begin is when the 31 days begin, at a quarter of an hour.
const Begin = timeline.Minute(30_000_000)

// Scenario is a Minutes service, whose SLO is 99.9 % over 30 d, for 31 days
// after a month in which it failed as usual. Times are minutes since the 31 days
// began, at midnight.
type Scenario struct {
	Name      string
	Window    slo.Period               // 30 d unless it is set
	Traffic   func(minute int) float64 // requests a minute
	Usual     float64                  // ratio of requests that fail by themselves
	Fails     func(minute int) float64 // ratio of requests that fail otherwise; 0 for as usual
	Incidents [][2]int                 // from, to: when somebody should know
	Known     func(minute int) bool    // nil for always
	Extra     map[int][2]float64       // requests, and bad ones, on top of a minute
	Exclude   []slo.Exclusion

	// What each seed must give by the default policy.
	Pages, Tickets [2]int // from, to
	Either         bool   // one page or one ticket, not both
	Within         int    // minutes from the end of the first bad slot of each incident to an alert; 0 for none asked
	By             string // the severity of that alert
}

// Minutes are those of the 31 days.
const Minutes = 31 * aDay

const (
	aDay   = 24 * 60
	minute = slo.Window(time.Minute)
)

// steady is traffic of so many requests a second.
func steady(perSecond float64) func(int) float64 {
	return func(int) float64 { return perSecond * 60 }
}

// diurnal is traffic between 0.5 requests a second at midnight and 80 at noon.
func diurnal(minute int) float64 {
	return 60 * (0.5 + 79.5*(1-math.Cos(2*math.Pi*float64(minute)/aDay))/2)
}

// during is a ratio from one minute to another.
func during(ratio float64, from, to int) func(int) float64 {
	return func(m int) float64 {
		if m >= from && m < to {
			return ratio
		}
		return 0
	}
}

// nightly is a ratio between two hours of each day from one day to another. The
// hours may be on both sides of midnight.
func nightly(ratio float64, fromHour, toHour, fromDay, toDay int) func(int) float64 {
	return func(m int) float64 {
		hour, day := m%aDay/60, m/aDay
		in := hour >= fromHour && hour < toHour
		if fromHour > toHour {
			in = hour >= fromHour || hour < toHour
		}
		if in && day >= fromDay && day < toDay {
			return ratio
		}
		return 0
	}
}

// at3 is 3 in the morning of a day.
func at3(day int) int { return day*aDay + 3*60 }

// All are those of steady traffic, of little traffic, of nights, of what goes
// on for long, and of what is no incident.
func All() []Scenario {
	return slices.Concat(steadyScenarios(), quietScenarios(), longScenarios(), falseScenarios())
}

// Ratios of what 99.9 % allows.
const (
	tenth = 0.0001
	half  = 0.0005
)

// incident is one at 3 in the morning of the 16th day.
func incident(minutes int) [][2]int { return [][2]int{{at3(15), at3(15) + minutes}} }

func steadyScenarios() []Scenario {
	hit := func(name string, ratio float64, minutes, within int) Scenario {
		return Scenario{
			Name: "40/s, " + name, Traffic: steady(40), Usual: tenth, Fails: during(ratio, at3(15), at3(15)+minutes), Incidents: incident(minutes),
			Pages: [2]int{1, 1}, Tickets: [2]int{0, 1}, Within: within, By: slo.Page,
		}
	}
	slow := hit("0.5 % fail for 2 d", 0.005, 2*aDay, 15*60)
	slow.By, slow.Pages, slow.Tickets = slo.Ticket, [2]int{}, [2]int{1, 1}
	flapping := hit("20 % fail for 5 min of each 10 for 3 h", 0.2, 180, 10)
	on := flapping.Fails
	flapping.Fails = func(m int) float64 { return on(m) * float64(1-m%10/5) }
	return []Scenario{
		hit("all fail for 30 min", 1, 30, 2), hit("10 % fail for 1 h", 0.1, 60, 10), hit("2 % fail for 2 h", 0.02, 120, 45), slow, flapping,
		{
			Name: "10/s, 90 % of a burst fail within 20 s, 3 % of the budget", Traffic: steady(10), Usual: tenth, Incidents: incident(1),
			Extra: map[int][2]float64{at3(15): {864, 778}}, Pages: [2]int{0, 1}, Tickets: [2]int{0, 1}, Either: true,
		},
	}
}

func quietScenarios() []Scenario {
	small := steady(72.0 / 3600)
	night := [][2]int{{15*aDay + 60, 15*aDay + 90}}
	return []Scenario{
		{Name: "72/h, half of what is allowed fails", Traffic: small, Usual: half},
		{Name: "72/h, all fail for 1 h", Traffic: small, Usual: half, Fails: during(1, at3(15), at3(15)+60), Incidents: incident(60),
			Pages: [2]int{1, 1}, Tickets: [2]int{0, 1}, Within: 10, By: slo.Page},
		{Name: "72/h, 1 in 10 fails for 1 d", Traffic: small, Usual: half, Fails: during(0.1, at3(15), at3(16)), Incidents: incident(aDay),
			Pages: [2]int{1, 24}, Tickets: [2]int{1, 1}, Within: 120, By: slo.Page},
		{Name: "0.5 to 80/s, 1 % fails from 22 to 4", Traffic: diurnal, Fails: nightly(0.01, 22, 4, 0, 31)},
		{Name: "0.5 to 80/s, 1.27 % fails from 22 to 4, 1.5 % of the budget", Traffic: diurnal, Fails: nightly(0.0127, 22, 4, 0, 31)},
		{Name: "0.5 to 80/s, all fail from 1:00 to 1:30", Traffic: diurnal, Usual: tenth, Fails: during(1, night[0][0], night[0][1]), Incidents: night,
			Pages: [2]int{1, 1}, Tickets: [2]int{0, 1}, Within: 15, By: slo.Page},
	}
}

func longScenarios() []Scenario {
	weeks := [][2]int{{at3(5) - 60, at3(25)}} // of nights whose hour begins at 2
	trickle := func(name string, perSecond float64) Scenario {
		return Scenario{Name: name + ", 1.2 times what is allowed fails for 3 weeks", Traffic: steady(perSecond), Usual: tenth,
			Fails: during(0.0012, weeks[0][0], weeks[0][1]), Incidents: weeks, Tickets: [2]int{1, 1}}
	}
	return []Scenario{
		trickle("40/s", 40), trickle("5/s", 5), trickle("1/s", 1),
		{Name: "40/s, as much in one hour of each night", Traffic: steady(40), Fails: nightly(0.0288, 2, 3, 5, 26), Incidents: weeks,
			Pages: [2]int{21, 21}, Tickets: [2]int{1, 1}}, // each hour takes 4 % of the budget, at 28.8 times the rate
	}
}

func falseScenarios() []Scenario {
	from := (Begin + timeline.Minute(at3(15))).Time()
	unseen := func(minutes int) func(int) bool {
		return func(m int) bool { return m < at3(15) || m >= at3(15)+minutes }
	}
	return []Scenario{
		{Name: "40/s, as usual", Traffic: steady(40), Usual: tenth},
		{Name: "40/s, a deploy each 4 h fails 5 % for 10 s", Traffic: steady(40), Usual: tenth, Fails: func(m int) float64 {
			if m%240 == 100 {
				return 0.05 / 6
			}
			return 0
		}},
		{Name: "40/s, all fail for 1 h that is excluded", Traffic: steady(40), Usual: tenth, Fails: during(1, at3(15), at3(15)+60),
			Exclude: []slo.Exclusion{{From: from, To: from.Add(time.Hour)}}},
		{Name: "40/s, nothing is known for 2 h", Traffic: steady(40), Usual: tenth, Known: unseen(120)},
		{Name: "40/s, no scrapes for 20 min, then their counts", Traffic: steady(40), Usual: tenth, Known: unseen(20),
			Extra: map[int][2]float64{at3(15) + 20: {48000, 5}}},
		{Name: "40/s, no scrapes for 20 min, in which 10 % fail", Traffic: steady(40), Usual: tenth, Known: unseen(20), Incidents: [][2]int{{at3(15) + 20, at3(15) + 21}},
			Extra: map[int][2]float64{at3(15) + 20: {48000, 4800}}, Pages: [2]int{1, 1}, Tickets: [2]int{0, 1}, Within: 1, By: slo.Page},
	}
}
