package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
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
	switch fault, ok := mismatch.UnitFault(l, mismatch.BoundsOf(texts)); {
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

// bucketError returns the error for histograms that lack the bucket at the threshold, or
// errRespelled if it has another text.
func (b *Reader) bucketError(ctx context.Context, l slo.Latency, p *InputState, found counting.Histograms, at timeline.Minute) error {
	texts, err := b.BoundTexts(ctx, l, at)
	switch fault, ok := mismatch.BucketFault(l, mismatch.BoundsOf(texts)); {
	case err != nil:
		return err
	case p.Spell(l, texts):
		return errRespelled
	case ok:
		return fault
	case len(found.Lacking) == found.Counts:
		return backend.MismatchError{Message: fmt.Sprintf("threshold %s is not a bucket boundary of %s any more: its newest samples have none there", l.Text, l.Histogram)}
	}
	return backend.MismatchError{Message: fmt.Sprintf("threshold %s is not a bucket boundary of %d of the %d histograms %s, such as %s",
		l.Text, len(found.Lacking), found.Counts, l.Histogram, found.Lacking[0])}
}

// checkTimes returns an error if a query for times has no times now.
func (b *Reader) checkTimes(ctx context.Context, m *plan.Input, at timeline.Minute) error {
	switch measure := m.Indicator.Measure().(type) {
	case slo.Runs:
	case slo.Levels:
		if measure.MaxAge == 0 {
			return nil
		}
	default:
		return nil
	}
	answer, err := b.Query(ctx, m.Queries[0].Expr, at.Time())
	if err != nil && !backend.Refused(err) {
		return fmt.Errorf("querying %s: %w", m.Queries[0].Expr, err)
	}
	if fault, ok := mismatch.TimeFault(m.Queries[0].Expr, mismatch.NumbersOf(answer), at.Time()); ok {
		return fault
	}
	return nil
}
