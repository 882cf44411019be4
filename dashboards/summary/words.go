package summary

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// WellKnown is the share of a window from which on it counts as known.
const WellKnown = 0.9

// Known returns how much of an SLO's own window is known, such as "known 10 of 30 d". It is
// "" when that is nearly all of it.
func Known(st *evaluator.Status) string {
	own := st.Own()
	if own.SLI == nil || own.Coverage >= WellKnown || own.Seconds == 0 {
		return ""
	}
	length := time.Duration(own.Seconds) * time.Second
	unit, size := "d", 24*time.Hour
	if length < 3*size {
		unit, size = "h", time.Hour
	}
	known := float64(length) * own.Coverage / float64(size)
	return fmt.Sprintf("known %s of %s%s%s", strings.TrimSuffix(humanize.Fixed(known, 1), ".0"),
		strings.TrimSuffix(humanize.Fixed(float64(length)/float64(size), 1), ".0"), humanize.Space, unit)
}

// Words returns a state of the data in words, such as "no data" or "OK".
func Words(s evaluator.State) string {
	if s == evaluator.StateOK {
		return "OK"
	}
	return strings.ReplaceAll(string(s), "_", " ")
}

// GroupName returns the labels of a group, such as `tenant="acme"`.
func GroupName(st *evaluator.Status) string {
	return strings.Trim(labels.FromMap(st.Group).String(), "{}")
}

// Source returns the data that a method of counting reads.
func Source(method string) string {
	switch method {
	case evaluator.MethodRaw:
		return "raw samples"
	case evaluator.MethodAggregated:
		return "sums of targets"
	case evaluator.MethodEvaluated:
		return "values of queries"
	}
	return method
}

// Lasts returns how long a budget lasts, "spent" when nothing is left, and humanize.Dash
// when that is unknown or when it outlasts the window.
func Lasts(b *evaluator.Budget) string {
	switch {
	case b.Remaining == nil:
		return humanize.Dash
	case *b.Remaining <= 0:
		return "spent"
	case b.ExhaustedInSeconds == nil:
		return humanize.Dash
	}
	left := time.Duration(*b.ExhaustedInSeconds * float64(time.Second))
	return humanize.Duration(left.Truncate(min(left, time.Minute)))
}

// Period is a calendar period that ended, in words.
type Period struct {
	Name, Objective, SLI, Remaining, Bad, Allowed, Total, Known string

	Overspent bool
	Thin      bool // less than WellKnown of it is known
}

// Periods returns the calendar periods of an SLO that ended, the newest first.
func Periods(st *evaluator.Status) []Period {
	out := make([]Period, 0, len(st.Periods))
	for _, p := range st.Periods {
		row := Period{
			Name: p.Name, Objective: humanize.Objective(p.Objective) + humanize.Space + "%", SLI: humanize.SLI(p.SLI, p.Objective),
			Remaining: humanize.Percent(p.Remaining), Known: humanize.Percent(&p.Coverage),
			Bad: humanize.Dash, Allowed: humanize.Dash, Total: humanize.Dash,
		}
		if p.Remaining != nil {
			row.Bad, row.Allowed, row.Total = humanize.Count(p.Bad), humanize.Count(*p.Allowed), humanize.Count(p.Total)
			row.Overspent, row.Thin = *p.Remaining < 0, p.Coverage < WellKnown
		}
		out = append(out, row)
	}
	return out
}

// Allowed returns the share that may be bad, from the decimal digits of the objective, so
// that a part with just that share is not taken for a worse one.
func Allowed(st *evaluator.Status) float64 {
	o, err := slo.ParseObjective(humanize.Objective(st.Objective))
	if err != nil { // it is from no SLO file
		return 1 - st.Objective
	}
	return o.Budget()
}
