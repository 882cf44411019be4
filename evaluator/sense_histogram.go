package evaluator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// histogram asks what buckets a histogram has, and gives what tells that there
// is one: the count of a classic one, or the native one itself.
func (x *inspector) histogram(ctx context.Context, l slo.Latency) (subject, error) {
	const field = "sli.latency.histogram"
	c, _ := l.Measure().(slo.Counters)
	classic, _ := c.Total.Plain()
	out := subject{query{role: roleTotal, selector: classic}.named(), field, true}
	bounds, err := x.boundaries(ctx, l, x.end)
	if err != nil {
		return out, err
	}
	if len(bounds) == 0 {
		native := subject{query{role: roleTotal, selector: l.Histogram}.named(), field, false}
		found, err := x.now(ctx, native)
		if err != nil || !found {
			return out, err
		}
		return native, x.estimates(ctx, l)
	}
	last := len(bounds) - 1
	if math.IsInf(bounds[last], 1) {
		last--
	}
	switch {
	case !slices.Contains(bounds, l.Threshold):
		x.concern(true, "sli.latency.threshold", "", "%s", nearestBounds(l, bounds))
		return out, nil
	case last >= 0 && l.Threshold == bounds[last]:
		x.concern(false, "sli.latency.threshold", "give the histogram buckets above it, to tell what is a little slow from what hangs",
			"threshold %s is the last bucket of %s: nothing slower can be told apart", l.Text, l.Histogram)
	}
	return out, x.layouts(ctx, l, classic)
}

// layouts asks whether some histograms lack the bucket that others have.
func (x *inspector) layouts(ctx context.Context, l slo.Latency, count slo.Selector) error {
	c, _ := l.Measure().(slo.Counters)
	bucket, _ := c.Good.Plain()
	with, _, err := x.number(ctx, "count(count without (le) ("+bucket.String()+"))", x.end)
	if err != nil {
		return err
	}
	all, _, err := x.number(ctx, "count("+count.String()+")", x.end)
	if err == nil && with < all {
		x.concern(true, "sli.latency.threshold", "", "threshold %s is no bucket of %g of the %g histograms %s", l.Text, all-with, all, l.Histogram)
	}
	return err
}

// estimates asks whether a threshold is within a bucket of a native histogram.
func (x *inspector) estimates(ctx context.Context, l slo.Latency) error {
	answer, err := x.queryRange(ctx, "sum("+l.Histogram.String()+")", x.end, x.end, 1)
	if err != nil {
		return err
	}
	for _, v := range answer {
		for _, h := range v.histograms {
			if _, b := h.upTo(l.Threshold); b.count > 0 {
				x.concern(false, "sli.latency.threshold", fmt.Sprintf("%s and %s are exact", boundary(l, b.lower), boundary(l, b.upper)),
					"threshold %s is within a bucket of %s: the counts are estimates", l.Text, l.Histogram)
			}
		}
	}
	return nil
}

// boundaries are the bucket boundaries that a classic histogram has, ascending.
func (b *backend) boundaries(ctx context.Context, l slo.Latency, at Minute) ([]float64, error) {
	answer, err := b.query(ctx, fmt.Sprintf("group by (le) (%s)", l.Buckets()), at.Time())
	if err != nil {
		return nil, fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
	}
	var out []float64
	for _, v := range answer {
		if le, err := strconv.ParseFloat(v.labels[labels.BucketLabel], 64); err == nil {
			out = append(out, le)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// nearestBounds says which boundaries there are around a threshold that is none.
func nearestBounds(l slo.Latency, bounds []float64) string {
	i, _ := slices.BinarySearch(bounds, l.Threshold)
	below, above := "", ""
	if i > 0 {
		below = boundary(l, bounds[i-1])
	}
	if i < len(bounds) && !math.IsInf(bounds[i], 1) {
		above = boundary(l, bounds[i])
	}
	text := fmt.Sprintf("threshold %s is no bucket of %s: ", l.Text, l.Histogram)
	switch {
	case below == "" && above == "":
		return text + "it has none but +Inf"
	case below == "" || above == "":
		return text + "the nearest is " + below + above
	}
	return text + "the nearest are " + below + " and " + above
}

// boundary is a boundary as the threshold is written: a duration, or a number in
// the histogram's unit.
func boundary(l slo.Latency, le float64) string {
	d, err := time.ParseDuration(l.Text)
	if err != nil {
		m, _ := model.ParseDuration(l.Text)
		d = time.Duration(m)
	}
	if _, err := strconv.ParseFloat(l.Text, 64); err == nil || d == 0 || l.Threshold == 0 {
		return strconv.FormatFloat(le, 'g', -1, 64)
	}
	return time.Duration(math.Round(le * (float64(d) / l.Threshold))).String()
}
