package audit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

const (
	// Differing is how many audits in a row must differ for a doubt.
	Differing = 2
)

const (
	// differsBy and differsEvents are what an audit must differ by.
	differsBy, differsEvents = 0.05, 10
)

// results are what the last audits of a part found, in the order of time.
type results []Result

// Result is what an audit of an hour found.
type Result struct {
	to      timeline.Minute
	failed  bool   // there was no answer
	Differs string // how; "" when they agree
}

// of is the result of the audit of an hour; false when there was none.
func (v results) of(to timeline.Minute) (Result, bool) {
	i := slices.IndexFunc(v, func(r Result) bool { return r.to == to })
	if i < 0 {
		return Result{}, false
	}
	return v[i], true
}

// Audit is that of an hour of a part of a plan.
type Audit struct {
	Plan    *plan.Plan
	Part    int
	hour    history.Hour
	queries []plan.Query
	way     history.AuditWay
	usual   time.Duration // between two samples
	asked   counting.Role // the counters that it is about
	direct  [3]float64
	Err     error
	Done    bool
}

// Log is what the last audits of each part of a plan found.
type Log []results

// Due are the audits of a book that were not done: of the newest hours of each part.
func (a Log) Due(k *history.Record) (out []Audit) {
	for i, m := range k.Plan.Inputs {
		p := &k.Inputs[i]
		for _, h := range p.Hours[max(0, len(p.Hours)-Differing):] {
			if _, known := a.of(i).of(h.To); known {
				continue
			}
			way := history.AuditWayOf(m, p)
			if way == "" {
				continue
			}
			x := Audit{Plan: k.Plan, Part: i, hour: h, way: way, usual: time.Duration(p.Counting.Interval()) * time.Millisecond}
			if x.queries = k.QueriesOf(i)[:len(m.Queries)]; way == history.AuditHistograms {
				x.queries, x.asked = []plan.Query{m.NativeQuery()}, counting.RoleGood|counting.RoleTotal
			}
			for _, q := range x.queries {
				x.asked |= q.Role
			}
			out = append(out, x)
		}
	}
	return out
}

func (a Log) of(part int) results {
	if a == nil {
		return nil
	}
	return a[part]
}

// Round are audits of a backend.
type Round struct {
	Backend *history.Reader
	Audits  []Audit
}

// Ask asks for audits, for a minute. What is not done then is due again.
func (a *Round) Ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	AskAll(ctx, a.Backend, a.Audits)
}

// Result is what an audit of a backend of some kind found, and what of each counter.
func (a *Audit) Result(kind string) (r Result, outcomes []string) {
	r = Result{to: a.hour.To, failed: a.Err != nil}
	for i, each := range counting.AllRoles {
		switch {
		case a.asked&each == 0:
		case r.failed:
			outcomes = append(outcomes, "failed")
		case a.Differs(i, kind):
			r.Differs = a.text(i)
			outcomes = append(outcomes, "differs")
		default:
			outcomes = append(outcomes, "agrees")
		}
	}
	return r, outcomes
}

// Note is the log of a plan's audits with the result of one of a part, without old ones.
func (a Log) Note(parts, part int, r Result) Log {
	if a == nil {
		a = make(Log, parts)
	}
	all := slices.DeleteFunc(append(a[part], r), func(x Result) bool { return x.to <= r.to-history.AuditedFor })
	slices.SortFunc(all, func(x, y Result) int { return int(x.to - y.to) })
	a[part] = all
	return a
}

// Differs reports whether what was counted of a role is not what the backend counts.
func (a *Audit) Differs(r int, kind string) bool {
	counted, direct := a.hour.Counted[r], a.direct[r]
	extrapolated := 0.0
	if a.way != history.AuditSums { // increase() takes a counter to grow on to the ends of the hour
		extrapolated = math.Abs(direct*a.usual.Minutes()/float64(history.AuditLength)) + math.Abs(a.hour.FirstGrowth[r])
	}
	off := func(expected float64) bool {
		difference := math.Abs(counted - expected)
		return difference > differsEvents && difference > differsBy*max(counted, expected)+extrapolated
	}
	unexplained := off(direct + a.hour.Surplus[r])
	if kind == backend.KindVictoriaMetrics { // it has a rule of its own for births
		return unexplained && off(direct)
	}
	return unexplained
}

// text says how a role differs.
func (a *Audit) text(r int) string {
	of := ""
	if m := a.Plan.Inputs[a.Part]; len(a.Plan.Inputs) > 1 {
		of = " of " + m.ClockText()
	}
	text := fmt.Sprintf("from %s to %s %s %s events%s were counted, and %s gives %s", evaluator.ClockText(a.hour.To-history.AuditLength), evaluator.ClockText(a.hour.To),
		evaluator.PlainCount(a.hour.Counted[r]), counting.AllRoles[r].Names()[0], of, a.way.Function(), evaluator.PlainCount(a.direct[r]+a.hour.Surplus[r]))
	if a.hour.Surplus[r] != 0 {
		text += ", births and falls apart"
	}
	return text
}

// Doubt is the doubt about a book whose last audits differ.
func (a Log) Doubt(k *history.Record) *evaluator.Doubt {
	for i := range a {
		var last []Result
		for _, h := range k.Inputs[i].Hours {
			if r, ok := a[i].of(h.To); ok && !r.failed {
				last = append(last, r)
			}
		}
		last = last[max(0, len(last)-Differing):]
		if len(last) == Differing && !slices.ContainsFunc(last, func(r Result) bool { return r.Differs == "" }) {
			since := (last[0].to - history.AuditLength).Time()
			return &evaluator.Doubt{Code: evaluator.DoubtAudit, Message: last[Differing-1].Differs, Since: &since}
		}
	}
	return nil
}
