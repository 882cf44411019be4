package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// seldom is the usual time between two samples of a book, in minutes, where that is
// longer than between scrapes; else 0.
func (k *Record) seldom() timeline.Minute {
	if m := k.ScrapeOf(); m > timeline.Minutes(counting.MaxScrape*time.Millisecond) {
		return m
	}
	return 0
}

// ScrapeOf is the longest usual time between two samples of a book, in minutes,
// rounded up.
func (k *Record) ScrapeOf() timeline.Minute {
	longest := int64(0)
	for i := range k.Inputs {
		longest = max(longest, k.Inputs[i].Counting.Interval())
	}
	return timeline.Minutes(time.Duration(longest) * time.Millisecond)
}

// Record is a timeline and what is needed to go on with it.
type Record struct {
	Plan      *plan.Plan
	Timeline  *timeline.Timeline
	Inputs    []InputState // one for each meter
	Recent    *recentSlots // of the settled slots; nil unless the ledger derives its own from them
	Groups    map[string]group
	Broken    error              // why nobody can go on with it; nil where one can
	Outgrown  bool               // it has more series than may be read raw
	Settled   timeline.Minute    // slots up to here are final; before the timeline while the lead-in is read
	pending   []*counting.Events // of each part what is counted, not proven yet; nil for nothing
	Piece     timeline.Minute    // how much the next query asks for
	Past      *checkpoint        // for the next reread
	Kept      []timeline.Period  // slots of another book, of which the backend has no samples any more
	Undecided counting.Undecided // of the settled slots
	Unsettled counting.Undecided // of those after them
	tried     *checkpoint        // behind the slots that are not settled; nil when they held no samples
}

// InputState is what a meter counts into a book.
type InputState struct {
	plan.Choice
	Counting     counting.Method
	Newest       int64                // time of the newest sample, in milliseconds; 0 for none
	Nan          int64                // time of the newest value that is NaN; 0 for none
	alive        int64                // until when what is gone counts as if it were there
	Native       bool                 // native histograms were found, or nothing else
	mixed        bool                 // beside classic ones
	Inexact      bool                 // some of the events are estimates
	refused      backend.Sample       // the newest that no counter can have; its time is 0 for none
	asked        timeline.Minute      // up to here values were asked for
	newestValues []counting.RawSeries // the values of slots that may not have been settled then
	counted      float64              // series that the backend counted at the end of what is read first; 0 when none of it is to be checked
	met          bool                 // some of them were read
	Surpluses    counting.Surpluses   // of the slots that no hour holds yet
	Hours        []Hour               // that are to be audited, of the last hours
	Twin         string               // the label by which each counter was there twice when history was read last; "" for none
}

// checkpoint is what counting went on from, or goes on from again.
type checkpoint struct {
	Settled timeline.Minute
	parts   []InputState
	record  *recentSlots
}

// Choices are how the parts of a book are counted.
func (k *Record) Choices() []plan.Choice {
	out := make([]plan.Choice, len(k.Inputs))
	for i, p := range k.Inputs {
		out[i] = p.Choice
	}
	return out
}

// Chosen are empty parts that are counted in some way.
func Chosen(choices []plan.Choice) []InputState {
	out := make([]InputState, len(choices))
	for i, c := range choices {
		out[i].Choice = c
	}
	return out
}

// cloned are copies of parts to try unsettled samples on, in which nothing is taken
// for gone.
func cloned(parts []InputState) []InputState {
	out := slices.Clone(parts)
	for i := range out {
		out[i].Counting = out[i].Counting.Clone()
	}
	return out
}

// firstPiece is the minutes of history that are read first; what they hold
// tells how much to ask for next.
const (
	firstPiece = 120
	MaxPiece   = 24 * 60
)

// NewRecord makes an empty book whose timeline begins at start.
func NewRecord(l *plan.Plan, start, leadIn timeline.Minute) *Record {
	t := timeline.NewTimeline(start)
	k := &Record{Plan: l, Timeline: t, Inputs: make([]InputState, len(l.Inputs)), Settled: t.Start() - leadIn, Piece: firstPiece}
	copy(k.Inputs, Chosen(l.Like))
	if l.Derived() {
		k.Recent = &recentSlots{from: k.Settled, rereads: true}
	}
	return k
}

// Reread makes a book that goes on from the last one's past.
func (k *Record) Reread() *Record {
	t := k.Timeline.Clone()
	t.Truncate(k.Past.Settled)
	record := k.Past.record.clone()
	if record != nil {
		record.rereads = true
	}
	return &Record{
		Plan:     k.Plan,
		Timeline: t, Undecided: k.Undecided.Until(k.Past.Settled), Inputs: cloned(k.Past.parts), Recent: record,
		Kept:    timeline.ClipPeriods(k.Kept, t.Start(), k.Past.Settled),
		Settled: k.Past.Settled, Piece: firstPiece,
	}
}

// Clone is a copy of a book that nothing is read into yet.
func (k *Record) Clone() *Record {
	out := *k
	out.Timeline, out.Inputs, out.Recent = k.Timeline.Clone(), cloned(k.Inputs), k.Recent.clone()
	out.Undecided, out.Kept = slices.Clone(k.Undecided), slices.Clone(k.Kept)
	return &out
}

// Remember keeps what the next reread begins with.
func (k *Record) Remember() {
	k.Past = &checkpoint{k.Settled, cloned(k.Inputs), k.Recent.clone()}
}

// lose takes what is not settled for final when a batch of samples lacks all
// that were seen there: the backend lost them.
func (k *Record) lose(batches [][]counting.RawSeries) {
	if k.tried == nil || slices.ContainsFunc(slices.Concat(batches...), func(s counting.RawSeries) bool {
		return len(backend.Between(s.Samples, k.Settled.Millis(), k.tried.Settled.Millis())) > 0
	}) {
		return
	}
	k.Settled, k.Inputs, k.Recent, k.tried = k.tried.Settled, k.tried.parts, k.tried.record, nil
	k.Undecided, k.Unsettled = k.Undecided.Plus(k.Unsettled), nil
}

// Silence is how long a part may be without samples before it has no data.
func (p *InputState) Silence() time.Duration {
	return max(5*time.Minute, 5*time.Duration(p.Counting.Interval())*time.Millisecond)
}

// Silent reports whether no samples came of late, nor count as if they came.
func (p *InputState) Silent(end timeline.Minute) bool {
	newest := max(p.Newest, p.alive)
	return newest == 0 || end.Time().Sub(time.UnixMilli(newest)) > p.Silence()
}

// Silent is the first part of which no samples came of late, nil without any.
func (k *Record) Silent(end timeline.Minute) *InputState {
	if i := slices.IndexFunc(k.Inputs, func(p InputState) bool { return p.Silent(end) }); i >= 0 {
		return &k.Inputs[i]
	}
	return nil
}

// Until is the time of the newest sample, nil without any.
func (p *InputState) Until() *time.Time {
	if p.Newest == 0 {
		return nil
	}
	at := time.UnixMilli(p.Newest).UTC()
	return &at
}

// DataUntil is the time until which all parts have samples, nil where one has
// none.
func (k *Record) DataUntil() *time.Time {
	oldest := &k.Inputs[0]
	for i := range k.Inputs {
		if k.Inputs[i].Newest < oldest.Newest {
			oldest = &k.Inputs[i]
		}
	}
	return oldest.Until()
}

// Age forgets what lies before the timeline's length.
func (k *Record) Age(history time.Duration) {
	start := k.Settled.Add(-history)
	k.Timeline.Fold(start, k.Settled-timeline.FineAge)
	k.Undecided.Fold(start, k.Settled-timeline.FineAge)
	k.Kept = timeline.ClipPeriods(k.Kept, start, k.Settled)
	for i := range k.Inputs {
		k.Inputs[i].Counting.Forget(k.Settled.Millis(), (start - counting.LeadIn).Millis())
	}
}

// Method is how the events of a book are counted, as far as that is one way, and
// whether they are no estimates.
func (k *Record) Method() (name string, exact bool) {
	name, exact = k.Inputs[0].Method, true
	for i, p := range k.Inputs {
		if p.Method == evaluator.MethodAggregated {
			name = p.Method
		}
		exact = exact && k.Plan.Inputs[i].Exact && !p.Inexact && p.Method != evaluator.MethodAggregated
	}
	return name, exact
}

// Failing is the newest value of a threshold that was bad in settled slots.
func (k *Record) Failing(s *slo.SLO) *evaluator.Failing {
	if _, is := s.Indicator.(slo.Threshold); !is || len(k.Inputs) != 1 {
		return nil
	}
	if l, is := k.Inputs[0].Counting.(*gauges.Values); is && l.Worst.T != 0 {
		return &evaluator.Failing{Value: l.Worst.V, At: time.UnixMilli(l.Worst.T).UTC()}
	}
	return nil
}

// Lacking is how many slots of a book the backend has no samples of.
func (k *Record) Lacking() timeline.Minute {
	start := k.Timeline.Start()
	n := k.Settled - start - timeline.Minute(k.Timeline.Sum(start, k.Settled).Known)
	for _, p := range k.Kept {
		n += p.End - p.Start
	}
	return n
}

// Holes are the whole quarters of an hour of which a book knows nothing, in order.
func (k *Record) Holes() []timeline.Period {
	var out []timeline.Period
	l := timeline.Cursor{Timeline: k.Timeline}
	_, a := l.At(k.Timeline.Start())
	for to := k.Timeline.Start() + timeline.Quarter; to <= k.Settled; to += timeline.Quarter {
		_, b := l.At(to)
		if b.Known == a.Known {
			out = append(out, timeline.Period{Start: to - timeline.Quarter, End: to})
		}
		a = b
	}
	return timeline.JoinPeriods(out)
}

// refuse notes the newest sample of a batch that was left out, because no number of
// events can be as it is.
func (p *InputState) refuse(batch []counting.RawSeries) {
	for i := range batch {
		if s := batch[i].Refused; s.T > p.refused.T || s.T == p.refused.T && s.V < p.refused.V {
			p.refused = s
		}
	}
}

// Impossible says which samples were left out in the day before an instant; "" for none.
func (k *Record) Impossible(end timeline.Minute) string {
	for i := range k.Inputs {
		if s := k.Inputs[i].refused; s.T > (end-counting.LeadIn).Millis() && s.T <= end.Millis() {
			return fmt.Sprintf("samples that no number of events can have are left out, the last at %s: %g",
				time.UnixMilli(s.T).UTC().Format("2006-01-02 15:04:05 MST"), s.V)
		}
	}
	return ""
}
