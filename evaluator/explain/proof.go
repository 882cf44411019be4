// Package explain proves the numbers of one SLO by the slots, samples and findings that
// they come from, by the arithmetic, and by direct queries that must return the same.
package explain

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Proof contains how the numbers of one SLO over its own window are computed. `explain -o
// json` prints it. Its JSON is a contract, as that of Report.
type Proof struct {
	Format      int                 `json:"format"` // 1
	EvaluatedAt time.Time           `json:"evaluated_at"`
	SLO         evaluator.Status    `json:"slo"` // as in a Report
	Start       time.Time           `json:"start"`
	End         time.Time           `json:"end"`
	Slots       Slots               `json:"slots"`
	Events      Counted             `json:"events"`
	Samples     Samples             `json:"samples"`
	Findings    Findings            `json:"findings"`
	Queries     []backend.Query     `json:"queries"` // in the order in which they were sent
	Arithmetic  []Step              `json:"arithmetic"`
	Checks      []Check             `json:"checks"` // one per counter
	Notes       []string            `json:"notes"`  // notes for readers
	Problems    []evaluator.Problem `json:"problems"`
}

// Slots counts the slots of the window, one a minute.
type Slots struct {
	Count    int     `json:"count"`
	Known    int     `json:"known"`
	Coverage float64 `json:"coverage"` // share of known slots, 0 to 1
	Single   int     `json:"single"`   // summed one by one
	Quarters int     `json:"quarters"` // summed in quarters of an hour, 15 slots each
	Excluded int     `json:"excluded"`
}

// Counted contains numbers of events.
type Counted struct {
	Total float64 `json:"total"`
	Good  float64 `json:"good"`
	Bad   float64 `json:"bad"`
}

// Samples counts the samples of the window.
type Samples struct {
	Count  int        `json:"count"`
	Series int        `json:"series"`
	First  *time.Time `json:"first"`
	Last   *time.Time `json:"last"`
}

// Findings contains the observations in the samples of the window that are more than
// plain increments.
type Findings struct {
	Kinds   []KindSummary      `json:"kinds"`    // all kinds, with or without findings
	List    []counting.Finding `json:"list"`     // by time; the largest 1000 of each kind
	LeftOut int                `json:"left_out"` // missing in the list
}

// KindSummary sums up the findings of a kind.
type KindSummary struct {
	Kind    counting.FindingKind `json:"kind"`
	Count   int                  `json:"count"`
	Events  map[string]float64   `json:"events"`  // by role; for ambiguous the events that were not counted
	Longest float64              `json:"longest"` // longest gap, in seconds
}

// Step is one number with its formula. The words in the formula are the keys of Inputs,
// except undefined ones.
type Step struct {
	Name    string             `json:"name"`
	Formula string             `json:"formula"`
	Inputs  map[string]float64 `json:"inputs"`
	Value   *float64           `json:"value"`
}

// Evidence contains the parts of a Proof.
type Evidence struct {
	Status   evaluator.Status
	Plan     *plan.Plan
	Record   *history.Record    // nil if the SLO could not be read
	Sum      timeline.Sum       // the events of the window without the excluded ones
	Recorder *counting.Recorder // the samples and findings of the window
	Queries  *[]backend.Query   // all that were sent; those of the checks are added
	Problems []evaluator.Problem
}

// Prove proves the numbers of a status. It asks the backend to count the window by its own
// means.
func Prove(ctx context.Context, b *history.Reader, at time.Time, e Evidence) *Proof {
	p := &Proof{
		Format: 1, EvaluatedAt: at, SLO: e.Status, Start: e.Recorder.From.Time(), End: e.Recorder.To.Time(),
		Arithmetic: arithmetic(&e.Status, e.Sum), Checks: []Check{}, Problems: e.Problems,
	}
	if e.Record != nil {
		p.Slots.Quarters = int(max(0, e.Record.Timeline.FineFrom-e.Recorder.From) / timeline.Quarter)
		p.Checks = checks(ctx, b, e.Record, e.Recorder, e.Record.Timeline.Sum(e.Recorder.From, e.Recorder.To))
	}
	p.addCounts(e.Sum)
	p.addSamples(e.Recorder)
	p.addNotes(e.Sum)
	p.Notes = append(p.Notes, methodNotes(e.Plan, e.Record)...)
	p.Queries = *e.Queries
	return p
}

// addCounts fills in the numbers of the timeline.
func (p *Proof) addCounts(sum timeline.Sum) {
	p.Slots.Count = int(sum.End - sum.Start)
	p.Slots.Known = sum.Known
	p.Slots.Coverage = sum.Coverage()
	p.Slots.Excluded = sum.Excluded
	p.Slots.Single = p.Slots.Count - p.Slots.Quarters*timeline.Quarter
	bad := max(sum.Bad, 0)
	p.Events = Counted{Total: sum.Total, Good: sum.Total - bad, Bad: bad}
}

// addSamples fills in the numbers of the samples.
func (p *Proof) addSamples(w *counting.Recorder) {
	first, last := int64(math.MaxInt64), int64(0)
	for _, t := range w.Series {
		if t.Samples > 0 {
			p.Samples.Series++
			p.Samples.Count += t.Samples
			first, last = min(first, t.First.T), max(last, t.Last.T)
		}
	}
	if p.Samples.Count > 0 {
		from, to := time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		p.Samples.First, p.Samples.Last = &from, &to
	}
	p.Findings.List = []counting.Finding{}
	for _, kind := range counting.FindingKinds {
		k := KindSummary{Kind: kind, Events: map[string]float64{}}
		if f := w.Findings[kind]; f != nil {
			f.Trim()
			k.Count, k.Longest = f.Count, f.Longest
			for r, events := range f.ByRole {
				k.Events[r.Names()[0]] = events
			}
			p.Findings.List = append(p.Findings.List, f.Largest...)
			p.Findings.LeftOut += f.Count - len(f.Largest)
		}
		p.Findings.Kinds = append(p.Findings.Kinds, k)
	}
	slices.SortFunc(p.Findings.List, func(a, b counting.Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), counting.CompareSeries(a, b), cmp.Compare(a.Kind, b.Kind))
	})
}

// arithmetic returns the steps from the counts to the numbers of a status.
func arithmetic(s *evaluator.Status, sum timeline.Sum) []Step {
	own := s.Windows[len(s.Windows)-1]
	own.Total = max(own.Total, own.Bad) // as burn rates and budgets use it
	good, coverage := own.Total-own.Bad, own.Coverage
	type in = map[string]float64
	steps := []Step{
		{"coverage", "known / slots", in{"known": float64(sum.Known), "slots": float64(sum.Slots())}, &coverage},
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

// addNotes adds notes about the numbers for readers.
func (p *Proof) addNotes(sum timeline.Sum) {
	p.Notes = []string{}
	unit := p.SLO.Unit()
	add := func(format string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, args...)) }
	if p.SLO.StateReason != "" {
		add("%s: %s", p.SLO.State, p.SLO.StateReason)
	}
	if p.SLO.Method == evaluator.MethodAggregated {
		add("counted by sums of targets: series are sums, and what differs from the checks is not explained in parts")
	}
	if basis := p.SLO.Budget.ProjectionBasis; basis != nil {
		add("the budget is that of the projected whole %s; what is to come is projected by: %s", p.SLO.Window, *basis)
	}
	if sum.Bad < 0 {
		add("the good %s are %s more than all; bad counts as 0", unit, humanize.Decimal(-sum.Bad))
	}
	if x := p.SLO.Excluded; x.Slots > 0 {
		add("%s slots are excluded, with %s %s, %s of them bad: they hold nothing and don't count, but are among samples, findings and checks",
			humanize.Decimal(float64(x.Slots)), humanize.Decimal(x.Total), unit, humanize.Decimal(x.Bad))
	}
	if sum.Known > 0 && sum.Total == 0 {
		add("nothing happened: the SLI is undefined, and no budget is consumed")
	}
	if missing := sum.Slots() - sum.Known; sum.Known > 0 && missing > 0 {
		add("%s of the slots are not known: no samples that are two scrapes apart at most are around them", humanize.Decimal(float64(missing)))
		add("events of unknown slots count in the slot of the next sample, where there is one")
	}
}

// methodNotes returns notes on how events are made that are not increments of counters.
// record is nil if the SLO could not be read.
func methodNotes(p *plan.Plan, record *history.Record) []string {
	var out []string
	if p.Slice != nil {
		out = append(out, fmt.Sprintf("a slice of %s is bad when less than %s %% of its events are good", p.Slice.Length, p.Slice.Target.Percent()))
	}
	if p.Combine != nil {
		out = append(out, "a minute is bad when that of any part is; the parts have proofs of their own")
		return out
	}
	m := p.Inputs[0]
	switch measure := m.Indicator.Measure().(type) {
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
		if record != nil && m.Paced() {
			if note := gauges.PaceNote(record.Inputs[0].Counting.(*gauges.Values).Paces); note != "" {
				out = append(out, note)
			}
		}
	case slo.Runs:
		out = append(out, "each new time of success is a run that succeeded, and each period that passes without one a run that failed")
	case slo.Rates:
		out = append(out, "the query is evaluated at the end of each minute, over more than that minute: windows are exact, but for their edges")
	}
	if m.Native != nil && record != nil && record.Inputs[0].Native {
		out = append(out, "native histograms are counted as the classic series that would say the same; there is no direct query to check them by")
	}
	if record != nil && record.Inputs[0].Inexact {
		out = append(out, "the threshold lies within a bucket of native histograms: the events are an estimate")
	}
	return out
}
