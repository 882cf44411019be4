package evaluator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// Check holds what was counted by a counter against what the backend says of
// it in one direct query.
type Check struct {
	Counter        string    `json:"counter"` // good, bad or total
	Query          string    `json:"query"`
	Time           time.Time `json:"time"`
	Counted        float64   `json:"counted"`
	Direct         *float64  `json:"direct"`          // null when there is no answer
	Unavailable    string    `json:"unavailable"`     // why there is none
	Difference     *float64  `json:"difference"`      // Counted - Direct
	Parts          []Part    `json:"parts"`           // what explains the difference
	Remainder      *float64  `json:"remainder"`       // of the difference, not explained
	RemainderShare *float64  `json:"remainder_share"` // of Counted
}

// Part is a part of a difference.
type Part struct {
	Name   string  `json:"name"`
	Events float64 `json:"events"`
	Text   string  `json:"text"`
}

// checks asks the backend for the increase of each counter of a ledger that counts
// by counters, each once.
func checks(ctx context.Context, b *reader, k *book, w *witness, sum Sum) []Check {
	out := []Check{}
	m := k.plan.meters[0]
	if m.native != nil && k.parts[0].native {
		return out // increase() of the classic series says nothing of them
	}
	if k.plan.derived() || m.fresh != nil || slices.ContainsFunc(m.queries, func(q query) bool { return q.weight != 1 }) {
		return out
	}
	counted := map[role]float64{roleGood: sum.Total - sum.Bad, roleBad: sum.Bad, roleTotal: sum.Total}
	id, _ := b.known()
	for _, r := range allRoles {
		var grown, spellings []string
		for _, q := range m.queries {
			if q.role == r {
				selector := q.selector.With(q.only...)
				grown = append(grown, b.increase(selector, w.to-w.from))
				spellings = append(spellings, boundSpellings(ctx, b, selector, w)...)
			}
		}
		if len(grown) == 0 {
			continue
		}
		c := Check{
			Counter: r.names()[0], Query: strings.Join(grown, " + "), Time: w.to.Time(),
			Counted: counted[r], Parts: []Part{},
		}
		switch answer, err := directly(ctx, b, c.Query, w, r); {
		case len(spellings) > 1:
			c.Unavailable = "le is written as " + strings.Join(spellings, " and ") + ", and increase() takes that for several counters"
		case err != nil:
			c.Unavailable = err.Error()
		default:
			c.compare(answer, partsOf(w, r, k.parts[0].method, id.kind))
		}
		out = append(out, c)
	}
	return out
}

// boundSpellings are the texts by which the bound of a bucket is written in a window, if
// a selector selects one by several; an error is told by others.
func boundSpellings(ctx context.Context, b *reader, s slo.Selector, w *witness) (texts []string) {
	if s.IsRespelled() {
		answer, _ := b.query(ctx, "group by (le) (last_over_time("+s.Range(time.Duration(w.to-w.from)*time.Minute)+"))", w.to.Time())
		for _, v := range answer {
			texts = append(texts, v.labels[labels.BucketLabel])
		}
	}
	slices.Sort(texts)
	return texts
}

// directly is the answer to a check's query. No series grew by 0.
func directly(ctx context.Context, b *reader, query string, w *witness, r role) (float64, error) {
	samples := 0
	for _, t := range w.series {
		if t.roles&r != 0 {
			samples += t.samples
		}
	}
	if samples > b.MaxSamples {
		return 0, fmt.Errorf("it would load %d samples at once, and max_samples is %d", samples, b.MaxSamples)
	}
	answer, err := b.query(ctx, query, w.to.Time())
	switch {
	case err != nil:
		return 0, err
	case len(answer) == 0:
		return 0, nil
	case len(answer) > 1 || len(answer[0].samples) != 1:
		return 0, fmt.Errorf("the answer is not one number")
	}
	return answer[0].samples[0].v, nil
}

// compare explains the difference by parts.
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

// partsOf are what a counter is counted beyond what increase() says of it.
func partsOf(w *witness, r role, method, kind string) []Part {
	if method == MethodAggregated {
		return nil // sums don't show what single counters did
	}
	var births, apart, before, extrapolation float64
	for _, key := range slices.Sorted(maps.Keys(w.series)) { // for the sums to be the same each time
		t := w.series[key]
		if t.roles&r == 0 {
			continue
		}
		births += t.births
		apart += t.apart - t.births
		before += t.before
		extrapolation += extrapolated(t, w.from.millis(), w.to.millis())
	}
	out := []Part{{"restarts", apart, "of series back from zero, or lower without a restart"}}
	if kind == kindVictoriaMetrics {
		// It looks before the window by itself, extrapolates nothing, and has a
		// rule of its own for births.
		return out
	}
	return append([]Part{{"births", births, "what new series begin with, which increase() leaves out"}}, append(out,
		Part{"before", before, "grown since the last sample before the window"},
		Part{"extrapolation", -extrapolation, "what increase() adds at the window's ends"})...)
}

// extrapolated is what increase() adds to what a series grew by in (from, to].
// It takes it to grow on at the same rate to the window's ends, unless they are
// more than 1.1 of the usual time between samples away: then for half of that;
// and never to have been below zero.
func extrapolated(t *trace, from, to int64) float64 {
	if t.samples < 2 {
		return 0
	}
	length := float64(t.last.t - t.first.t)
	usual := length / float64(t.samples-1)
	near := func(gap float64) float64 {
		if gap >= 1.1*usual {
			return usual / 2
		}
		return gap
	}
	front, back := near(float64(t.first.t-from)), near(float64(to-t.last.t))
	if t.inside > 0 {
		front = min(front, length*t.first.v/t.inside)
	}
	return t.inside * (front + back) / length
}
