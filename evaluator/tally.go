package evaluator

// tally is where a counter puts what it finds.
type tally struct {
	clock     role   // as the accounts'
	from      Minute // the slots begin here
	total     []float64
	good, bad []float64
	known     []bool      // slots with samples near enough to each other
	before    [][2]Minute // (from, to] that are known, in slots before these
	claims    []claim
	surpluses surpluses
	births    int // counted from zero, on evidence
	ambiguous int // births and falls without evidence, counted as nothing
	undecided undecided
	newest    int64    // time of the newest clock sample, in milliseconds
	nan       int64    // time of the newest value that is NaN, in milliseconds
	alive     int64    // until when what is gone counts as if it were there
	witness   *witness // as the counter's
	rulings   *rulings // as the counter's
	follow    *rulings // as the counter's
	starts    starts   // of processes, in slots that settle
}

// claim is a count that the series themselves don't prove: events that happened
// if the process began after a time, and can have counted a value since.
type claim struct {
	kind      FindingKind
	raw       *rawSeries
	at        int64   // time of the sample, in milliseconds
	since     int64   // the process would have to have begun after it
	seen      int64   // when it would have counted the value
	value     float64 // 0 for any
	rate      float64 // how many events in a millisecond are plausible; 0 when nothing is known
	began     int64   // when it did, in milliseconds; 0 when nobody knows
	answered  bool    // what is known of its start is read
	doubt     bool    // leaving it out is worth telling
	events    float64 // to add when it did
	otherwise float64 // to add when it did not, or nobody knows
	undecided float64 // events that may have happened when it did not, or nobody knows
}

// proven reports whether the process began after the time of the claim. A clock
// that is wrong proves nothing.
func (c *claim) proven() bool {
	if c.began == 0 || c.began > c.at || c.began <= c.since {
		return false
	}
	return c.rate == 0 || c.value <= slack+c.rate*float64(c.seen-c.began)
}

func newTally(clock role, from, to Minute) *tally {
	n := int(to - from)
	return &tally{
		clock: clock, from: from, known: make([]bool, n),
		total: make([]float64, n), good: make([]float64, n), bad: make([]float64, n),
	}
}

// mark makes the slots of (from, to] known.
func (o *tally) mark(from, to Minute) {
	if from < o.from {
		o.before = append(o.before, [2]Minute{from, min(to, o.from)})
		from = o.from
	}
	for m := from; m < to; m++ {
		o.known[m-o.from] = true
	}
}

// add counts events by a series.
func (o *tally) add(slot Minute, raw *rawSeries, events float64) {
	i := int(slot-o.from) - 1
	weighted := func(j int) float64 {
		if raw.weights == nil {
			return events
		}
		return rounded(events * raw.weights[j])
	}
	if raw.roles&roleGood != 0 {
		o.good[i] += weighted(0)
	}
	if raw.roles&roleBad != 0 {
		o.bad[i] += weighted(1)
	}
	if raw.roles&roleTotal != 0 {
		o.total[i] += weighted(2)
	}
}

// slot is the i-th slot: of good, bad and total two are counted, the third
// follows. A bad count that follows is signed, and clamped in sums only.
func (o *tally) slot(i int, counted role) Slot {
	s := Slot{Total: o.total[i], Bad: o.bad[i], Known: o.known[i]}
	switch counted {
	case roleGood | roleTotal:
		s.Bad = o.total[i] - o.good[i]
	case roleGood | roleBad:
		s.Total = o.good[i] + o.bad[i]
	}
	return s
}

func (o *tally) claim(c claim) {
	if !c.answered { // nor was it for the whole
		c.began = o.starts.at(c.raw.target, c.at)
		c.answered = c.began != 0 || o.starts.silent(c.raw.target)
	}
	o.claims = append(o.claims, c)
	if o.rulings != nil {
		r := o.rulings.at(c.raw.key, c.at)
		r.claims = append(r.claims, c)
	}
}

// find tells of a finding; for a gap, events are its length in seconds.
func (o *tally) find(kind FindingKind, raw *rawSeries, at int64, events float64) {
	if o.rulings != nil && kind != FindGap { // which each group finds itself
		r := o.rulings.at(raw.key, at)
		r.found = append(r.found, ruled{kind, events})
	}
	o.note(kind, raw, at, events)
}

// note tells of a finding that is no ruling.
func (o *tally) note(kind FindingKind, raw *rawSeries, at int64, events float64) {
	if o.witness != nil {
		o.witness.find(kind, raw, at, events)
	}
}

// settle decides a claim.
func (o *tally) settle(c claim) {
	proven, events := c.proven(), c.otherwise
	if proven {
		events = c.events
	}
	if events > 0 {
		if c.kind == FindBirth {
			o.births++
		}
		o.add(slotEnd(c.at), c.raw, events)
		o.surpluses.add(slotEnd(c.at), c.raw, events)
		if o.witness != nil {
			o.witness.settled(c.raw, c.at, events)
		}
		o.note(c.kind, c.raw, c.at, events)
	}
	if proven || !c.doubt || events > 0 {
		return
	}
	o.ambiguous++
	o.note(FindAmbiguous, c.raw, c.at, max(c.events, c.undecided))
	if c.undecided > 0 && (c.kind != FindBirth || c.began == 0) { // what is new of an old process is its past
		o.undecided.add(c)
	}
}
