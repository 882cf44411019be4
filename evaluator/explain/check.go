package explain

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Check compares the count of a counter with the backend's own result of one query.
type Check struct {
	Counter        string    `json:"counter"` // good, bad or total
	Query          string    `json:"query"`
	Time           time.Time `json:"time"`
	Counted        float64   `json:"counted"`
	Direct         *float64  `json:"direct"`          // null if there is no answer
	Unavailable    string    `json:"unavailable"`     // why there is none
	Difference     *float64  `json:"difference"`      // Counted - Direct
	Parts          []Part    `json:"parts"`           // explain the difference
	Remainder      *float64  `json:"remainder"`       // the rest of the difference
	RemainderShare *float64  `json:"remainder_share"` // of Counted
}

// Part is a part of a difference.
type Part struct {
	Name   string  `json:"name"`
	Events float64 `json:"events"`
	Text   string  `json:"text"`
}

// checks queries the increase of each counter of a plan that counts by counters.
func checks(ctx context.Context, b *history.Reader, record *history.Record, recorder *counting.Recorder, sum timeline.Sum) []Check {
	out := []Check{}
	m := record.Plan.Inputs[0]
	if m.Native != nil && record.Inputs[0].Native {
		return out // increase() of the classic series does not include them
	}
	if record.Plan.Derived() || m.NewMethod != nil || slices.ContainsFunc(m.Queries, func(q plan.Query) bool { return q.Weight != 1 }) {
		return out
	}
	counted := map[counting.Role]float64{counting.RoleGood: sum.Total - sum.Bad, counting.RoleBad: sum.Bad, counting.RoleTotal: sum.Total}
	id, _ := b.Identity()
	for _, r := range counting.AllRoles {
		var grown, spellings []string
		for _, q := range m.Queries {
			if q.Role == r {
				selector := q.Selector.With(q.Only...)
				grown = append(grown, b.Increase(selector, recorder.To-recorder.From))
				spellings = append(spellings, boundSpellings(ctx, b, selector, recorder)...)
			}
		}
		if len(grown) == 0 {
			continue
		}
		c := Check{
			Counter: r.Names()[0], Query: strings.Join(grown, " + "), Time: recorder.To.Time(),
			Counted: counted[r], Parts: []Part{},
		}
		switch answer, err := queryNumber(ctx, b, c.Query, recorder, r); {
		case len(spellings) > 1:
			c.Unavailable = "le is written as " + strings.Join(spellings, " and ") + ", and increase() takes that for several counters"
		case err != nil:
			c.Unavailable = err.Error()
		default:
			c.compare(answer, partsOf(recorder, r, record.Inputs[0].Method, id.Kind))
		}
		out = append(out, c)
	}
	return out
}

// boundSpellings returns the texts of the bound of a bucket in a window, if a selector
// selects several. It ignores errors, because other queries report them.
func boundSpellings(ctx context.Context, b *history.Reader, s slo.Selector, recorder *counting.Recorder) (texts []string) {
	if s.IsRespelled() {
		answer, _ := b.Query(ctx, "group by (le) (last_over_time("+s.Range(time.Duration(recorder.To-recorder.From)*time.Minute)+"))", recorder.To.Time())
		for _, v := range answer {
			texts = append(texts, v.Labels[labels.BucketLabel])
		}
	}
	slices.Sort(texts)
	return texts
}

// queryNumber returns the answer to a check's query. Without series it returns 0.
func queryNumber(ctx context.Context, b *history.Reader, query string, recorder *counting.Recorder, r counting.Role) (float64, error) {
	samples := 0
	for _, t := range recorder.Series {
		if t.Roles&r != 0 {
			samples += t.Samples
		}
	}
	if samples > b.MaxSamples {
		return 0, fmt.Errorf("it would load %d samples at once, and max_samples is %d", samples, b.MaxSamples)
	}
	answer, err := b.Query(ctx, query, recorder.To.Time())
	switch {
	case err != nil:
		return 0, err
	case len(answer) == 0:
		return 0, nil
	case len(answer) > 1 || len(answer[0].Samples) != 1:
		return 0, fmt.Errorf("the answer is not one number")
	}
	return answer[0].Samples[0].V, nil
}

// compare stores the difference, and explains it by parts.
func (c *Check) compare(direct float64, parts []Part) {
	difference := c.Counted - direct
	remainder := difference
	for _, p := range parts {
		remainder -= p.Events
		if p.Events != 0 {
			c.Parts = append(c.Parts, p)
		}
	}
	c.Direct, c.Difference, c.Remainder = &direct, &difference, &remainder
	if c.Counted != 0 {
		share := remainder / c.Counted
		c.RemainderShare = &share
	}
}

// partsOf returns the events of a counter that increase() does not count.
func partsOf(recorder *counting.Recorder, r counting.Role, method, kind string) []Part {
	if method == evaluator.MethodAggregated {
		return nil // sums don't show single counters
	}
	var births, apart, before, extrapolation float64
	for _, key := range slices.Sorted(maps.Keys(recorder.Series)) { // equal order, so that the sums are equal each time
		t := recorder.Series[key]
		if t.Roles&r == 0 {
			continue
		}
		births += t.Births
		apart += t.Extra - t.Births
		before += t.GrownBefore
		extrapolation += extrapolated(t, recorder.From.Millis(), recorder.To.Millis())
	}
	out := []Part{{"restarts", apart, "of series back from zero, or lower without a restart"}}
	if kind == backend.KindVictoriaMetrics {
		// It looks before the window by itself, does not extrapolate, and has its own
		// rule for births.
		return out
	}
	return append([]Part{{"births", births, "what new series begin with, which increase() leaves out"}}, append(out,
		Part{"before", before, "grown since the last sample before the window"},
		Part{"extrapolation", -extrapolation, "what increase() adds at the window's ends"})...)
}

// extrapolated returns the events that increase() adds to the growth of a series in
// (from, to]. It assumes the same rate up to the window's ends. If an end is more than
// 1.1 of the usual time between samples away, it adds half of the usual time. It never
// extrapolates below zero.
func extrapolated(t *counting.SeriesStats, from, to int64) float64 {
	if t.Samples < 2 {
		return 0
	}
	length := float64(t.Last.T - t.First.T)
	usual := length / float64(t.Samples-1)
	near := func(gap float64) float64 {
		if gap >= 1.1*usual {
			return usual / 2
		}
		return gap
	}
	front, back := near(float64(t.First.T-from)), near(float64(to-t.Last.T))
	if t.GrownInside > 0 {
		front = min(front, length*t.First.V/t.GrownInside)
	}
	return t.GrownInside * (front + back) / length
}
