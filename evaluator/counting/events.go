package counting

import (
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Event counts one event in a slot that is known.
func (o *Events) Event(end timeline.Minute, bad bool) {
	i := end - o.From - 1
	o.Known[i] = true
	o.Total[i]++
	if bad {
		o.Bad[i]++
	}
	o.Alive = max(o.Alive, end.Millis())
}

// Events is where a counter puts what it finds.
type Events struct {
	Clock     Role            // as the accounts'
	From      timeline.Minute // the slots begin here
	Total     []float64
	good, Bad []float64
	Known     []bool               // slots with samples near enough to each other
	Before    [][2]timeline.Minute // (from, to] that are known, in slots before these
	Claims    []Unproven
	Surpluses Surpluses
	Births    int // counted from zero, on evidence
	Ambiguous int // births and falls without evidence, counted as nothing
	Undecided Undecided
	Newest    int64     // time of the newest clock sample, in milliseconds
	Nan       int64     // time of the newest value that is NaN, in milliseconds
	Alive     int64     // until when what is gone counts as if it were there
	Witness   *Recorder // as the counter's
	Rulings   *Rulings  // as the counter's
	Follow    *Rulings  // as the counter's
	Starts    Starts    // of processes, in slots that settle
}

// Unproven is a count that the series themselves don't prove: events that happened
// if the process began after a time, and can have counted a value since.
type Unproven struct {
	Kind      FindingKind
	Raw       *RawSeries
	At        int64   // time of the sample, in milliseconds
	Since     int64   // the process would have to have begun after it
	Seen      int64   // when it would have counted the value
	Value     float64 // 0 for any
	Rate      float64 // how many events in a millisecond are plausible; 0 when nothing is known
	Began     int64   // when it did, in milliseconds; 0 when nobody knows
	Answered  bool    // what is known of its start is read
	Doubt     bool    // leaving it out is worth telling
	Events    float64 // to add when it did
	Otherwise float64 // to add when it did not, or nobody knows
	Undecided float64 // events that may have happened when it did not, or nobody knows
}

// proven reports whether the process began after the time of the claim. A clock
// that is wrong proves nothing.
func (c *Unproven) proven() bool {
	if c.Began == 0 || c.Began > c.At || c.Began <= c.Since {
		return false
	}
	return c.Rate == 0 || c.Value <= Slack+c.Rate*float64(c.Seen-c.Began)
}

// NewEvents makes Events of the slots of (from, to], in which nothing is known.
func NewEvents(clock Role, from, to timeline.Minute) *Events {
	n := int(to - from)
	return &Events{
		Clock: clock, From: from, Known: make([]bool, n),
		Total: make([]float64, n), good: make([]float64, n), Bad: make([]float64, n),
	}
}

// Mark makes the slots of (from, to] known.
func (o *Events) Mark(from, to timeline.Minute) {
	if from < o.From {
		o.Before = append(o.Before, [2]timeline.Minute{from, min(to, o.From)})
		from = o.From
	}
	for m := from; m < to; m++ {
		o.Known[m-o.From] = true
	}
}

// Add counts events by a series.
func (o *Events) Add(slot timeline.Minute, raw *RawSeries, events float64) {
	i := int(slot-o.From) - 1
	weighted := func(j int) float64 {
		if raw.Weights == nil {
			return events
		}
		return timeline.Rounded(events * raw.Weights[j])
	}
	if raw.Roles&RoleGood != 0 {
		o.good[i] += weighted(0)
	}
	if raw.Roles&RoleBad != 0 {
		o.Bad[i] += weighted(1)
	}
	if raw.Roles&RoleTotal != 0 {
		o.Total[i] += weighted(2)
	}
}

// Slot is the i-th slot: of good, bad and total two are counted, the third
// follows. A bad count that follows is signed, and clamped in sums only.
func (o *Events) Slot(i int, counted Role) timeline.Slot {
	s := timeline.Slot{Total: o.Total[i], Bad: o.Bad[i], Known: o.Known[i]}
	switch counted {
	case RoleGood | RoleTotal:
		s.Bad = o.Total[i] - o.good[i]
	case RoleGood | RoleBad:
		s.Total = o.good[i] + o.Bad[i]
	}
	return s
}

// Claim adds a count that is not proven, to be settled later.
func (o *Events) Claim(c Unproven) {
	if !c.Answered { // nor was it for the whole
		c.Began = o.Starts.At(c.Raw.Target, c.At)
		c.Answered = c.Began != 0 || o.Starts.silent(c.Raw.Target)
	}
	o.Claims = append(o.Claims, c)
	if o.Rulings != nil {
		r := o.Rulings.at(c.Raw.Key, c.At)
		r.claims = append(r.claims, c)
	}
}

// Find tells of a finding; for a gap, events are its length in seconds.
func (o *Events) Find(kind FindingKind, raw *RawSeries, at int64, events float64) {
	if o.Rulings != nil && kind != FindGap { // which each group finds itself
		r := o.Rulings.at(raw.Key, at)
		r.found = append(r.found, ruled{kind, events})
	}
	o.note(kind, raw, at, events)
}

// note tells of a finding that is no ruling.
func (o *Events) note(kind FindingKind, raw *RawSeries, at int64, events float64) {
	if o.Witness != nil {
		o.Witness.find(kind, raw, at, events)
	}
}

// Settle decides a claim.
func (o *Events) Settle(c Unproven) {
	proven, events := c.proven(), c.Otherwise
	if proven {
		events = c.Events
	}
	if events > 0 {
		if c.Kind == FindBirth {
			o.Births++
		}
		o.Add(timeline.SlotEnd(c.At), c.Raw, events)
		o.Surpluses.Add(timeline.SlotEnd(c.At), c.Raw, events)
		if o.Witness != nil {
			o.Witness.settled(c.Raw, c.At, events)
		}
		o.note(c.Kind, c.Raw, c.At, events)
	}
	if proven || !c.Doubt || events > 0 {
		return
	}
	o.Ambiguous++
	o.note(FindAmbiguous, c.Raw, c.At, max(c.Events, c.Undecided))
	if c.Undecided > 0 && (c.Kind != FindBirth || c.Began == 0) { // what is new of an old process is its past
		o.Undecided.add(c)
	}
}
