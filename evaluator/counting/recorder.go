package counting

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
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

// Recorder notes how the events of a window are counted: what is found in the
// samples, and what it takes to tell beforehand what increase() says of them.
type Recorder struct {
	From, To timeline.Minute // the window (from, to]
	Series   map[uint64]*SeriesStats
	Found    map[FindingKind]*findings
}

// SeriesStats is what is noted of one series.
type SeriesStats struct {
	Roles       Role
	First, Last backend.Sample // first in the window, and last of all
	Samples     int            // in the window
	Before      float64        // grown from the last sample before the window to the first in it
	Inside      float64        // grown between the samples in it, as increase() counts
	Apart       float64        // counted beyond what it has grown by, births included
	Births      float64        // counted as births
}

// findings is what is found of one kind. Only the largest are kept.
type findings struct {
	Count   int
	ByRole  map[Role]float64 // events counted, or not counted, by what they count
	Longest float64          // gap, in seconds
	Largest []Finding
}

// NewRecorder makes a Recorder of the window (from, to].
func NewRecorder(from, to timeline.Minute) *Recorder {
	return &Recorder{From: from, To: to, Series: map[uint64]*SeriesStats{}, Found: map[FindingKind]*findings{}}
}

func (w *Recorder) has(at int64) bool {
	return timeline.SlotEnd(at) > w.From && timeline.SlotEnd(at) <= w.To
}

func (w *Recorder) trace(raw *RawSeries) *SeriesStats {
	t := w.Series[raw.Key]
	if t == nil {
		t = &SeriesStats{Roles: raw.Roles}
		w.Series[raw.Key] = t
	}
	return t
}

// Sample notes a sample and what was counted by it at once.
func (w *Recorder) Sample(raw *RawSeries, s backend.Sample, counted float64) {
	t := w.trace(raw)
	if w.has(s.T) {
		grown := 0.0
		switch {
		case t.Last.T == 0:
		case s.V < t.Last.V:
			grown = s.V
		default:
			grown = s.V - t.Last.V
		}
		if t.Samples == 0 {
			t.First, t.Before = s, grown
		} else {
			t.Inside += grown
		}
		t.Apart += counted - grown
		t.Samples++
	}
	t.Last = s
}

// Values notes samples that are no counters'.
func (w *Recorder) Values(batch []RawSeries, from, to timeline.Minute) {
	for i := range batch {
		for _, s := range backend.Between(batch[i].Samples, max(from, w.From).Millis(), min(to, w.To).Millis()) {
			t := w.trace(&batch[i])
			if t.Samples == 0 {
				t.First = s
			}
			t.Last = s
			t.Samples++
		}
	}
}

// settled notes events that were counted by a claim.
func (w *Recorder) settled(raw *RawSeries, at int64, events float64) {
	if w.has(at) {
		w.trace(raw).Apart += events
	}
}

// find notes a finding; for a gap, events are its length in seconds.
func (w *Recorder) find(kind FindingKind, raw *RawSeries, at int64, events float64) {
	if !w.has(at) {
		return
	}
	f := w.Found[kind]
	if f == nil {
		f = &findings{ByRole: map[Role]float64{}}
		w.Found[kind] = f
	}
	x := Finding{Time: time.UnixMilli(at).UTC(), Kind: kind, Series: raw.Labels.Map(), Counts: raw.Roles.Names()}
	delete(x.Series, withinLabel)
	switch kind {
	case FindGap:
		x.Seconds = events
		f.Longest = max(f.Longest, events)
	case FindAmbiguous:
		x.NotCounted = events
	default:
		x.Events = events
	}
	if kind == FindBirth {
		w.trace(raw).Births += events
	}
	f.Count++
	for _, r := range AllRoles {
		if raw.Roles&r != 0 && kind != FindGap {
			f.ByRole[r] += events
		}
	}
	if f.Largest = append(f.Largest, x); len(f.Largest) >= 2*maxFindings {
		f.Cut()
	}
}

// maxFindings is how many findings of a kind are kept.
const maxFindings = 1000

// Cut keeps the largest, the newest of those that are as large.
func (f *findings) Cut() {
	slices.SortFunc(f.Largest, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.size(), a.size()), b.Time.Compare(a.Time), CompareSeries(a, b))
	})
	f.Largest = f.Largest[:min(len(f.Largest), maxFindings)]
}

// CompareSeries orders findings by the labels of their series.
func CompareSeries(a, b Finding) int {
	return labels.Compare(labels.FromMap(a.Series), labels.FromMap(b.Series))
}

// size orders the findings of a kind.
func (f Finding) size() float64 { return f.Events + f.NotCounted + f.Seconds }

// AllRoles are all roles, in the order in which they are named.
var AllRoles = []Role{RoleGood, RoleBad, RoleTotal}

// Names are the words for roles.
func (r Role) Names() []string {
	out := []string{}
	for i, name := range []string{"good", "bad", "total"} {
		if r&AllRoles[i] != 0 {
			out = append(out, name)
		}
	}
	return out
}
