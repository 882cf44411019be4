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

// longInterval returns the usual time between two samples in minutes if it is longer than
// between scrapes, else 0.
func (r *Record) longInterval() timeline.Minute {
	if m := r.ScrapeInterval(); m > timeline.Minutes(counting.MaxScrape*time.Millisecond) {
		return m
	}
	return 0
}

// ScrapeInterval returns the longest usual time between two samples, in minutes, rounded
// up.
func (r *Record) ScrapeInterval() timeline.Minute {
	return timeline.Minutes(time.Duration(r.interval()) * time.Millisecond)
}

// interval returns the longest usual time between two samples, in milliseconds.
func (r *Record) interval() int64 {
	longest := int64(0)
	for i := range r.Inputs {
		if c := r.Inputs[i].Counting; c != nil {
			longest = max(longest, c.Interval())
		}
	}
	return longest
}

// Record is the timeline of a plan, with the state from which counting continues.
type Record struct {
	Plan       *plan.Plan
	Timeline   *timeline.Timeline
	Inputs     []InputState // one for each input of the plan
	Recent     *recentSlots // of the settled slots; nil unless the plan combines slots
	Groups     map[string]groupState
	Broken     error              // why it can't be continued; nil if it can
	Outgrown   bool               // it has more series than may be read raw
	Settled    timeline.Minute    // slots up to here are final; before the timeline while the lead-in is read
	Piece      timeline.Minute    // length of the next query, in minutes
	Checkpoint *checkpoint        // where the next reread begins
	Kept       []timeline.Period  // slots of an older Record, of which the backend has no samples any more
	Undecided  counting.Undecided // of the settled slots
	Unsettled  counting.Undecided // of the slots after them
	unsettled  *checkpoint        // the state after the unsettled slots; nil if they have no samples
}

// InputState is the state of one input of a Record.
type InputState struct {
	plan.Choice
	Counting     counting.Method
	Newest       int64                // time of the newest sample, in milliseconds; 0 for none
	NewestNaN    int64                // time of the newest value that is NaN; 0 for none
	aliveUntil   int64                // time until which series that are gone count as present
	Native       bool                 // native histograms were found, or no series at all
	mixed        bool                 // native and classic histograms were found
	Inexact      bool                 // some of the events are estimates
	refused      backend.Sample       // the newest sample that no counter can have; its time is 0 for none
	queriedUntil timeline.Minute      // up to here values were queried
	newestValues []counting.RawSeries // values of slots that may not have been settled then
	expected     float64              // number of series by the backend's count at the end of the first read; 0 to check nothing
	wasRead      bool                 // some of them were read
	Surpluses    counting.Surpluses   // of the slots after the last hour
	Hours        []Hour               // the last hours to audit
	TwinLabel    string               // label in which copies of each counter differed when history was last read; "" for none
}

// checkpoint is a state from which counting continues.
type checkpoint struct {
	Settled timeline.Minute
	inputs  []InputState
	recent  *recentSlots
}

// Choices returns the methods of the inputs.
func (r *Record) Choices() []plan.Choice {
	out := make([]plan.Choice, len(r.Inputs))
	for i, p := range r.Inputs {
		out[i] = p.Choice
	}
	return out
}

// Chosen returns empty states with these methods.
func Chosen(choices []plan.Choice) []InputState {
	out := make([]InputState, len(choices))
	for i, c := range choices {
		out[i].Choice = c
	}
	return out
}

// cloneInputs returns copies, on which unsettled samples are counted. In them no series
// counts as gone.
func cloneInputs(inputs []InputState) []InputState {
	out := slices.Clone(inputs)
	for i := range out {
		out[i].Counting = out[i].Counting.Clone()
	}
	return out
}

// firstPiece is the length of history that is read first, in minutes. Its samples decide
// how much is read next.
const (
	firstPiece = 120
	MaxPiece   = 24 * 60
)

// NewRecord returns an empty Record whose timeline begins at start.
func NewRecord(p *plan.Plan, start, leadIn timeline.Minute) *Record {
	t := timeline.NewTimeline(start)
	r := &Record{Plan: p, Timeline: t, Inputs: make([]InputState, len(p.Inputs)), Settled: t.Start() - leadIn, Piece: firstPiece}
	copy(r.Inputs, Chosen(p.WholeChoices))
	if p.Derived() {
		r.Recent = &recentSlots{from: r.Settled, rereads: true}
	}
	return r
}

// NewWholeRecord returns an empty Record with the lead-in of its plan. Counters are
// counted in sums of targets if sums is set.
func NewWholeRecord(p *plan.Plan, start timeline.Minute, sums bool) *Record {
	r := NewRecord(p, start, p.LeadIn)
	for i := range r.Inputs {
		if sums && p.Inputs[i].NewMethod == nil {
			r.Inputs[i].Method = evaluator.MethodAggregated
		}
	}
	return r
}

// Reread returns a Record that continues from the checkpoint.
func (r *Record) Reread() *Record {
	t := r.Timeline.Clone()
	t.Truncate(r.Checkpoint.Settled)
	recent := r.Checkpoint.recent.clone()
	if recent != nil {
		recent.rereads = true
	}
	return &Record{
		Plan:     r.Plan,
		Timeline: t, Undecided: r.Undecided.Until(r.Checkpoint.Settled), Inputs: cloneInputs(r.Checkpoint.inputs), Recent: recent,
		Kept:    timeline.ClipPeriods(r.Kept, t.Start(), r.Checkpoint.Settled),
		Settled: r.Checkpoint.Settled, Piece: firstPiece,
	}
}

// SaveCheckpoint stores the state where the next reread begins.
func (r *Record) SaveCheckpoint() {
	r.Checkpoint = &checkpoint{r.Settled, cloneInputs(r.Inputs), r.Recent.clone()}
}

// acceptLost makes unsettled slots final if a batch lacks all samples that were there:
// the backend lost them.
func (r *Record) acceptLost(batches [][]counting.RawSeries) {
	if r.unsettled == nil || slices.ContainsFunc(slices.Concat(batches...), func(s counting.RawSeries) bool {
		return len(backend.Between(s.Samples, r.Settled.Millis(), r.unsettled.Settled.Millis())) > 0
	}) {
		return
	}
	r.Settled = r.unsettled.Settled
	r.Inputs = r.unsettled.inputs
	r.Recent = r.unsettled.recent
	r.unsettled = nil
	r.Undecided, r.Unsettled = r.Undecided.Plus(r.Unsettled), nil
}

// Silence returns the time without samples after which an input has no data.
func (p *InputState) Silence() time.Duration {
	return max(5*time.Minute, 5*time.Duration(p.Counting.Interval())*time.Millisecond)
}

// Silent reports whether an input has no recent samples, and none count as present.
func (p *InputState) Silent(end timeline.Minute) bool {
	newest := max(p.Newest, p.aliveUntil)
	return newest == 0 || end.Time().Sub(time.UnixMilli(newest)) > p.Silence()
}

// Silent returns the first input without recent samples, or nil.
func (r *Record) Silent(end timeline.Minute) *InputState {
	if i := slices.IndexFunc(r.Inputs, func(p InputState) bool { return p.Silent(end) }); i >= 0 {
		return &r.Inputs[i]
	}
	return nil
}

// NewestTime returns the time of the newest sample, or nil.
func (p *InputState) NewestTime() *time.Time {
	if p.Newest == 0 {
		return nil
	}
	at := time.UnixMilli(p.Newest).UTC()
	return &at
}

// DataUntil returns the time until which all inputs have samples, or nil if one has none.
func (r *Record) DataUntil() *time.Time {
	oldest := &r.Inputs[0]
	for i := range r.Inputs {
		if r.Inputs[i].Newest < oldest.Newest {
			oldest = &r.Inputs[i]
		}
	}
	return oldest.NewestTime()
}

// Age removes slots older than history.
func (r *Record) Age(history time.Duration) {
	start := r.Settled.Add(-history)
	r.Timeline.Fold(start, r.Settled-timeline.FineAge)
	r.Undecided.Fold(start, r.Settled-timeline.FineAge)
	r.Kept = timeline.ClipPeriods(r.Kept, start, r.Settled)
	for i := range r.Inputs {
		r.Inputs[i].Counting.Forget(r.Settled.Millis(), (start - counting.LeadIn).Millis())
	}
}

// Method returns the name of the method, and whether the counts are exact. If inputs
// differ, it returns MethodAggregated if any has it.
func (r *Record) Method() (name string, exact bool) {
	name, exact = r.Inputs[0].Method, true
	for i, p := range r.Inputs {
		if p.Method == evaluator.MethodAggregated {
			name = p.Method
		}
		exact = exact && r.Plan.Inputs[i].Exact && !p.Inexact && p.Method != evaluator.MethodAggregated
	}
	return name, exact
}

// Failing returns the newest bad value of a threshold in settled slots.
func (r *Record) Failing(s *slo.SLO) *evaluator.Failing {
	if _, is := s.Indicator.(slo.Threshold); !is || len(r.Inputs) != 1 {
		return nil
	}
	if l, is := r.Inputs[0].Counting.(*gauges.Values); is && l.Worst.T != 0 {
		return &evaluator.Failing{Value: l.Worst.V, At: time.UnixMilli(l.Worst.T).UTC()}
	}
	return nil
}

// Lacking returns the number of slots without samples in the backend.
func (r *Record) Lacking() timeline.Minute {
	start := r.Timeline.Start()
	n := r.Settled - start - timeline.Minute(r.Timeline.Sum(start, r.Settled).Known)
	for _, p := range r.Kept {
		n += p.End - p.Start
	}
	return n
}

// Holes returns the quarters of an hour without known slots, in order.
func (r *Record) Holes() []timeline.Period {
	var out []timeline.Period
	l := timeline.Cursor{Timeline: r.Timeline}
	_, a := l.At(r.Timeline.Start())
	for to := r.Timeline.Start() + timeline.Quarter; to <= r.Settled; to += timeline.Quarter {
		_, b := l.At(to)
		if b.Known == a.Known {
			out = append(out, timeline.Period{Start: to - timeline.Quarter, End: to})
		}
		a = b
	}
	return timeline.JoinPeriods(out)
}

// refuse stores the newest sample of a batch that was dropped because no counter can have
// it.
func (p *InputState) refuse(batch []counting.RawSeries) {
	for i := range batch {
		if s := batch[i].Refused; s.T > p.refused.T || s.T == p.refused.T && s.V < p.refused.V {
			p.refused = s
		}
	}
}

// Impossible describes the samples that were dropped in the day before an instant; "" for
// none.
func (r *Record) Impossible(end timeline.Minute) string {
	for i := range r.Inputs {
		if s := r.Inputs[i].refused; s.T > (end-counting.LeadIn).Millis() && s.T <= end.Millis() {
			return fmt.Sprintf("samples that no number of events can have are left out, the last at %s: %g",
				time.UnixMilli(s.T).UTC().Format("2006-01-02 15:04:05 MST"), s.V)
		}
	}
	return ""
}
