package inspect

import (
	"context"
	"fmt"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/slo"
)

// histogram checks the buckets of a histogram. It returns the subject that shows that
// there is one: the count of a classic histogram, or the native one itself.
func (x *inspector) histogram(ctx context.Context, l slo.Latency) subject {
	const field = "sli.latency.histogram"
	c, _ := l.Measure().(slo.Counters)
	classic, _ := c.Total.Plain()
	out := subject{plan.Query{Role: counting.RoleTotal, Selector: classic}.Prepared(), field, true}
	var texts []string
	texts, x.err = x.BoundTexts(ctx, l, x.End)
	bounds := mismatch.BoundsOf(texts)
	if len(bounds) == 0 {
		if x.estimates(ctx, l) {
			return subject{plan.Query{Role: counting.RoleTotal, Selector: l.Histogram}.Prepared(), field, false}
		}
		if !x.exists(ctx, out) {
			return out
		}
	}
	if fault, ok := mismatch.BucketFault(l, bounds); ok {
		x.fault("sli.latency.threshold", fault)
		return out
	}
	x.unlikely(l, bounds)
	x.layouts(ctx, l, classic, texts)
	return out
}

// unlikely finds histograms and thresholds that are possible but probably not intended.
func (x *inspector) unlikely(l slo.Latency, bounds []float64) {
	finite := mismatch.FiniteBounds(bounds)
	if slo.SameBound(l.Threshold, finite[len(finite)-1]) {
		x.concern(false, "sli.latency.threshold", "give the histogram buckets above it, to tell what is a little slow from what hangs",
			"threshold %s is the last bucket of %s: nothing slower can be told apart", l.Text, l.Histogram)
	}
	if l.Assumed && finite[len(finite)-1] >= 100 && finite[0] >= 1 {
		x.concern(false, "sli.latency.histogram", "write unit: s or unit: ms beside the threshold",
			"%s is taken to be in seconds, though its name does not say so: its buckets are from %g to %g", l.Histogram, finite[0], finite[len(finite)-1])
	}
}

// layouts finds histograms that lack the bucket that others have.
func (x *inspector) layouts(ctx context.Context, l slo.Latency, count slo.Selector, texts []string) {
	var p history.InputState
	if p.Spell(l, texts) {
		x.concern(false, "sli.latency.threshold", "slowburn counts it, and the rules that it generates do not find it",
			"the bucket at %s of %s is written le=%q", l.Text, l.Histogram, p.Spellings[0])
	}
	having, _ := x.number(ctx, "count(count without (le) ("+l.Bucket(p.Spellings...).String()+"))")
	all, _ := x.number(ctx, "count("+count.String()+")")
	if having < all {
		x.concern(true, "sli.latency.threshold", "", "threshold %s is not a bucket boundary of %g of the %g histograms %s", l.Text, all-having, all, l.Histogram)
	}
}

// estimates finds a threshold within a bucket of a native histogram. It reports whether
// there is one.
func (x *inspector) estimates(ctx context.Context, l slo.Latency) (found bool) {
	if x.err != nil {
		return false
	}
	var answer []backend.Series
	answer, x.err = x.QueryRange(ctx, "sum("+l.Histogram.String()+")", x.End, x.End, 1)
	for _, v := range answer {
		for _, h := range v.Histograms {
			found = true
			if _, b := h.UpTo(l.Threshold); b.Count > 0 {
				x.concern(false, "sli.latency.threshold", fmt.Sprintf("%s and %s are exact", mismatch.Boundary(l, b.Lower), mismatch.Boundary(l, b.Upper)),
					"threshold %s is within a bucket of %s: the counts are estimates", l.Text, l.Histogram)
			}
		}
	}
	return found
}
