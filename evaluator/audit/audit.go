// Package audit compares an hour of counts with the backend's own count of it, and
// reports differences that are not explained.
package audit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

const (
	// Differing is the number of audits in a row that must differ for a doubt.
	Differing = 2
)

const (
	// differingShare is the share of events by which the counts of an audit must differ.
	differingShare = 0.05
	// differingEvents is the number of events by which they must differ too.
	differingEvents = 10
)

// Result is the result of the audit of an hour.
type Result struct {
	to      timeline.Minute
	failed  bool   // there was no answer
	Differs string // description of the difference; "" if there is none
}

// Audit is the audit of an hour of an input of a plan.
type Audit struct {
	Plan    *plan.Plan
	Part    int
	hour    history.Hour
	queries []plan.Query
	way     history.AuditWay
	usual   time.Duration // usual time between two samples
	roles   counting.Role // roles to compare
	direct  [3]float64
	Err     error
	Done    bool
}

// Log contains the results of the last audits of each input of a plan, by the ends of
// their hours.
type Log []map[timeline.Minute]Result

// Due returns the audits of the newest hours of each input that are not done yet.
func (a Log) Due(record *history.Record) (out []Audit) {
	for i, m := range record.Plan.Inputs {
		p := &record.Inputs[i]
		for _, h := range p.Hours[max(0, len(p.Hours)-Differing):] {
			way := history.AuditWayOf(m, p)
			if way == "" || a != nil && a[i][h.To] != (Result{}) {
				continue
			}
			x := Audit{Plan: record.Plan, Part: i, hour: h, way: way, usual: time.Duration(p.Counting.Interval()) * time.Millisecond}
			if x.queries = record.QueriesOf(i)[:len(m.Queries)]; way == history.AuditHistograms {
				x.queries, x.roles = []plan.Query{m.NativeQuery()}, counting.RoleGood|counting.RoleTotal
			}
			for _, q := range x.queries {
				x.roles |= q.Role
			}
			out = append(out, x)
		}
	}
	return out
}

// Result returns the result of an audit of a backend of a kind, and the outcome of each
// counter.
func (a *Audit) Result(kind string) (r Result, outcomes []string) {
	r = Result{to: a.hour.To, failed: a.Err != nil}
	for i, each := range counting.AllRoles {
		switch {
		case a.roles&each == 0:
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

// Add returns the log with a result of an input, and without old ones.
func (a Log) Add(parts, part int, r Result) Log {
	if a == nil {
		a = make(Log, parts)
	}
	if a[part] == nil {
		a[part] = map[timeline.Minute]Result{}
	}
	maps.DeleteFunc(a[part], func(to timeline.Minute, _ Result) bool { return to <= r.to-history.AuditedFor })
	a[part][r.to] = r
	return a
}

// Differs reports whether the count of a role differs from the backend's.
func (a *Audit) Differs(r int, kind string) bool {
	counted, direct := a.hour.Counted[r], a.direct[r]
	extrapolated := 0.0
	if a.way != history.AuditSums { // increase() assumes that a counter also grows to the ends of the hour
		extrapolated = math.Abs(direct*a.usual.Minutes()/float64(history.AuditLength)) + math.Abs(a.hour.FirstGrowth[r])
	}
	off := func(expected float64) bool {
		difference := math.Abs(counted - expected)
		return difference > differingEvents && difference > differingShare*max(counted, expected)+extrapolated
	}
	unexplained := off(direct + a.hour.Surplus[r])
	if kind == backend.KindVictoriaMetrics { // it has its own rule for births
		return unexplained && off(direct)
	}
	return unexplained
}

// text describes the difference of a role.
func (a *Audit) text(r int) string {
	input := ""
	if m := a.Plan.Inputs[a.Part]; len(a.Plan.Inputs) > 1 {
		input = " of " + m.ClockText()
	}
	text := fmt.Sprintf("from %s to %s %s %s events%s were counted, and %s gives %s", humanize.Minute((a.hour.To - history.AuditLength).Time()), humanize.Minute(a.hour.To.Time()),
		humanize.Precise(a.hour.Counted[r]), counting.AllRoles[r].Names()[0], input, a.way.Function(), humanize.Precise(a.direct[r]+a.hour.Surplus[r]))
	if a.hour.Surplus[r] != 0 {
		text += ", births and falls apart"
	}
	return text
}

// Doubt returns the doubt about a Record whose last audits differ, or nil.
func (a Log) Doubt(record *history.Record) *evaluator.Doubt {
	for i := range a {
		var last []Result
		for _, h := range record.Inputs[i].Hours {
			if r, ok := a[i][h.To]; ok && !r.failed {
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
