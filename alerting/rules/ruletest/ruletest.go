// Package ruletest writes tests by which promtool proves that the alerts of generated
// rules fire, end and keep quiet.
//
// Their series follow from the selectors of the SLO, and what should be when from the
// policies, as the evaluator judges by them. It imports rules, policies and timelines: no
// engine and no TSDB.
package ruletest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/alerting/rules/series"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// File makes a file for `promtool test rules` that proves that each alert of an SLO
// whose rules are in a file of a name fires when all events are bad, is over when
// all are good again, and keeps quiet when nothing happens. What should be when
// follows from the policies as the evaluator judges by them. It also returns what is
// not tested, and why: an SLO whose series don't follow from its file, because it has
// expressions of several selectors, and alerts that can't fire.
func File(ruleFile string, s *slo.SLO, o rules.Options) (text []byte, without []string) {
	one := "count"
	if o.Naming != "" {
		s = o.Naming.SLO(s)
		one = "max" // a problem may be an alert of each tier
	}
	p := newProof(s, o.Policies)
	if p == nil {
		return nil, []string{s.ID() + ": no series by which it fails follow from its expressions"}
	}
	if len(p.begins) == 0 {
		return nil, p.never
	}
	p.one = one
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nrule_files: [%s]\nevaluation_interval: 1m\ntests:\n", rules.Marker, strconv.Quote(ruleFile))
	p.write(&b)
	return b.Bytes(), p.never
}

const (
	// calm is for how many slots all is well before an incident.
	calm = 60
	// quiet is how long nothing happens, in minutes.
	quiet = 60
	// atOnce is how many slots after its end a slot may be evaluated by promtool,
	// and one more where a sample lies on its edge.
	atOnce = 3
	// byQuarters is the same of windows that are made of whole quarters of an hour.
	byQuarters = atOnce + 2*15
	// longestProof is how many slots an incident or its end may take: the longest
	// window of a tier, and what it may wait and fire longer.
	longestProof = (7 + 1 + 1) * 24 * 60
	// busy is how many events of a counter a slot has, and flood how many times
	// more when all are good again, so that long windows are soon, too.
	busy, flood = 1000, 10_000
)

// proof contains the parts of a test of an SLO.
type proof struct {
	s       *slo.SLO
	ids     []string // of the whole, and of a group
	inputs  []input
	begins  map[string]int // by a severity, the minute in which its alert fires for sure
	ends    map[string]int // and no longer fires for sure
	burst   int            // the slots in which all is bad
	every   int            // the slots from an event to the next, of slices and of runs
	misses  int            // the slots from a bad event to the next
	lag     int            // the slots by which the events of a test may come later
	events  [2]float64     // in a slot that is good, and in a bad one
	flood   float64        // how many times more events there are when all are good again
	counted bool           // by counters, so that there may be no traffic
	never   []string       // what is not proven, and why
	one     string         // what makes 1 of the alerts that fire
}

func newProof(s *slo.SLO, policies alerting.Policies) *proof {
	p := &proof{
		s: s, ids: []string{s.ID()}, begins: map[string]int{}, ends: map[string]int{},
		every: 1, misses: 1, events: [2]float64{1, 1}, flood: 1, counted: true,
	}
	if s.Slice != nil {
		p.every = int(s.Slice.Length.Duration() / time.Minute)
	}
	more := groupOf(s)
	if s.Groups != nil {
		group := *s
		group.Group = more
		p.ids = append(p.ids, group.ID())
	}
	parts := s.Leaves()
	// A job that is missed is bad in a minute only, so other parts are bad where there
	// are some, or one job is.
	isJob := func(part *slo.SLO) bool { _, is := part.Indicator.Measure().(slo.Runs); return is }
	jobs := slices.IndexFunc(parts, func(part *slo.SLO) bool { return !isJob(part) }) < 0
	for i, part := range parts {
		of := p.inputsOf(part.Indicator, more, !isJob(part) || jobs && i == 0)
		if len(of) == 0 {
			return nil
		}
		p.inputs = append(p.inputs, of...)
	}
	p.counted = !slices.ContainsFunc(p.inputs, func(in input) bool { return in.still == "" })
	if _, isParts := s.Indicator.Measure().(slo.Parts); isParts || p.every > 1 {
		p.events, p.flood = [2]float64{1, 1}, 1
	}
	p.simulate(policies)
	p.once()
	return p
}

// once leaves each series in once, and proves nothing where those of two parts are
// the same series with other values.
func (p *proof) once() {
	seen := map[string]string{}
	p.inputs = slices.DeleteFunc(p.inputs, func(in input) bool {
		text, values := series.Text(in.labels), in.values()
		before, has := seen[text]
		if has && before != values {
			clear(p.begins)
			p.never = []string{p.s.ID() + ": the series found for its parts contradict each other"}
		}
		seen[text] = values
		return has
	})
}

// last is how many slots all is good after the incident.
func (p *proof) last() int {
	last := 0
	for _, m := range p.ends {
		last = max(last, m-calm-p.burst)
	}
	return last
}

// simulate tells by the evaluator's judge when alerts begin and end. They begin
// last where all was well before for as long as any window is, and end last where
// nothing was known before.
func (p *proof) simulate(policies alerting.Policies) {
	settles := atOnce
	for _, t := range policies.Tiers(p.s) {
		if p.s.Alerting.Severity(t.Severity).Disabled {
			continue
		}
		p.begins[t.Severity] = 0
		if t.Long > rules.LongestDirect {
			settles = byQuarters
		}
	}
	settles += p.lag
	if p.misses > p.every {
		policies = stricter(policies)
	}
	run, begun := newRun(p, policies, true), 0
	for n := 1; n <= longestProof && begun < len(p.begins); n++ {
		for severity := range run.step(false) {
			if p.begins[severity] == 0 {
				p.begins[severity] = calm + n + settles
				p.burst = max(p.burst, n+settles)
				begun++
			}
		}
	}
	if p.s.Slice != nil { // a slice of which a part is bad would be a bad one
		p.burst = (p.burst + p.every - 1) / p.every * p.every
	}
	never := "it can't fire, however long all events are bad"
	if p.misses > p.every {
		never = "rules may not fire, however long a job is missed"
	}
	p.drop(p.begins, never)
	run = newRun(p, policies, false)
	for range p.burst {
		run.step(false)
	}
	run.flood = p.flood
	for n := 1; n <= longestProof && len(p.ends) < len(p.begins); n++ {
		fires := run.step(true)
		for severity := range p.begins {
			if p.ends[severity] == 0 && !fires[severity] {
				p.ends[severity] = calm + p.burst + n + settles
			}
		}
	}
	p.drop(p.ends, "it takes too long to end")
}

// boundTo is how many times the bound of a probability by which rules judge may be
// the probability, of some events among many. That of all events is the same.
const boundTo = 20

// stricter are policies that ask for as much evidence as rules do, or more.
func stricter(policies alerting.Policies) alerting.Policies {
	out := alerting.Policies{}
	for name, policy := range policies {
		policy.Tiers = slices.Clone(policy.Tiers)
		for i := range policy.Tiers {
			policy.Tiers[i].Significance /= boundTo
		}
		out[name] = policy
	}
	return out
}

// drop leaves out the severities for which there is no minute, and says why.
func (p *proof) drop(minutes map[string]int, why string) {
	for _, severity := range []string{slo.Page, slo.Ticket} {
		if _, has := p.begins[severity]; has && minutes[severity] == 0 {
			p.never = append(p.never, p.s.ID()+" ("+severity+"): "+why)
			delete(p.begins, severity)
		}
	}
}

// run is a judge of slots that are all good, or all bad.
type run struct {
	p        *proof
	flood    float64
	timeline *timeline.Timeline
	judge    evaluator.Judge
}

// newRun begins with a timeline as long as a judge looks back, known or not, and calm.
func newRun(p *proof, policies alerting.Policies, known bool) *run {
	// Slices lie on the clock, so the calm ends at an end of all of them.
	end := timeline.Minute(10 * 365 * 24 * 60)
	r := &run{p, 1, timeline.NewTimeline(end.Add(-policies.Lookback(p.s) - calm*time.Minute)), policies.NewJudge()}
	for r.timeline.End() < end.Add(-calm*time.Minute) {
		if known {
			r.append(true)
		} else {
			r.timeline.Append(timeline.Slot{})
		}
	}
	for range calm {
		r.append(true)
	}
	r.judge(p.s, r.timeline, end)
	return r
}

// append appends a slot.
func (r *run) append(good bool) {
	slot, end := timeline.Slot{Known: true}, int(r.timeline.End())+1
	switch {
	case end%r.p.every != 0:
	case good:
		slot.Total = r.p.events[0] * r.flood
	default:
		slot.Total = r.p.events[1]
		if end%r.p.misses < r.p.every {
			slot.Bad = slot.Total
		}
	}
	r.timeline.Append(slot)
}

// step appends a slot and gives the severities whose burn alerts fire. Rules have
// no alerts about the budget.
func (r *run) step(good bool) map[string]bool {
	r.append(good)
	out := map[string]bool{}
	for _, a := range r.judge(r.p.s, r.timeline, r.timeline.End()) {
		if a.Burns() {
			out[a.Severity] = true
		}
	}
	return out
}

// write writes the tests of an SLO.
func (p *proof) write(b *bytes.Buffer) {
	p.begin(b, "all events are bad for "+slo.Window(time.Duration(p.burst)*time.Minute).String())
	for _, in := range p.inputs {
		writeInput(b, in.labels, in.values())
	}
	b.WriteString("    promql_expr_test:\n")
	for _, severity := range []string{slo.Page, slo.Ticket} {
		if p.begins[severity] > 0 {
			p.expect(b, severity, calm, false)
			p.expect(b, severity, p.begins[severity], true)
			p.expect(b, severity, p.ends[severity], false)
		}
	}
	what := "there is no data"
	if p.counted {
		what = "there is no traffic"
	}
	p.begin(b, what)
	for _, in := range p.inputs {
		if in.still != "" {
			writeInput(b, in.labels, in.still)
		}
	}
	if !p.counted {
		writeInput(b, labels.FromStrings("__name__", "other"), fmt.Sprintf("1x%d", quiet))
	}
	b.WriteString("    promql_expr_test:\n")
	for _, severity := range []string{slo.Page, slo.Ticket} {
		if p.begins[severity] > 0 {
			p.expect(b, severity, quiet, false)
		}
	}
}

func (p *proof) begin(b *bytes.Buffer, what string) {
	fmt.Fprintf(b, "  - name: %s\n    interval: 1m\n    input_series:\n", strconv.Quote(p.s.ID()+": "+what))
}

func writeInput(b *bytes.Buffer, l labels.Labels, values string) {
	fmt.Fprintf(b, "      - series: %s\n        values: %s\n", strconv.Quote(series.Text(l)), strconv.Quote(values))
}

// expect writes whether an alert of the SLO and of its group fires in a minute.
func (p *proof) expect(b *bytes.Buffer, severity string, minute int, fires bool) {
	for _, id := range p.ids {
		samples := "[]"
		if fires {
			samples = "[{labels: '{}', value: 1}]"
		}
		expr := p.one + "(ALERTS{alertname=" + strconv.Quote(p.s.Alerting.AlertName()) + ",alertstate=\"firing\",severity=" + strconv.Quote(p.s.Alerting.Severity(severity).Label) +
			",slo_id=" + strconv.Quote(id) + "})"
		fmt.Fprintf(b, "      - {expr: %s, eval_time: %dm, exp_samples: %s}\n", strconv.Quote(expr), minute, samples)
	}
}
