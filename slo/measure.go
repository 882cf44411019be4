package slo

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// Measure is a way of getting events from a backend: Counters, Increments, States,
// Levels, Runs, Rates or Parts.
type Measure interface{ measure() }

// Counters are counters of events. Exactly two of them are set; the third
// follows, with total = good + bad.
type Counters struct {
	Good, Bad, Total Counter
	Native           *Native // the native histograms that hold good and total too
}

// Increments are gauges of which each sample is the number of events since the sample
// before it. Two of Good, Bad and Total are set.
type Increments struct {
	Good, Bad, Total Counter
	PerSecond        bool // a sample is that number per second instead
}

// Counter is a sum of counters, each counted Weight times.
type Counter []Term

// Term is a selector of counters in a sum of them.
type Term struct {
	Selector Selector
	Weight   float64
}

// NewCounter counts what a selector selects.
func NewCounter(s Selector) Counter { return Counter{{s, 1}} }

// IsZero reports whether nothing is counted.
func (c Counter) IsZero() bool { return len(c) == 0 }

// Plain is the selector of a counter that is one selector counted once.
func (c Counter) Plain() (Selector, bool) {
	if len(c) == 1 && c[0].Weight == 1 {
		return c[0].Selector, true
	}
	return Selector{}, false
}

// String is the counter as a sum of selectors.
func (c Counter) String() string { return c.Sum(Selector.String) }

// Sum is the counter with its selectors in a form.
func (c Counter) Sum(form func(Selector) string) string {
	var b strings.Builder
	for i, t := range c {
		switch {
		case i > 0 && t.Weight < 0:
			b.WriteString(" - ")
		case i > 0:
			b.WriteString(" + ")
		case t.Weight < 0:
			b.WriteString("-")
		}
		if w := math.Abs(t.Weight); w != 1 {
			b.WriteString(strconv.FormatFloat(w, 'g', -1, 64) + " * ")
		}
		b.WriteString(form(t.Selector))
	}
	return b.String()
}

// Native are native histograms whose buckets count how many observations took at
// most Threshold.
type Native struct {
	Histogram Selector
	Threshold float64 // in the histogram's unit
}

// States are 0/1 gauges: each series has one event in each slot with samples, a
// bad one when any of them is 0.
type States struct {
	Gauge  Selector
	Absent bool // a series that is gone goes on with bad events for a time
}

// Unit implements Indicator.
func (States) Unit() string { return UnitMinutes }

// Measure implements Indicator.
func (s States) Measure() Measure { return s }

// Levels are the values of an expression at the end of each slot. A slot is one
// event, a bad one unless all values are good.
type Levels struct {
	Query  string
	Op     string // <, <=, >, >=, == or !=; a value is good if it compares so with Value
	Value  float64
	MaxAge time.Duration // if not 0, values are times in seconds since the epoch, good up to this age
	Absent bool          // a slot without values is bad as long as there were some within a time
}

// Unit implements Indicator.
func (Levels) Unit() string { return UnitMinutes }

// Measure implements Indicator.
func (l Levels) Measure() Measure { return l }

// Good reports whether a value is good at the end of a slot.
func (l Levels) Good(at time.Time, v float64) bool {
	if l.MaxAge > 0 {
		return float64(at.Unix())-v <= l.MaxAge.Seconds()
	}
	switch l.Op {
	case "<":
		return v < l.Value
	case "<=":
		return v <= l.Value
	case ">":
		return v > l.Value
	case ">=":
		return v >= l.Value
	case "==":
		return v == l.Value
	}
	return v != l.Value
}

// Possible reports whether a value counts as one. A time that can't be one does not.
func (l Levels) Possible(at time.Time, v float64) bool {
	return l.MaxAge == 0 || v >= 0 && v <= float64(at.Add(Ahead).Unix())
}

// Remember returns for how long a series that is gone goes on with its last value.
func (l Levels) Remember() time.Duration {
	if l.MaxAge == 0 {
		return 0
	}
	return l.MaxAge + Remembrance
}

// Runs are runs of jobs, of which an expression gives the time of the last
// success. Each new time is a good event; a bad one is each Every that passes
// after a success without another, at its end and Grace.
type Runs struct {
	LastSuccess  string
	Every, Grace time.Duration
}

// Rates are expressions that give numbers of events, as they are at the end of
// each slot. Two of Good, Bad and Total are set.
type Rates struct{ Good, Bad, Total Rate }

// Rate is an expression over a range that ends with the slot.
type Rate struct {
	Query    string
	Factor   float64 // from its value to events in a slot
	Text     string  // the expression in the SLO file
	Obstacle string  // the part of Text because of which its counters can't be counted; "" when they could
}

// Obstacle is the first part of the numbers because of which they are estimated.
func (r Rates) Obstacle() string { return cmp.Or(r.Good.Obstacle, r.Bad.Obstacle, r.Total.Obstacle) }

// Parts are SLOs of which a slot of any makes a slot bad.
type Parts []*SLO

func (Counters) measure()   {}
func (Increments) measure() {}
func (States) measure()     {}
func (Levels) measure()     {}
func (Runs) measure()       {}
func (Rates) measure()      {}
func (Parts) measure()      {}
