package evaluator

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Finding is something in the samples of a counter that is more than a plain
// increment.
type Finding struct {
	Time       time.Time         `json:"time"` // of the sample that shows it
	Kind       FindingKind       `json:"kind"`
	Series     map[string]string `json:"series"`      // its labels, the name among them
	Counts     []string          `json:"counts"`      // what the series counts: good, bad, total
	Events     float64           `json:"events"`      // counted by it
	NotCounted float64           `json:"not_counted"` // events left out for want of evidence
	Seconds    float64           `json:"seconds"`     // the length of a gap
}

// FindingKind is a kind of Finding.
type FindingKind string

// The kinds of findings; docs/explanation/counting.md has the rules.
const (
	FindReset     FindingKind = "reset"     // it fell: the process restarted
	FindBirth     FindingKind = "birth"     // it is new, and counted from zero
	FindRebirth   FindingKind = "rebirth"   // it was away, and began again from zero
	FindAmbiguous FindingKind = "ambiguous" // it may have begun from zero; nothing is counted
	FindDip       FindingKind = "dip"       // it fell a little: samples of two replicas
	FindGap       FindingKind = "gap"       // scrapes are missing before it
)

// FindingKinds are all kinds of findings.
var FindingKinds = []FindingKind{FindReset, FindBirth, FindRebirth, FindAmbiguous, FindDip, FindGap}

// witness notes how the events of a window are counted: what is found in the
// samples, and what it takes to tell beforehand what increase() says of them.
type witness struct {
	from, to Minute // the window (from, to]
	series   map[uint64]*trace
	found    map[FindingKind]*found
}

// trace is what is noted of one series.
type trace struct {
	roles       role
	first, last sample  // first in the window, and last of all
	samples     int     // in the window
	before      float64 // grown from the last sample before the window to the first in it
	inside      float64 // grown between the samples in it, as increase() counts
	apart       float64 // counted beyond what it has grown by, births included
	births      float64 // counted as births
}

// found is what is found of one kind. Only the largest are kept.
type found struct {
	count   int
	byRole  map[role]float64 // events counted, or not counted, by what they count
	longest float64          // gap, in seconds
	largest []Finding
}

func newWitness(from, to Minute) *witness {
	return &witness{from: from, to: to, series: map[uint64]*trace{}, found: map[FindingKind]*found{}}
}

func (w *witness) has(at int64) bool { return slotEnd(at) > w.from && slotEnd(at) <= w.to }

func (w *witness) trace(raw *rawSeries) *trace {
	t := w.series[raw.key]
	if t == nil {
		t = &trace{roles: raw.roles}
		w.series[raw.key] = t
	}
	return t
}

// sample notes a sample and what was counted by it at once.
func (w *witness) sample(raw *rawSeries, s sample, counted float64) {
	t := w.trace(raw)
	if w.has(s.t) {
		grown := 0.0
		switch {
		case t.last.t == 0:
		case s.v < t.last.v:
			grown = s.v
		default:
			grown = s.v - t.last.v
		}
		if t.samples == 0 {
			t.first, t.before = s, grown
		} else {
			t.inside += grown
		}
		t.apart += counted - grown
		t.samples++
	}
	t.last = s
}

// values notes samples that are no counters'.
func (w *witness) values(batch []rawSeries, from, to Minute) {
	for i := range batch {
		for _, s := range between(batch[i].samples, max(from, w.from).millis(), min(to, w.to).millis()) {
			t := w.trace(&batch[i])
			if t.samples == 0 {
				t.first = s
			}
			t.last = s
			t.samples++
		}
	}
}

// settled notes events that were counted by a claim.
func (w *witness) settled(raw *rawSeries, at int64, events float64) {
	if w.has(at) {
		w.trace(raw).apart += events
	}
}

// find notes a finding; for a gap, events are its length in seconds.
func (w *witness) find(kind FindingKind, raw *rawSeries, at int64, events float64) {
	if !w.has(at) {
		return
	}
	f := w.found[kind]
	if f == nil {
		f = &found{byRole: map[role]float64{}}
		w.found[kind] = f
	}
	x := Finding{Time: time.UnixMilli(at).UTC(), Kind: kind, Series: raw.labels.Map(), Counts: raw.roles.names()}
	delete(x.Series, withinLabel)
	switch kind {
	case FindGap:
		x.Seconds = events
		f.longest = max(f.longest, events)
	case FindAmbiguous:
		x.NotCounted = events
	default:
		x.Events = events
	}
	if kind == FindBirth {
		w.trace(raw).births += events
	}
	f.count++
	for _, r := range allRoles {
		if raw.roles&r != 0 && kind != FindGap {
			f.byRole[r] += events
		}
	}
	if f.largest = append(f.largest, x); len(f.largest) >= 2*maxFindings {
		f.cut()
	}
}

// maxFindings is how many findings of a kind are kept.
const maxFindings = 1000

// cut keeps the largest, the newest of those that are as large.
func (f *found) cut() {
	slices.SortFunc(f.largest, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.size(), a.size()), b.Time.Compare(a.Time), compareSeries(a, b))
	})
	f.largest = f.largest[:min(len(f.largest), maxFindings)]
}

func compareSeries(a, b Finding) int {
	return labels.Compare(labels.FromMap(a.Series), labels.FromMap(b.Series))
}

// size orders the findings of a kind.
func (f Finding) size() float64 { return f.Events + f.NotCounted + f.Seconds }

// allRoles are all roles, in the order in which they are named.
var allRoles = []role{roleGood, roleBad, roleTotal}

// names are the words for roles.
func (r role) names() []string {
	out := []string{}
	for i, name := range []string{"good", "bad", "total"} {
		if r&allRoles[i] != 0 {
			out = append(out, name)
		}
	}
	return out
}
