package evaluator

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Backend is a Prometheus-compatible server to count in.
type Backend struct {
	Name           string
	URL            string
	Kind           string // auto or "": asked for; prometheus, victoriametrics, thanos, mimir
	HTTP           *http.Client
	Offset         time.Duration // how far behind now slots are evaluated
	Settle         time.Duration // how much longer they are read again
	Timeout        time.Duration // of one query
	MaxConcurrency int
	MaxSamples     int      // in one answer
	Method         string   // of counting: MethodRaw, MethodAggregated, or auto or "" for what fits the number of series
	MaxSeries      int      // more than that are aggregated where Method does not say; 0 for no limit
	TargetLabels   []string // labels that tell scraped processes apart
	ReplicaLabels  []string // labels that tell replicas of a Prometheus apart
}

// backend is a Backend in use.
type backend struct {
	Backend
	slots    chan struct{} // one for each query under way
	patience patience
	metrics  *metrics
	trace    func(Query) // told of each query; nil but for Explain

	mu      sync.Mutex
	inquiry *inquiry // what it is; nil before it was asked

	// Places of those that read history, whose memory is larger than what a
	// timeline keeps: its newest part, all of it, and again.
	firsts, readers, rereader chan struct{}

	// What follows belongs to the goroutine of Run.
	busy  bool       // a cycle is under way
	down  error      // why the last cycle got no answer at all
	stale *time.Time // the newest sample of anything, when too old
	told  bool       // the log says that it is down

	lookingBack bool // periods that ended are being read
}

func newBackend(b Backend, o *Options, m *metrics) *backend {
	out := &backend{
		Backend: b, metrics: m, patience: patience{limit: o.Retry, now: o.Now}, slots: make(chan struct{}, b.MaxConcurrency), firsts: make(chan struct{}, b.MaxConcurrency),
		readers: make(chan struct{}, max(1, b.MaxConcurrency/2)), rereader: make(chan struct{}, 1),
	}
	if out.configured() {
		out.inquiry = &inquiry{done: make(chan struct{}), id: identity{kind: b.Kind}}
		out.conclude(out.inquiry)
	}
	return out
}

// admit waits for a place among readers. It reports false when ctx ends before.
func (b *backend) admit(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// answerSamples is what one answer should hold at most: enough for the price
// of a request not to matter, few enough for memory not to.
const answerSamples = 500_000

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
	var err error
	for i := range batch {
		s := &batch[i]
		if s.roles&roleTotal == 0 || len(s.samples) == 0 {
			continue
		}
		bucket := buckets[histogram{s.pair, s.replica}]
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
	bounds, err := b.boundaries(ctx, l, at)
	if err != nil {
		return err
	}
	return noBucketError(nearestBounds(l, bounds))
}
