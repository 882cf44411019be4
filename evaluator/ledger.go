package evaluator

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// plan says which queries an SLO needs and how their samples become events. SLOs with
// equal queries and history share one. It does not change.
type plan struct {
	key       string
	meters    []*meter // as many as the SLO is made of
	joined    joined   // what their slots make together; nil for one
	slice     *slo.Slice
	absentBad bool // slots that are not known are bad, as long as some were of late
	history   time.Duration
	settle    Minute      // for how long slots are read again
	leadIn    Minute      // read before it, so that the first slots are right
	groups    *slo.Groups // what the SLO is split by; nil unless it is
	like      []choice    // how the whole is counted, of which this is a group; nil where there is none
	witness   *witness    // of how it is counted; nil but for Explain
}

func newPlan(key string, s *slo.SLO, settle Minute, history time.Duration) *plan {
	l := &plan{key: key, settle: settle, slice: s.Slice, absentBad: s.NoDataBad, groups: s.Groups, history: history}
	l.meters, l.joined = metersOf(s)
	for _, m := range l.meters {
		l.leadIn = max(l.leadIn, m.remember)
	}
	if l.slice != nil {
		l.leadIn = max(l.leadIn, keep)
	}
	if l.absentBad {
		l.leadIn = max(l.leadIn, minutes(slo.Remembrance))
	}
	return l
}

// planKey tells ledgers apart.
func planKey(s *slo.SLO, backend string, history time.Duration) string {
	parts := []string{backend, history.String(), strconv.FormatBool(s.NoDataBad), s.Indicator.Kind()}
	if s.Groups != nil {
		parts = append(parts, s.Groups.By...)
	}
	if s.Slice != nil {
		parts = append(parts, s.Slice.Length.String(), s.Slice.Target.RatioText())
	}
	meters, _ := metersOf(s)
	for _, m := range meters {
		parts = append(parts, m.key())
	}
	return strings.Join(parts, "\xff")
}

// selectors are those of a plan's queries; the zero Selector stands for an expression.
func (l *plan) selectors() (out []slo.Selector) {
	for _, m := range l.meters {
		for i := range m.queries {
			out = append(out, m.queries[i].selector)
		}
	}
	return out
}

// book is a timeline and what is needed to go on with it.
type book struct {
	plan      *plan
	timeline  *Timeline
	parts     []part  // one for each meter
	record    *record // of the settled slots; nil unless the ledger derives its own from them
	groups    map[string]group
	broken    error     // why nobody can go on with it; nil where one can
	outgrown  bool      // it has more series than may be read raw
	settled   Minute    // slots up to here are final; before the timeline while the lead-in is read
	pending   []*tally  // of each part what is counted, not proven yet; nil for nothing
	piece     Minute    // how much the next query asks for
	past      *past     // for the next reread
	kept      []period  // slots of another book, of which the backend has no samples any more
	undecided undecided // of the settled slots
	unsettled undecided // of those after them
	tried     *past     // behind the slots that are not settled; nil when they held no samples
}

// choice is how a meter's events are counted.
type choice struct {
	method    string   // MethodRaw, MethodAggregated or MethodEvaluated; "" before that is chosen
	spellings []string // of the threshold's bucket, beside the usual ones
}

// part is what a meter counts into a book.
type part struct {
	choice
	accounts  accounts
	newest    int64       // time of the newest sample, in milliseconds; 0 for none
	nan       int64       // time of the newest value that is NaN; 0 for none
	alive     int64       // until when what is gone counts as if it were there
	native    bool        // native histograms were found, or nothing else
	mixed     bool        // beside classic ones
	inexact   bool        // some of the events are estimates
	refused   sample      // the newest that no counter can have; its time is 0 for none
	asked     Minute      // up to here values were asked for
	recent    []rawSeries // the values of slots that may not have been settled then
	counted   float64     // series that the backend counted at the end of what is read first; 0 when none of it is to be checked
	met       bool        // some of them were read
	surpluses surpluses   // of the slots that no hour holds yet
	hours     []hour      // that are to be audited, of the last hours
	twin      string      // the label by which each counter was there twice when history was read last; "" for none
}

// past is what counting went on from, or goes on from again.
type past struct {
	settled Minute
	parts   []part
	record  *record
}

// choices are how the parts of a book are counted.
func (k *book) choices() []choice {
	out := make([]choice, len(k.parts))
	for i, p := range k.parts {
		out[i] = p.choice
	}
	return out
}

// chosen are empty parts that are counted in some way.
func chosen(choices []choice) []part {
	out := make([]part, len(choices))
	for i, c := range choices {
		out[i].choice = c
	}
	return out
}

// cloned are copies of parts to try unsettled samples on, in which nothing is taken
// for gone.
func cloned(parts []part) []part {
	out := slices.Clone(parts)
	for i := range out {
		out[i].accounts = out[i].accounts.clone()
	}
	return out
}

// firstPiece is the minutes of history that are read first; what they hold
// tells how much to ask for next.
const (
	firstPiece = 120
	maxPiece   = 24 * 60
)

// newBook makes an empty book whose timeline begins at start.
func newBook(l *plan, start, leadIn Minute) *book {
	t := NewTimeline(start)
	k := &book{plan: l, timeline: t, parts: make([]part, len(l.meters)), settled: t.Start() - leadIn, piece: firstPiece}
	copy(k.parts, chosen(l.like))
	if l.derived() {
		k.record = &record{from: k.settled, rereads: true}
	}
	return k
}

// reread makes a book that goes on from the last one's past.
func (k *book) reread() *book {
	t := k.timeline.Clone()
	t.Truncate(k.past.settled)
	record := k.past.record.clone()
	if record != nil {
		record.rereads = true
	}
	return &book{
		plan:     k.plan,
		timeline: t, undecided: k.undecided.until(k.past.settled), parts: cloned(k.past.parts), record: record,
		kept:    clipped(k.kept, t.Start(), k.past.settled),
		settled: k.past.settled, piece: firstPiece,
	}
}

// clone is a copy of a book that nothing is read into yet.
func (k *book) clone() *book {
	out := *k
	out.timeline, out.parts, out.record = k.timeline.Clone(), cloned(k.parts), k.record.clone()
	out.undecided, out.kept = slices.Clone(k.undecided), slices.Clone(k.kept)
	return &out
}

// remember keeps what the next reread begins with.
func (k *book) remember() {
	k.past = &past{k.settled, cloned(k.parts), k.record.clone()}
}

// lose takes what is not settled for final when a batch of samples lacks all
// that were seen there: the backend lost them.
func (k *book) lose(batches [][]rawSeries) {
	if k.tried == nil || slices.ContainsFunc(slices.Concat(batches...), func(s rawSeries) bool {
		return len(between(s.samples, k.settled.millis(), k.tried.settled.millis())) > 0
	}) {
		return
	}
	k.settled, k.parts, k.record, k.tried = k.tried.settled, k.tried.parts, k.tried.record, nil
	k.undecided, k.unsettled = k.undecided.with(k.unsettled), nil
}

// silence is how long a part may be without samples before it has no data.
func (p *part) silence() time.Duration {
	return max(5*time.Minute, 5*time.Duration(p.accounts.interval())*time.Millisecond)
}

// silent reports whether no samples came of late, nor count as if they came.
func (p *part) silent(end Minute) bool {
	newest := max(p.newest, p.alive)
	return newest == 0 || end.Time().Sub(time.UnixMilli(newest)) > p.silence()
}

// silent is the first part of which no samples came of late, nil without any.
func (k *book) silent(end Minute) *part {
	if i := slices.IndexFunc(k.parts, func(p part) bool { return p.silent(end) }); i >= 0 {
		return &k.parts[i]
	}
	return nil
}

// until is the time of the newest sample, nil without any.
func (p *part) until() *time.Time {
	if p.newest == 0 {
		return nil
	}
	at := time.UnixMilli(p.newest).UTC()
	return &at
}

// dataUntil is the time until which all parts have samples, nil where one has
// none.
func (k *book) dataUntil() *time.Time {
	oldest := &k.parts[0]
	for i := range k.parts {
		if k.parts[i].newest < oldest.newest {
			oldest = &k.parts[i]
		}
	}
	return oldest.until()
}

// age forgets what lies before the timeline's length.
func (k *book) age(history time.Duration) {
	start := k.settled.Add(-history)
	k.timeline.Fold(start, k.settled-fineAge)
	k.undecided.fold(start, k.settled-fineAge)
	k.kept = clipped(k.kept, start, k.settled)
	for i := range k.parts {
		k.parts[i].accounts.forget(k.settled.millis(), (start - leadIn).millis())
	}
}

// sparse reports whether the ledger may be without events for long.
func (l *plan) sparse() bool {
	return slices.ContainsFunc(l.meters, func(m *meter) bool { return m.sparse })
}

// method is how the events of a book are counted, as far as that is one way, and
// whether they are no estimates.
func (k *book) method() (name string, exact bool) {
	name, exact = k.parts[0].method, true
	for i, p := range k.parts {
		if p.method == MethodAggregated {
			name = p.method
		}
		exact = exact && k.plan.meters[i].exact && !p.inexact && p.method != MethodAggregated
	}
	return name, exact
}
