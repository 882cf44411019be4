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

// unfit says that the data of a backend is not what an SLO says it is.
type unfit struct{ message, hint string }

func (e unfit) Error() string {
	if e.hint == "" {
		return e.message
	}
	return e.message + "; " + e.hint
}

// histograms are the buckets at the threshold of a batch, and the counts that lack
// them.
type histograms struct {
	counts  int             // with samples
	lacking []labels.Labels // the counts whose newest samples have no bucket
}

// paired leaves out the observations of histograms that lack the bucket at the
// threshold: without it nobody knows how many were slow. The bucket and the
// count of a histogram are scraped at once, so a count at a time without a
// bucket is of another layout.
func paired(batch []rawSeries) ([]rawSeries, histograms) {
	type histogram struct {
		pair    uint64
		replica string
	}
	buckets := map[histogram][]sample{}
	for _, s := range batch {
		if s.roles&roleGood != 0 {
			buckets[histogram{s.pair, s.replica}] = s.samples
		}
	}
	var found histograms
	for i := range batch {
		s := &batch[i]
		if s.roles&roleTotal == 0 || len(s.samples) == 0 {
			continue
		}
		found.counts++
		bucket := buckets[histogram{s.pair, s.replica}]
		both := atTimesOf(s.samples, bucket)
		if len(both) == 0 && len(bucket) > 0 {
			continue // recorded one after the other, not scraped
		}
		if len(bucket) == 0 || s.samples[len(s.samples)-1].t > bucket[len(bucket)-1].t {
			found.lacking = append(found.lacking, s.labels)
		}
		s.samples = both
	}
	return batch, found
}

// atTimesOf are the samples that have the time of one of the others.
func atTimesOf(samples, others []sample) []sample {
	out := make([]sample, 0, len(samples))
	for _, s := range samples {
		for len(others) > 0 && others[0].t < s.t {
			others = others[1:]
		}
		if len(others) > 0 && others[0].t == s.t {
			out = append(out, s)
		}
	}
	return out
}

// unbucketed is the error of histograms that lack the bucket at the threshold, or
// errRespelled when it is there under another text.
func (b *reader) unbucketed(ctx context.Context, l slo.Latency, p *part, found histograms, at Minute) error {
	texts, err := b.boundTexts(ctx, l, at)
	switch fault, ok := bucketFault(l, boundsOf(texts)); {
	case err != nil:
		return err
	case p.spell(l, texts):
		return errRespelled
	case ok:
		return fault
	case len(found.lacking) == found.counts:
		return unfit{message: fmt.Sprintf("threshold %s is no bucket of %s any more: its newest samples have none there", l.Text, l.Histogram)}
	}
	return unfit{message: fmt.Sprintf("threshold %s is no bucket of %d of the %d histograms %s, such as %s",
		l.Text, len(found.lacking), found.counts, l.Histogram, found.lacking[0])}
}

// bucketFault is why a histogram with these boundaries, ascending, can't tell what is
// slower than the threshold.
func bucketFault(l slo.Latency, bounds []float64) (unfit, bool) {
	if fault, ok := unitFault(l, bounds); ok {
		return fault, true
	}
	same := func(bound float64) bool { return slo.SameBound(bound, l.Threshold) }
	switch {
	case len(bounds) == 0:
		return unfit{fmt.Sprintf("%s has a count and no buckets: nobody knows how many observations were slow", l.Histogram),
			"let the program publish a histogram; a summary or a timer has quantiles and sums only"}, true
	case !slices.ContainsFunc(bounds, same):
		return unfit{message: nearestBounds(l, bounds)}, true
	}
	return unfit{}, false
}

// finiteBounds are boundaries, ascending, without +Inf.
func finiteBounds(bounds []float64) []float64 {
	if n := len(bounds); n > 0 && math.IsInf(bounds[n-1], 1) {
		return bounds[:n-1]
	}
	return bounds
}

// longSeconds is a last bucket, in seconds, that few histograms of seconds have, and
// those of milliseconds do.
const longSeconds = 600

// unitFault is that nobody knows the unit of a histogram: no unit is written, its
// name says none, and its buckets are no likely numbers of seconds.
func unitFault(l slo.Latency, bounds []float64) (unfit, bool) {
	finite := finiteBounds(bounds)
	if !l.Assumed || len(finite) == 0 || finite[len(finite)-1] <= longSeconds {
		return unfit{}, false
	}
	last := finite[len(finite)-1]
	unit := slo.LatencyUnits[1]
	for _, u := range slo.LatencyUnits[1:] {
		if unit = u; last*u.Length.Seconds() <= (2 * time.Hour).Seconds() {
			break
		}
	}
	seconds, other := strconv.FormatFloat(l.Threshold, 'g', -1, 64), strconv.FormatFloat(l.Threshold/unit.Length.Seconds(), 'g', 10, 64)
	return unfit{fmt.Sprintf("is %s in seconds or in %s? Neither its name nor a unit says it, and its buckets reach to %s: threshold %s is %s or %s",
		l.Histogram, unit.Name, slo.BoundText(last), l.Text, seconds, other),
		fmt.Sprintf("write unit: %s beside the threshold, or unit: s", unit.Key)}, true
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
