package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// errRespelled reports that a bucket has another text of its bound than was queried. The
// next query includes it.
var errRespelled = errors.New("the bound of the bucket is written in another way")

// Spell stores unusual texts of the bound of a threshold's bucket. It reports whether
// some are new.
func (p *InputState) Spell(l slo.Latency, texts []string) bool {
	le := l.Bucket(p.Spellings...).Matchers()
	found := false
	for _, text := range texts {
		bound, err := strconv.ParseFloat(text, 64)
		if err == nil && slo.SameBound(bound, l.Threshold) && !le[len(le)-1].Matches(text) {
			p.Spellings, found = append(slices.Clip(p.Spellings), text), true
		}
	}
	return found
}

// BoundTexts returns the texts of the bounds of a classic histogram.
func (b *Reader) BoundTexts(ctx context.Context, l slo.Latency, at timeline.Minute) ([]string, error) {
	answer, err := b.Query(ctx, fmt.Sprintf("group by (le) (%s)", l.Buckets()), at.Time())
	if err != nil {
		return nil, fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
	}
	var out []string
	for _, v := range answer {
		out = append(out, v.Labels[labels.BucketLabel])
	}
	return out, nil
}

// BoundsOf returns the boundaries of texts, ascending.
func BoundsOf(texts []string) []float64 {
	var out []float64
	for _, text := range texts {
		if le, err := strconv.ParseFloat(text, 64); err == nil {
			out = append(out, le)
		}
	}
	slices.Sort(out)
	return slices.CompactFunc(out, slo.SameBound)
}

// checkInput finds unusual texts of the bound of a threshold's bucket. It returns an
// error for a histogram of unknown unit, and for times that are no times.
func (b *Reader) checkInput(ctx context.Context, m *plan.Input, p *InputState, at timeline.Minute) error {
	l, ok := m.Indicator.(slo.Latency)
	if !ok {
		return b.checkTimes(ctx, m, at)
	}
	if !l.Assumed {
		usual, err := b.Query(ctx, "count("+l.Bucket().With(m.Queries[0].Only...).String()+")", at.Time())
		if len(usual) > 0 || backend.Refused(err) {
			return nil // the error of the next query is enough
		}
		if err != nil {
			return fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
		}
	}
	texts, err := b.BoundTexts(ctx, l, at)
	switch fault, ok := unitFault(l, BoundsOf(texts)); {
	case backend.Refused(err):
		return nil
	case err != nil:
		return err
	case ok:
		return fault
	}
	p.Spell(l, texts)
	return nil
}
