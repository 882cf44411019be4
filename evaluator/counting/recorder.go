package counting

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Finding is an observation in the samples of a counter that is more than a plain
// increment.
type Finding struct {
	Time       time.Time         `json:"time"` // of the sample that shows it
	Kind       FindingKind       `json:"kind"`
	Series     map[string]string `json:"series"`      // labels, with the name
	Counts     []string          `json:"counts"`      // roles of the series: good, bad, total
	Events     float64           `json:"events"`      // events that it added
	NotCounted float64           `json:"not_counted"` // events left out for lack of evidence
	Seconds    float64           `json:"seconds"`     // length of a gap
}

// FindingKind is the kind of a Finding.
type FindingKind string

// The kinds of findings. docs/explanation/counting.md has the rules.
const (
	FindReset     FindingKind = "reset"     // the counter fell: the process restarted
	FindBirth     FindingKind = "birth"     // the counter is new, and counted from zero
	FindRebirth   FindingKind = "rebirth"   // the counter was away, and began again from zero
	FindAmbiguous FindingKind = "ambiguous" // the counter may have begun from zero; nothing is counted
	FindDip       FindingKind = "dip"       // the counter fell a little: samples of two replicas
	FindGap       FindingKind = "gap"       // scrapes are missing before it
)

// FindingKinds contains all kinds of findings.
var FindingKinds = []FindingKind{FindReset, FindBirth, FindRebirth, FindAmbiguous, FindDip, FindGap}

// Recorder records how the events of a window are counted: the findings, and the numbers
// from which the result of increase() can be predicted. A nil Recorder records nothing.
type Recorder struct {
	From, To timeline.Minute // the window (from, to]
	Series   map[uint64]*SeriesStats
	Findings map[FindingKind]*findings
}

// SeriesStats contains the numbers of one series.
type SeriesStats struct {
	Roles       Role
	First, Last backend.Sample // first in the window, and last of all
	Samples     int            // in the window
	GrownBefore float64        // growth from the last sample before the window to the first in it
	GrownInside float64        // growth between the samples in the window, as increase() counts it
	Extra       float64        // counted beyond the growth, with births
	Births      float64        // counted as births
}

// findings contains the findings of one kind. It keeps only the largest.
type findings struct {
	Count   int
	ByRole  map[Role]float64 // events counted, or not counted, by role
	Longest float64          // longest gap, in seconds
	Largest []Finding
}

// NewRecorder returns a Recorder of the window (from, to].
func NewRecorder(from, to timeline.Minute) *Recorder {
	return &Recorder{From: from, To: to, Series: map[uint64]*SeriesStats{}, Findings: map[FindingKind]*findings{}}
}

func (r *Recorder) covers(at int64) bool {
	return r != nil && timeline.SlotEnd(at) > r.From && timeline.SlotEnd(at) <= r.To
}

func (r *Recorder) statsOf(raw *RawSeries) *SeriesStats {
	t := r.Series[raw.Key]
	if t == nil {
		t = &SeriesStats{Roles: raw.Roles}
		r.Series[raw.Key] = t
	}
	return t
}

// Sample records a sample and the events that it added at once.
func (r *Recorder) Sample(raw *RawSeries, s backend.Sample, counted float64) {
	if r == nil {
		return
	}
	t := r.statsOf(raw)
	if r.covers(s.T) {
		grown := 0.0
		switch {
		case t.Last.T == 0:
		case s.V < t.Last.V:
			grown = s.V
		default:
			grown = s.V - t.Last.V
		}
		if t.Samples == 0 {
			t.First, t.GrownBefore = s, grown
		} else {
			t.GrownInside += grown
		}
		t.Extra += counted - grown
		t.Samples++
	}
	t.Last = s
}

// Values records samples of series that are not counters.
func (r *Recorder) Values(batch []RawSeries, from, to timeline.Minute) {
	for i := range batch {
		for _, s := range backend.Between(batch[i].Samples, max(from, r.From).Millis(), min(to, r.To).Millis()) {
			t := r.statsOf(&batch[i])
			if t.Samples == 0 {
				t.First = s
			}
			t.Last = s
			t.Samples++
		}
	}
}

// addResolved records events that were added when an unproven count was resolved.
func (r *Recorder) addResolved(raw *RawSeries, at int64, events float64) {
	if r.covers(at) {
		r.statsOf(raw).Extra += events
	}
}

// addFinding records a finding. For a gap, events is its length in seconds.
func (r *Recorder) addFinding(kind FindingKind, raw *RawSeries, at int64, events float64) {
	if !r.covers(at) {
		return
	}
	f := r.Findings[kind]
	if f == nil {
		f = &findings{ByRole: map[Role]float64{}}
		r.Findings[kind] = f
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
		r.statsOf(raw).Births += events
	}
	f.Count++
	for _, r := range AllRoles {
		if raw.Roles&r != 0 && kind != FindGap {
			f.ByRole[r] += events
		}
	}
	f.Largest = append(f.Largest, x)
	if len(f.Largest) >= 2*maxFindings {
		f.Trim()
	}
}

// maxFindings is the number of findings of a kind that are kept.
const maxFindings = 1000

// Trim keeps the largest findings. Of equal ones it keeps the newest.
func (f *findings) Trim() {
	slices.SortFunc(f.Largest, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.size(), a.size()), b.Time.Compare(a.Time), CompareSeries(a, b))
	})
	f.Largest = f.Largest[:min(len(f.Largest), maxFindings)]
}

// CompareSeries orders findings by the labels of their series.
func CompareSeries(a, b Finding) int {
	return labels.Compare(labels.FromMap(a.Series), labels.FromMap(b.Series))
}

// size returns the number by which findings of a kind are ordered.
func (f Finding) size() float64 { return f.Events + f.NotCounted + f.Seconds }

// AllRoles contains all roles, in the order of their names.
var AllRoles = []Role{RoleGood, RoleBad, RoleTotal}

// Names returns the names of the roles.
func (r Role) Names() []string {
	out := []string{}
	for i, name := range []string{"good", "bad", "total"} {
		if r&AllRoles[i] != 0 {
			out = append(out, name)
		}
	}
	return out
}
