package evaluator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Proof is how the numbers of one SLO over its own window came about. It is
// what `explain -o json` prints, a contract as that of Report.
type Proof struct {
	Format      int       `json:"format"` // 1
	EvaluatedAt time.Time `json:"evaluated_at"`
	SLO         Status    `json:"slo"` // as in a Report
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Slots       Slots     `json:"slots"`
	Events      Counted   `json:"events"`
	Samples     Samples   `json:"samples"`
	Findings    Findings  `json:"findings"`
	Queries     []Query   `json:"queries"` // in the order in which they were sent
	Arithmetic  []Step    `json:"arithmetic"`
	Checks      []Check   `json:"checks"` // one per counter
	Notes       []string  `json:"notes"`  // what else to know
	Problems    []Problem `json:"problems"`
}

// Slots are those of the window, a minute each.
type Slots struct {
	Count    int     `json:"count"`
	Known    int     `json:"known"`
	Coverage float64 `json:"coverage"` // Known of Count, 0 to 1
	Single   int     `json:"single"`   // summed one by one
	Quarters int     `json:"quarters"` // summed in quarters of an hour, 15 slots each
	Excluded int     `json:"excluded"`
}

// Counted are events.
type Counted struct {
	Total float64 `json:"total"`
	Good  float64 `json:"good"`
	Bad   float64 `json:"bad"`
}

// Samples are those of the window that were counted.
type Samples struct {
	Count  int        `json:"count"`
	Series int        `json:"series"`
	First  *time.Time `json:"first"`
	Last   *time.Time `json:"last"`
}

// Findings are what the samples of the window hold beside plain increments.
type Findings struct {
	Kinds   []KindOf  `json:"kinds"`    // all of them, found or not
	List    []Finding `json:"list"`     // by time; of each kind the largest 1000
	LeftOut int       `json:"left_out"` // of the list
}

// KindOf sums up the findings of a kind.
type KindOf struct {
	Kind    FindingKind        `json:"kind"`
	Count   int                `json:"count"`
	Events  map[string]float64 `json:"events"`  // by what is counted; of ambiguous those that were not
	Longest float64            `json:"longest"` // gap, in seconds
}

// Query is a query that was sent to the backend.
type Query struct {
	Query   string     `json:"query"`
	Time    time.Time  `json:"time"`
	Start   *time.Time `json:"start"`  // when it is asked for each minute from then to Time
	Series  int        `json:"series"` // in the answer
	Samples int        `json:"samples"`
	Error   string     `json:"error"`
}

func newQuery(form url.Values, answer []vector, err error) Query {
	q := Query{Query: form.Get("query"), Time: unixTime(cmp.Or(form.Get("time"), form.Get("end"))), Series: len(answer)}
	if form.Has("start") {
		start := unixTime(form.Get("start"))
		q.Start = &start
	}
	for _, v := range answer {
		q.Samples += len(v.samples) + len(v.histograms)
	}
	if err != nil {
		q.Error = err.Error()
	}
	return q
}

func unixTime(text string) time.Time {
	seconds, _ := strconv.ParseInt(text, 10, 64) // the program wrote it
	return time.Unix(seconds, 0).UTC()
}

// Step is one number with the formula that gives it. The words in the formula
// are the keys of Inputs, but for those that are undefined.
type Step struct {
	Name    string             `json:"name"`
	Formula string             `json:"formula"`
	Inputs  map[string]float64 `json:"inputs"`
	Value   *float64           `json:"value"`
}

// Explain evaluates an SLO once, as EvaluateAt does, and proves its numbers. An
// SLO that can't be evaluated is in the state query_failed; only the end of ctx
// is an error.
func (e *Evaluator) Explain(ctx context.Context, s *slo.SLO, at time.Time) (*Proof, error) {
	if s.Groups != nil { // they have proofs of their own
		whole := *s
		whole.Groups = nil
		s = &whole
	}
	end := min(MinuteOf(at), e.behindNow())
	w := newWitness(ownStart(s.Window, end), end)
	b := e.backendOf(s)
	p := &Proof{Format: 1, Start: w.from.Time(), End: w.to.Time(), Queries: []Query{}, Checks: []Check{}, Problems: e.problems}
	defer b.traced(func(q Query) { p.Queries = append(p.Queries, q) })()
	e.witness, e.explained = w, s
	r, err := e.EvaluateAt(ctx, []*slo.SLO{s}, end.Time())
	if err != nil {
		return nil, err
	}
	p.EvaluatedAt, p.SLO = r.EvaluatedAt, r.SLOs[0]
	l := e.jobs[e.keyOf(s)]
	sum := Sum{Start: w.from, End: w.to}
	counted := sum
	if l.err == nil {
		sum = e.tracks[s.ID()].timeline().Sum(w.from, w.to)
		counted = l.book.timeline.Sum(w.from, w.to)
		p.Slots.Quarters = int(max(0, l.book.timeline.fineFrom-w.from) / quarter)
	}
	p.account(sum)
	p.witnessed(w)
	p.Arithmetic = arithmetic(&p.SLO, sum)
	p.note(sum)
	p.Notes = append(p.Notes, l.notes()...)
	if l.err == nil {
		p.Checks = checks(ctx, b.reader, l.book, w, counted)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("checking: %w", err)
	}
	return p, nil
}

// account fills in what the timeline holds.
func (p *Proof) account(sum Sum) {
	p.Slots.Count, p.Slots.Known, p.Slots.Coverage = int(sum.End-sum.Start), sum.Known, sum.Coverage()
	p.Slots.Excluded = sum.Excluded
	p.Slots.Single = p.Slots.Count - p.Slots.Quarters*quarter
	bad := max(sum.Bad, 0)
	p.Events = Counted{Total: sum.Total, Good: sum.Total - bad, Bad: bad}
}

// witnessed fills in what the samples hold.
func (p *Proof) witnessed(w *witness) {
	first, last := int64(math.MaxInt64), int64(0)
	for _, t := range w.series {
		if t.samples > 0 {
			p.Samples.Series++
			p.Samples.Count += t.samples
			first, last = min(first, t.first.t), max(last, t.last.t)
		}
	}
	if p.Samples.Count > 0 {
		from, to := time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		p.Samples.First, p.Samples.Last = &from, &to
	}
	p.Findings.List = []Finding{}
	for _, kind := range FindingKinds {
		k := KindOf{Kind: kind, Events: map[string]float64{}}
		if f := w.found[kind]; f != nil {
			f.cut()
			k.Count, k.Longest = f.count, f.longest
			for r, events := range f.byRole {
				k.Events[r.names()[0]] = events
			}
			p.Findings.List = append(p.Findings.List, f.largest...)
			p.Findings.LeftOut += f.count - len(f.largest)
		}
		p.Findings.Kinds = append(p.Findings.Kinds, k)
	}
	slices.SortFunc(p.Findings.List, func(a, b Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), compareSeries(a, b), cmp.Compare(a.Kind, b.Kind))
	})
}

// arithmetic spells out how the numbers of a status follow from the counts.
func arithmetic(s *Status, sum Sum) []Step {
	own := s.Windows[len(s.Windows)-1]
	own.Total = max(own.Total, own.Bad) // as burn rates and budgets take it
	good, coverage := own.Total-own.Bad, own.Coverage
	type in = map[string]float64
	steps := []Step{
		{"coverage", "known / slots", in{"known": float64(sum.Known), "slots": float64(sum.slots())}, &coverage},
		{"good", "total - bad", in{"total": own.Total, "bad": own.Bad}, &good},
		{"sli", "1 - bad / total", in{"total": own.Total, "bad": own.Bad}, own.SLI},
		{"burn_rate", "bad / total / (1 - objective)", in{"total": own.Total, "bad": own.Bad, "objective": s.Objective}, own.BurnRate},
		{"allowed", "(1 - objective) * total", in{"total": own.Total, "objective": s.Objective}, s.Budget.Allowed},
		{"consumed", "bad / allowed", in{"bad": own.Bad}, s.Budget.Consumed},
		{"remaining", "1 - consumed", in{}, s.Budget.Remaining},
	}
	if s.Budget.Allowed != nil {
		steps[5].Inputs["allowed"], steps[6].Inputs["consumed"] = *s.Budget.Allowed, *s.Budget.Consumed
	}
	if b := s.Budget; b.SoFar != nil {
		coming := *b.ProjectedTotal - own.Total
		steps[4].Formula, steps[4].Inputs = "(1 - objective) * projected", in{"projected": *b.ProjectedTotal, "objective": s.Objective}
		steps = slices.Insert(steps, 4, Step{"projected_total", "total + coming", in{"total": own.Total, "coming": coming}, b.ProjectedTotal})
		steps = append(steps,
			Step{"allowed_so_far", "(1 - objective) * total", in{"total": own.Total, "objective": s.Objective}, &b.SoFar.Allowed},
			Step{"consumed_so_far", "bad / allowed", in{"bad": own.Bad, "allowed": b.SoFar.Allowed}, &b.SoFar.Consumed},
			Step{"remaining_so_far", "1 - consumed", in{"consumed": b.SoFar.Consumed}, &b.SoFar.Remaining})
	}
	return steps
}

// notes tell how the events of a ledger are made, where they are no increments of
// counters.
func (l *job) notes() []string {
	var out []string
	if l.slice != nil {
		out = append(out, fmt.Sprintf("a slice of %s is bad when less than %s %% of its events are good", l.slice.Length, l.slice.Target.Percent()))
	}
	if l.joined != nil {
		out = append(out, "a minute is bad when that of any part is; the parts have proofs of their own")
		return out
	}
	m := l.meters[0]
	switch measure := m.indicator.Measure().(type) {
	case slo.States:
		out = append(out, "each minute of a series counts, and is bad when any sample in it is 0")
	case slo.Increments:
		note := "each sample is the number of events since the one before, and counts in the minute of its time"
		if measure.PerSecond {
			note = "each sample is a number of events per second, times the time since the one before, which counts in the minute of its time"
		}
		out = append(out, note)
	case slo.Levels:
		out = append(out, "a minute is bad unless all values of the query at its end are as they should be")
		if l.book != nil && m.paced() {
			if note := paceNote(l.book.parts[0].accounts.(*levels).paces); note != "" {
				out = append(out, note)
			}
		}
	case slo.Runs:
		out = append(out, "each new time of success is a run that succeeded, and each period that passes without one a run that failed")
	case slo.Rates:
		out = append(out, "the query is evaluated at the end of each minute, over more than that minute: windows are exact, but for their edges")
	}
	if m.native != nil && l.book != nil && l.book.parts[0].native {
		out = append(out, "native histograms are counted as the classic series that would say the same; there is no direct query to check them by")
	}
	if l.book != nil && l.book.parts[0].inexact {
		out = append(out, "the threshold lies within a bucket of native histograms: the events are an estimate")
	}
	return out
}

// note adds what else there is to know about the numbers.
func (p *Proof) note(sum Sum) {
	p.Notes = []string{}
	unit := p.SLO.Unit()
	add := func(format string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, args...)) }
	if p.SLO.StateReason != "" {
		add("%s: %s", p.SLO.State, p.SLO.StateReason)
	}
	if p.SLO.Method == MethodAggregated {
		add("counted by sums of targets: series are sums, and what differs from the checks is not explained in parts")
	}
	if basis := p.SLO.Budget.ProjectionBasis; basis != nil {
		add("the budget is that of the projected whole %s; what is to come is projected by: %s", p.SLO.Window, *basis)
	}
	if sum.Bad < 0 {
		add("the good %s are %s more than all; bad counts as 0", unit, forPeople(-sum.Bad))
	}
	if x := p.SLO.Excluded; x.Slots > 0 {
		add("%s slots are excluded, with %s %s, %s of them bad: they hold nothing and don't count, but are among samples, findings and checks",
			forPeople(float64(x.Slots)), forPeople(x.Total), unit, forPeople(x.Bad))
	}
	if sum.Known > 0 && sum.Total == 0 {
		add("nothing happened: the SLI is undefined, and no budget is consumed")
	}
	if missing := sum.slots() - sum.Known; sum.Known > 0 && missing > 0 {
		add("%s of the slots are not known: no samples that are two scrapes apart at most are around them", forPeople(float64(missing)))
		add("events of unknown slots count in the slot of the next sample, where there is one")
	}
}

// forPeople is a number with at most two decimals, and commas between thousands.
func forPeople(n float64) string {
	text := strconv.FormatFloat(math.Round(100*n)/100, 'f', -1, 64)
	whole, _, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
