package evaluator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// Backend is a Prometheus-compatible server to count in.
type Backend struct {
	Name           string
	URL            string
	HTTP           *http.Client
	Offset         time.Duration // how far behind now slots are evaluated
	Settle         time.Duration // how much longer they are read again
	Timeout        time.Duration // of one query
	MaxConcurrency int
	MaxSamples     int      // in one answer
	TargetLabels   []string // labels that tell scraped processes apart
}

// backend is a Backend in use.
type backend struct {
	Backend
	slots   chan struct{} // one for each query under way
	readers chan struct{} // one for each SLO whose history is being read
	metrics *metrics

	// What follows belongs to the goroutine of Run.
	busy  bool       // a cycle is under way
	down  error      // why the last cycle got no answer at all
	stale *time.Time // the newest sample of anything, when too old
	told  bool       // the log says that it is down
}

// admit waits for a place among the readers of history, whose memory is larger
// than what a timeline keeps. It reports false when ctx ends before.
func (b *backend) admit(ctx context.Context) bool {
	select {
	case b.readers <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// answerSamples is what one answer should hold at most: enough for the price
// of a request not to matter, few enough for memory not to.
const answerSamples = 500_000

// read reads the raw samples of an SLO's counters in (from, to].
func (b *backend) read(ctx context.Context, s *slo.SLO, from, to Minute) ([]rawSeries, error) {
	byKey := map[string]int{}
	var batch []rawSeries
	c := s.Indicator.Counters()
	for _, q := range []struct {
		roles    role
		selector slo.Selector
	}{{roleGood, c.Good}, {roleBad, c.Bad}, {roleTotal, c.Total}} {
		if q.selector.IsZero() {
			continue
		}
		answer, err := b.query(ctx, q.selector.Range(time.Duration(to-from)*time.Minute), to.Time())
		if err != nil {
			return nil, fmt.Errorf("querying %s: %w", q.selector, err)
		}
		for _, v := range answer {
			key := labels.FromMap(v.labels).String()
			if i, ok := byKey[key]; ok {
				batch[i].roles |= q.roles
				continue
			}
			byKey[key] = len(batch)
			batch = append(batch, rawSeries{
				key: key, pair: pairOf(v.labels), target: b.targetOf(v.labels), roles: q.roles, samples: v.samples,
			})
		}
	}
	if _, ok := s.Indicator.(slo.Latency); ok {
		return paired(batch)
	}
	return batch, nil
}

func (b *backend) targetOf(lbls map[string]string) string {
	values := make([]string, len(b.TargetLabels))
	for i, name := range b.TargetLabels {
		values[i] = lbls[name]
	}
	return strings.Join(values, "\xff")
}

// pairOf are the labels that the bucket and the count of a histogram share.
func pairOf(lbls map[string]string) string {
	return labels.NewBuilder(labels.FromMap(lbls)).Del(model.MetricNameLabel, labels.BucketLabel).Labels().String()
}

// errNoBucket says that a threshold is no bucket of a histogram.
var errNoBucket = errors.New("the threshold is no bucket of the histogram")

// noBucketError is errNoBucket in words that help.
type noBucketError string

func (e noBucketError) Error() string { return string(e) }
func (noBucketError) Unwrap() error   { return errNoBucket }

// paired leaves out the observations of histograms that lack the bucket at the
// threshold: without it nobody knows how many were slow. The bucket and the
// count of a histogram are scraped at once, so a count at a time without a
// bucket is of another layout. The error is errNoBucket when there are
// histograms that lack it now.
func paired(batch []rawSeries) ([]rawSeries, error) {
	buckets := map[string][]sample{}
	for _, s := range batch {
		if s.roles&roleGood != 0 {
			buckets[s.pair] = s.samples
		}
	}
	var err error
	for i := range batch {
		s := &batch[i]
		if s.roles&roleTotal == 0 || len(s.samples) == 0 {
			continue
		}
		bucket := buckets[s.pair]
		both := atTimesOf(s.samples, bucket)
		if len(both) == 0 && len(bucket) > 0 {
			continue // recorded one after the other, not scraped
		}
		if len(bucket) == 0 || s.samples[len(s.samples)-1].t > bucket[len(bucket)-1].t {
			err = errNoBucket
		}
		s.samples = both
	}
	return batch, err
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

// nearBuckets says which bucket boundaries the histogram has around the
// threshold.
func (b *backend) nearBuckets(ctx context.Context, l slo.Latency, at Minute) error {
	answer, err := b.query(ctx, fmt.Sprintf("group by (le) (%s)", l.Buckets()), at.Time())
	if err != nil {
		return fmt.Errorf("querying the buckets of %s: %w", l.Histogram, err)
	}
	below, above := 0.0, math.Inf(1)
	for _, v := range answer {
		le, err := strconv.ParseFloat(v.labels[labels.BucketLabel], 64)
		switch t := l.Threshold.Seconds(); {
		case err != nil:
		case le < t:
			below = max(below, le)
		case le > t:
			above = min(above, le)
		}
	}
	seconds := func(s float64) string { return time.Duration(math.Round(s * 1e9)).String() }
	if below == 0 && math.IsInf(above, 1) {
		return noBucketError(fmt.Sprintf("threshold %s is no bucket of %s: it has none but +Inf", l.Threshold, l.Histogram))
	}
	near := "the nearest are " + seconds(below) + " and " + seconds(above)
	if math.IsInf(above, 1) {
		near = "the nearest is " + seconds(below)
	} else if below == 0 {
		near = "the nearest is " + seconds(above)
	}
	return noBucketError(fmt.Sprintf("threshold %s is no bucket of %s: %s", l.Threshold, l.Histogram, near))
}
