package evaluator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// boundOf writes the bound of a bucket in the labels of a series by one text,
// so that a series goes on when its bound is written in another way. It returns
// the text that was there, or "" if it is the same. The values of expressions keep
// their labels.
func boundOf(series map[string]string) string {
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

// oncePerBound makes one series of those that differ only in how the bound of a
// bucket is written. Two that are there at once are the same bucket, as two
// replicas see it.
func oncePerBound(batch []rawSeries) []rawSeries {
	type identity struct {
		key     uint64
		replica string
	}
	type histogram struct {
		pair    uint64
		replica string
	}
	buckets := map[identity][]rawSeries{}
	others := map[histogram]map[uint64][]sample{}
	var order []identity
	for _, s := range batch {
		id, h := identity{s.key, s.replica}, histogram{s.pair, s.replica}
		if buckets[id] == nil {
			order = append(order, id)
		}
		buckets[id] = append(buckets[id], s)
		if others[h] == nil {
			others[h] = map[uint64][]sample{}
		}
		if len(s.samples) > len(others[h][s.key]) {
			others[h][s.key] = s.samples
		}
	}
	out := make([]rawSeries, 0, len(order))
	for _, id := range order {
		spellings := buckets[id]
		s := spellings[0]
		if len(spellings) > 1 {
			slices.SortFunc(spellings, func(x, y rawSeries) int { return cmp.Compare(x.le, y.le) })
			rest := others[histogram{s.pair, s.replica}]
			var longest []sample
			for _, key := range slices.Sorted(maps.Keys(rest)) {
				if key != s.key && len(rest[key]) > len(longest) {
					longest = rest[key]
				}
			}
			s.samples = scrapedOf(spellings, longest)
		}
		out = append(out, s)
	}
	return out
}

// scrapedOf are the samples of a bucket that is written in several ways: those that
// were scraped with the rest of the histogram or, where none were, all of them.
func scrapedOf(spellings []rawSeries, rest []sample) []sample {
	var together, all []sample
	for _, s := range spellings {
		together = interleaved(together, atTimesOf(s.samples, rest))
		all = interleaved(all, s.samples)
	}
	if len(together) > 0 {
		return together
	}
	return all
}

// errRespelled says that a bucket was found under texts of its bound that were not
// asked for. They are from then on.
var errRespelled = errors.New("the bound of the bucket is written in another way")

// spell notes texts of the bound of a threshold's bucket that are none of the usual
// ones. It reports whether some are new.
func (p *part) spell(l slo.Latency, texts []string) bool {
	le := l.Bucket(p.spellings...).Matchers()
	found := false
	for _, text := range texts {
		bound, err := strconv.ParseFloat(text, 64)
		if err == nil && slo.SameBound(bound, l.Threshold) && !le[len(le)-1].Matches(text) {
			p.spellings, found = append(slices.Clip(p.spellings), text), true
		}
	}
	return found
}

// boundTexts are the texts of the bounds that a classic histogram has.
func (b *reader) boundTexts(ctx context.Context, l slo.Latency, at Minute) ([]string, error) {
	answer, err := b.query(ctx, fmt.Sprintf("group by (le) (%s)", l.Buckets()), at.Time())
	if err != nil {
		return nil, fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
	}
	var out []string
	for _, v := range answer {
		out = append(out, v.labels[labels.BucketLabel])
	}
	return out, nil
}

// boundsOf are the boundaries that texts are of, ascending.
func boundsOf(texts []string) []float64 {
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
func (b *reader) suit(ctx context.Context, m *meter, p *part, at Minute) error {
	l, ok := m.indicator.(slo.Latency)
	if !ok {
		return b.timely(ctx, m, at)
	}
	if !l.Assumed {
		usual, err := b.query(ctx, "count("+l.Bucket().With(m.queries[0].only...).String()+")", at.Time())
		if len(usual) > 0 || refused(err) {
			return nil // reading them will tell
		}
		if err != nil {
			return fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
		}
	}
	texts, err := b.boundTexts(ctx, l, at)
	switch fault, ok := unitFault(l, boundsOf(texts)); {
	case refused(err):
		return nil
	case err != nil:
		return err
	case ok:
		return fault
	}
	p.spell(l, texts)
	return nil
}
