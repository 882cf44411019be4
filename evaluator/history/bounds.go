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

// errRespelled says that a bucket was found under texts of its bound that were not
// asked for. They are from then on.
var errRespelled = errors.New("the bound of the bucket is written in another way")

// Spell notes texts of the bound of a threshold's bucket that are none of the usual
// ones. It reports whether some are new.
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

// BoundTexts are the texts of the bounds that a classic histogram has.
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

// BoundsOf are the boundaries that texts are of, ascending.
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

// suit finds under which texts of its bound a threshold's bucket is, and returns an
// error of histograms whose unit nobody knows, and of times that are none.
func (b *Reader) suit(ctx context.Context, m *plan.Input, p *InputState, at timeline.Minute) error {
	l, ok := m.Indicator.(slo.Latency)
	if !ok {
		return b.timely(ctx, m, at)
	}
	if !l.Assumed {
		usual, err := b.Query(ctx, "count("+l.Bucket().With(m.Queries[0].Only...).String()+")", at.Time())
		if len(usual) > 0 || backend.Refused(err) {
			return nil // reading them will tell
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
