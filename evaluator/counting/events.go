package counting

import (
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// CountEvent counts one event in a slot, and marks the slot as known.
func (e *Events) CountEvent(end timeline.Minute, bad bool) {
	i := end - e.From - 1
	e.Known[i] = true
	e.Total[i]++
	if bad {
		e.Bad[i]++
	}
	e.AliveUntil = max(e.AliveUntil, end.Millis())
}

// Events contains the events that a Method counted, with their evidence.
type Events struct {
	Basis                       // same as in the Method
	From        timeline.Minute // start of the first slot
	Total       []float64
	good, Bad   []float64
	Known       []bool               // slots with samples close enough to each other
	KnownBefore [][2]timeline.Minute // known times (from, to] before From
	Unproven    []Unproven
	Surpluses   Surpluses
	Births      int // counted from zero, on evidence
	Ambiguous   int // births and falls without evidence, counted as nothing
	Undecided   Undecided
	Newest      int64 // time of the newest clock sample, in milliseconds
	NewestNaN   int64 // time of the newest value that is NaN, in milliseconds
	AliveUntil  int64 // time until which series that are gone count as present, in milliseconds
}

// Unproven is a count that the series alone do not prove. The events happened if the
// process began after Since and can have counted Value by Seen.
type Unproven struct {
	Kind      FindingKind
	Raw       *RawSeries
	At        int64   // time of the sample, in milliseconds
	Since     int64   // the process must have begun after it, in milliseconds
	Seen      int64   // when the process had counted Value, in milliseconds
	Value     float64 // 0 for any
	Rate      float64 // plausible events in a millisecond; 0 if unknown
	Began     int64   // when the process began, in milliseconds; 0 if unknown
	Answered  bool    // the start times of the process have been read
	Doubtful  bool    // report it if it is not counted
	Events    float64 // to add if the process began after Since
	Fallback  float64 // to add otherwise, or if the start is unknown
	Undecided float64 // events that may have happened otherwise, or if the start is unknown
}

// proven reports whether the process began after Since. A wrong clock proves nothing.
func (c *Unproven) proven() bool {
	if c.Began == 0 || c.Began > c.At || c.Began <= c.Since {
		return false
	}
	return c.Rate == 0 || c.Value <= Slack+c.Rate*float64(c.Seen-c.Began)
}

// NewEvents returns Events for the slots of (from, to]. No slot is known yet.
func NewEvents(clock Role, from, to timeline.Minute) *Events {
	n := int(to - from)
	return &Events{
		Basis: Basis{Clock: clock}, From: from, Known: make([]bool, n),
		Total: make([]float64, n), good: make([]float64, n), Bad: make([]float64, n),
	}
}

// AddBirth counts a series that began from zero, and records the finding.
func (e *Events) AddBirth(raw *RawSeries, at int64, events float64) {
	e.Births++
	e.AddFinding(FindBirth, raw, at, events)
}

// AddTo adds events to the slot that ends at an instant. It does not make it known.
func (e *Events) AddTo(end timeline.Minute, total, bad float64) {
	e.Total[end-e.From-1] += total
	e.Bad[end-e.From-1] += bad
}

// KeepAlive makes series that are gone count as present until an instant.
func (e *Events) KeepAlive(until timeline.Minute) { e.AliveUntil = max(e.AliveUntil, until.Millis()) }

// SeeNaN notes the time of a value that is NaN, in milliseconds.
func (e *Events) SeeNaN(at int64) { e.NewestNaN = max(e.NewestNaN, at) }

// SeeClock notes the time of a clock sample, in milliseconds.
func (e *Events) SeeClock(at int64) { e.Newest = max(e.Newest, at) }

// MarkKnown marks the slots of (from, to] as known.
func (e *Events) MarkKnown(from, to timeline.Minute) {
	if from < e.From {
		e.KnownBefore = append(e.KnownBefore, [2]timeline.Minute{from, min(to, e.From)})
		from = e.From
	}
	for m := from; m < to; m++ {
		e.Known[m-e.From] = true
	}
}

// Add counts events of a series in a slot, for each of its roles.
func (e *Events) Add(slot timeline.Minute, raw *RawSeries, events float64) {
	i := int(slot-e.From) - 1
	weighted := func(j int) float64 {
		if raw.Weights == nil {
			return events
		}
		return timeline.Rounded(events * raw.Weights[j])
	}
	if raw.Roles&RoleGood != 0 {
		e.good[i] += weighted(0)
	}
	if raw.Roles&RoleBad != 0 {
		e.Bad[i] += weighted(1)
	}
	if raw.Roles&RoleTotal != 0 {
		e.Total[i] += weighted(2)
	}
}

// Increment is a sample of a counter, with the events that it adds at once.
type Increment struct {
	Raw       *RawSeries
	Last, Now backend.Sample // the time of Last is 0 for the first sample
	Delta     float64
	Fell      bool // the counter fell, and it is not decided why
	Excused   bool // increase() may count it differently
	First     bool // it is the first growth of the counter
}

// Count counts a sample of a counter, and records how.
func (e *Events) Count(i Increment) {
	e.Rulings.add(i)
	e.Recorder.Sample(i.Raw, i.Now, i.Delta)
	e.Add(timeline.SlotEnd(i.Now.T), i.Raw, i.Delta)
	e.Surpluses.Add(timeline.SlotEnd(i.Now.T), i.Raw, i.surplus())
	if i.First {
		e.Surpluses.extrapolate(timeline.SlotEnd(i.Now.T), i.Raw, i.Delta)
	}
}

// Slot returns the i-th slot. Two of good, bad and total are counted, and the third is
// computed from them. A computed bad count is signed; only sums are clamped at 0.
func (e *Events) Slot(i int, counted Role) timeline.Slot {
	s := timeline.Slot{Total: e.Total[i], Bad: e.Bad[i], Known: e.Known[i]}
	switch counted {
	case RoleGood | RoleTotal:
		s.Bad = e.Total[i] - e.good[i]
	case RoleGood | RoleBad:
		s.Total = e.good[i] + e.Bad[i]
	}
	return s
}

// AddUnproven adds a count that is not proven yet. Resolve decides it later.
func (e *Events) AddUnproven(c Unproven) {
	if !c.Answered { // nor was it for the whole
		c.Began = e.Starts.At(c.Raw.Target, c.At)
		c.Answered = c.Began != 0 || e.Starts.hasNone(c.Raw.Target)
	}
	e.Unproven = append(e.Unproven, c)
	if e.Rulings != nil {
		r := e.Rulings.at(c.Raw.Key, c.At)
		r.claims = append(r.claims, c)
	}
}

// AddFinding records a finding. For a gap, events is its length in seconds.
func (e *Events) AddFinding(kind FindingKind, raw *RawSeries, at int64, events float64) {
	if e.Rulings != nil && kind != FindGap { // each group finds gaps itself
		r := e.Rulings.at(raw.Key, at)
		r.found = append(r.found, ruledFinding{kind, events})
	}
	e.Recorder.addFinding(kind, raw, at, events)
}

// Resolve decides an unproven count: it adds the events that are certain, and records
// what is not.
func (e *Events) Resolve(c Unproven) {
	proven, events := c.proven(), c.Fallback
	if proven {
		events = c.Events
	}
	if events > 0 {
		if c.Kind == FindBirth {
			e.Births++
		}
		e.Add(timeline.SlotEnd(c.At), c.Raw, events)
		e.Surpluses.Add(timeline.SlotEnd(c.At), c.Raw, events)
		e.Recorder.addResolved(c.Raw, c.At, events)
		e.Recorder.addFinding(c.Kind, c.Raw, c.At, events)
	}
	if proven || !c.Doubtful || events > 0 {
		return
	}
	e.Ambiguous++
	e.Recorder.addFinding(FindAmbiguous, c.Raw, c.At, max(c.Events, c.Undecided))
	if c.Undecided > 0 && (c.Kind != FindBirth || c.Began == 0) { // the first value of an old process was counted before
		e.Undecided.add(c)
	}
}
