package rules

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// Tests makes a file for `promtool test rules` that proves that each alert of the
// SLOs of a rule file fires when all events are bad, is over when all are good
// again, and keeps quiet when nothing happens. What should be when follows from the
// policies as the evaluator judges by them. It also gives what is not tested: the
// ids of the SLOs for which it can't work out series, and alerts that don't fire
// within three days in which all events are bad.
func Tests(file string, slos []*slo.SLO, o Options) (text []byte, without []string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# It tests %s: promtool test rules %s\nrule_files: [%[2]s]\nevaluation_interval: 1m\ntests:\n",
		Marker, strconv.Quote(file+".rules.yaml"), strconv.Quote(file+".test.yaml"))
	tested := 0
	for _, s := range slos {
		one := "count"
		if as := o.Naming.names(); as != nil {
			s = as.of(s)
			one = "max" // a problem may be an alert of each tier
		}
		p := newProof(s, o.Policies)
		if p == nil {
			without = append(without, s.ID())
			continue
		}
		for _, severity := range p.never {
			without = append(without, s.ID()+" ("+severity+")")
		}
		if len(p.begins) > 0 {
			tested++
			p.one = one
			p.write(&b)
		}
	}
	if tested == 0 {
		return nil, without
	}
	return b.Bytes(), without
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
	// longestProof is how many slots an incident or its end may take.
	longestProof = 3 * 24 * 60
	// busy is how many events of a counter a slot has, and flood how many times
	// more when all are good again, so that long windows are soon, too.
	busy, flood = 1000, 10_000
)

// proof is what a test shows of an SLO.
type proof struct {
	s       *slo.SLO
	ids     []string // of the whole, and of a group
	inputs  []input
	begins  map[string]int // by a severity, the minute in which its alert fires for sure
	ends    map[string]int // and no longer fires for sure
	burst   int            // the slots in which all is bad
	every   int            // the slots from an event to the next, of slices and of runs
	lag     int            // the slots by which the events of a test may come later
	counted bool           // by counters, so that there may be no traffic
	never   []string       // the severities whose alerts don't fire in days
	one     string         // what makes 1 of the alerts that fire
}

// input is a series in three phases: good, bad, good.
type input struct {
	labels labels.Labels
	values func(p *proof) string
	still  string // its values when nothing happens; none when it is not there
}

func newProof(s *slo.SLO, policies alerting.Policies) *proof {
	p := &proof{s: s, ids: []string{s.ID()}, begins: map[string]int{}, ends: map[string]int{}, counted: true, every: 1}
	if s.Slice != nil {
		p.every = int(s.Slice.Length.Duration() / time.Minute)
	}
	more := map[string]string{}
	if s.Groups != nil {
		group := *s
		for _, name := range s.Groups.By {
			more[name] = "example"
		}
		group.Group = more
		p.ids = append(p.ids, group.ID())
	}
	for _, leaf := range leaves(s) {
		of := p.inputsOf(leaf.Indicator, more)
		if len(of) == 0 {
			return nil
		}
		p.inputs = append(p.inputs, of...)
	}
	p.simulate(policies)
	return p
}

// inputsOf are the series of an indicator, none where it can't be told what they
// would be.
func (p *proof) inputsOf(i slo.Indicator, more map[string]string) []input {
	var out []input
	gauge := func(l labels.Labels, ok bool, good, bad string) {
		p.counted = false
		if ok {
			out = append(out, input{labels: l, values: func(p *proof) string {
				return fmt.Sprintf("%sx%d %sx%d %[1]sx%[5]d", good, calm, bad, p.burst-1, p.last())
			}})
		}
	}
	switch m := i.Measure().(type) {
	case slo.Counters:
		for _, r := range risingOf(m, more) {
			out = append(out, input{r.labels, r.values, fmt.Sprintf("7x%d", quiet)})
		}
		return out
	case slo.States:
		l, ok := firstOf(m.Gauge, more)
		gauge(l, ok, "1", "0")
		return out
	case slo.Runs:
		return p.runs(m, more)
	}
	switch i := i.(type) {
	case slo.Threshold:
		for _, good := range []float64{i.Value, i.Value - 1, i.Value + 1} {
			for _, bad := range []float64{i.Value, i.Value - 1, i.Value + 1} {
				levels := i.Measure().(slo.Levels)
				if levels.Good(time.Time{}, good) && !levels.Good(time.Time{}, bad) && len(out) == 0 {
					l, ok := gaugeOf(i.Query, more)
					gauge(l, ok, floatText(good), floatText(bad))
				}
			}
		}
	case slo.Freshness:
		// promtool's time begins at 0: what is too old then is older than that.
		l, ok := gaugeOf(i.Timestamp, more)
		p.counted = false
		if ok {
			out = append(out, input{labels: l, values: func(p *proof) string {
				end := calm + p.burst
				return fmt.Sprintf("0+60x%d %dx%d %d+60x%d", calm, -int64(2*i.MaxAge/time.Second), p.burst-1, 60*(end+1), p.last())
			}})
		}
	}
	return out
}

// runs is the series of a job that succeeds each time, never, and each time. Of a
// part or of slices it can't be told when they are bad.
func (p *proof) runs(r slo.Runs, more map[string]string) []input {
	l, ok := gaugeOf(r.LastSuccess, more)
	if _, whole := p.s.Indicator.Measure().(slo.Runs); !ok || !whole || p.s.Slice != nil || r.Every%time.Minute != 0 {
		return nil
	}
	p.counted, p.every = false, int(r.Every/time.Minute)
	p.lag = p.every + int((r.Grace+time.Minute-1)/time.Minute)
	// jobs are n minutes from one on, in the first of which it succeeds.
	jobs := func(from, n int) string {
		var out []string
		for ; n > 0; from, n = from+p.every, n-p.every {
			out = append(out, fmt.Sprintf("%dx%d", 60*from, min(n, p.every)-1))
		}
		return strings.Join(out, " ")
	}
	return []input{{labels: l, values: func(p *proof) string {
		return fmt.Sprintf("%s %dx%d %s", jobs(0, calm+1), 60*(calm/p.every)*p.every, p.burst-1, jobs(calm+p.burst+1, p.last()+1))
	}}}
}

// values are those of a counter.
func (r rising) values(p *proof) string {
	good, bad := r.perGood*busy, r.perBad*busy
	after := good
	if p.floods() {
		after *= flood
	}
	n := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	atEnd := good*calm + bad*float64(p.burst)
	return fmt.Sprintf("0+%sx%d %s+%sx%d %s+%sx%d", n(good), calm, n(good*calm+bad), n(bad), p.burst-1, n(atEnd+after), n(after), p.last())
}

// floods reports whether more events can be good after the incident than before: not
// where a slot or a slice is one event.
func (p *proof) floods() bool {
	_, parts := p.s.Indicator.Measure().(slo.Parts)
	return p.counted && !parts && p.every == 1
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
		if t.Long > longestDirect {
			settles = byQuarters
		}
	}
	settles += p.lag
	run := newRun(p, policies, true)
	for n := 1; n <= longestProof; n++ {
		for severity := range run.step(false, busy) {
			if p.begins[severity] == 0 {
				p.begins[severity] = calm + n + settles
				p.burst = max(p.burst, n+settles)
			}
		}
	}
	if p.s.Slice != nil { // a slice of which a part is bad would be a bad one
		p.burst = (p.burst + p.every - 1) / p.every * p.every
	}
	for _, severity := range []string{alerting.Page, alerting.Ticket} {
		if m, has := p.begins[severity]; has && m == 0 {
			p.never = append(p.never, severity)
			delete(p.begins, severity)
		}
	}
	run = newRun(p, policies, false)
	for range p.burst {
		run.step(false, busy)
	}
	after := busy
	if p.floods() {
		after *= flood
	}
	for n := 1; n <= longestProof && len(p.ends) < len(p.begins); n++ {
		fires := run.step(true, after)
		for severity := range p.begins {
			if p.ends[severity] == 0 && !fires[severity] {
				p.ends[severity] = calm + p.burst + n + settles
			}
		}
	}
	for severity := range p.begins {
		if p.ends[severity] == 0 {
			p.never = append(p.never, severity)
			delete(p.begins, severity)
		}
	}
}

// run is a judge of slots that are all good, or all bad.
type run struct {
	p        *proof
	timeline *evaluator.Timeline
	judge    evaluator.Judge
}

// newRun has a timeline behind it for as long as a judge looks back, known or not,
// and what is calm.
func newRun(p *proof, policies alerting.Policies, known bool) *run {
	// Slices lie on the clock, so the calm ends at an end of all of them.
	end := evaluator.Minute(10 * 365 * 24 * 60)
	r := &run{p, evaluator.NewTimeline(end.Add(-policies.Lookback(p.s) - calm*time.Minute)), policies.NewJudge()}
	for r.timeline.End() < end.Add(-calm*time.Minute) {
		if known {
			r.append(true, busy)
		} else {
			r.timeline.Append(evaluator.Slot{})
		}
	}
	for range calm {
		r.append(true, busy)
	}
	r.judge(p.s, r.timeline, end)
	return r
}

// append appends a slot.
func (r *run) append(good bool, events int) {
	slot := evaluator.Slot{Total: 1, Known: true}
	if (r.timeline.End()+1)%evaluator.Minute(r.p.every) != 0 {
		slot.Total = 0
	} else if r.p.floods() {
		slot.Total = float64(events)
	}
	if !good {
		slot.Bad = slot.Total
	}
	r.timeline.Append(slot)
}

// step appends a slot and tells the severities that fire.
func (r *run) step(good bool, events int) map[string]bool {
	r.append(good, events)
	out := map[string]bool{}
	for _, a := range r.judge(r.p.s, r.timeline, r.timeline.End()) {
		out[a.Severity] = true
	}
	return out
}

// write writes the tests of an SLO.
func (p *proof) write(b *bytes.Buffer) {
	p.begin(b, "all events are bad for "+slo.Window(time.Duration(p.burst)*time.Minute).String())
	for _, in := range p.inputs {
		writeInput(b, in.labels, in.values(p))
	}
	b.WriteString("    promql_expr_test:\n")
	for _, severity := range []string{alerting.Page, alerting.Ticket} {
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
	for _, severity := range []string{alerting.Page, alerting.Ticket} {
		if p.begins[severity] > 0 {
			p.expect(b, severity, quiet, false)
		}
	}
}

func (p *proof) begin(b *bytes.Buffer, what string) {
	fmt.Fprintf(b, "  - name: %s\n    interval: 1m\n    input_series:\n", strconv.Quote(p.s.ID()+": "+what))
}

func writeInput(b *bytes.Buffer, l labels.Labels, values string) {
	fmt.Fprintf(b, "      - series: %s\n        values: %s\n", strconv.Quote(seriesText(l)), strconv.Quote(values))
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
