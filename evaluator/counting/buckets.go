package counting

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

// NormalizeBound replaces the bound of a bucket, in the labels of a series, by its usual
// text. So a series continues when its bound is written in another way. It returns the
// previous text, or "" if that was the same. Values of expressions keep their labels.
func NormalizeBound(series map[string]string) string {
	le, ok := series[labels.BucketLabel]
	if !ok || strings.Contains(series[model.MetricNameLabel], "\xff") {
		return ""
	}
	bound, err := strconv.ParseFloat(le, 64)
	if err != nil || math.IsNaN(bound) {
		return ""
	}
	text := slo.BoundText(bound)
	if text == le {
		return ""
	}
	series[labels.BucketLabel] = text
	return le
}

// histogram identifies a histogram, as a replica sees it.
type histogram struct {
	pair    uint64
	replica string
}

// MergeSpellings merges the series that differ only in how the bound of a bucket is
// written. If two have samples at the same time, they are the same bucket as seen by two
// replicas.
func MergeSpellings(batch []RawSeries) []RawSeries {
	type identity struct {
		key     uint64
		replica string
	}
	buckets := map[identity][]RawSeries{}
	histograms := map[histogram][]RawSeries{}
	var order []identity
	for _, s := range batch {
		id, h := identity{s.Key, s.Replica}, histogram{s.Pair, s.Replica}
		if buckets[id] == nil {
			order = append(order, id)
		}
		buckets[id] = append(buckets[id], s)
		histograms[h] = append(histograms[h], s)
	}
	out := make([]RawSeries, 0, len(order))
	for _, id := range order {
		spellings := buckets[id]
		s := spellings[0]
		if len(spellings) > 1 {
			slices.SortFunc(spellings, func(x, y RawSeries) int { return cmp.Compare(x.Le, y.Le) })
			var longest []backend.Sample
			for _, other := range histograms[histogram{s.Pair, s.Replica}] {
				if other.Key != s.Key && len(other.Samples) > len(longest) {
					longest = other.Samples
				}
			}
			s.Samples = mergeSamples(spellings, longest)
		}
		out = append(out, s)
	}
	return out
}

// mergeSamples returns the samples of a bucket that is written in several ways: those
// that were scraped with the rest of the histogram or, if there are none, all of them.
func mergeSamples(spellings []RawSeries, rest []backend.Sample) []backend.Sample {
	var together, all []backend.Sample
	for _, s := range spellings {
		together = Interleave(together, samplesAt(s.Samples, rest))
		all = Interleave(all, s.Samples)
	}
	if len(together) > 0 {
		return together
	}
	return all
}

// Histograms describes the histograms of a batch.
type Histograms struct {
	Counts  int             // histograms whose count has samples
	Lacking []labels.Labels // counts whose newest sample has no bucket
}

// PairBuckets drops the counts of histograms that lack the bucket at the threshold.
// Without the bucket it is unknown how many observations were slow. The bucket and the
// count of a histogram are scraped together. So a count without a bucket at its time
// belongs to another layout.
func PairBuckets(batch []RawSeries) ([]RawSeries, Histograms) {
	buckets := map[histogram][]backend.Sample{}
	for _, s := range batch {
		if s.Roles&RoleGood != 0 {
			buckets[histogram{s.Pair, s.Replica}] = s.Samples
		}
	}
	var found Histograms
	for i := range batch {
		s := &batch[i]
		if s.Roles&RoleTotal == 0 || len(s.Samples) == 0 {
			continue
		}
		found.Counts++
		bucket := buckets[histogram{s.Pair, s.Replica}]
		both := samplesAt(s.Samples, bucket)
		if len(both) == 0 && len(bucket) > 0 {
			continue // recorded one after the other, not scraped
		}
		if len(bucket) == 0 || s.Samples[len(s.Samples)-1].T > bucket[len(bucket)-1].T {
			found.Lacking = append(found.Lacking, s.Labels)
		}
		s.Samples = both
	}
	return batch, found
}

// samplesAt returns the samples that have the time of one of the others.
func samplesAt(samples, others []backend.Sample) []backend.Sample {
	out := make([]backend.Sample, 0, len(samples))
	for _, s := range samples {
		for len(others) > 0 && others[0].T < s.T {
			others = others[1:]
		}
		if len(others) > 0 && others[0].T == s.T {
			out = append(out, s)
		}
	}
	return out
}
