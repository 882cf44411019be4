package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// quota limits the memory that the answers of all backends take at once, from the first
// byte of an answer until it is counted. If no memory is left, decoding waits until other
// answers are done. The oldest answer that is being decoded never waits, so all are done
// in the end. Therefore the memory is at most twice the limit.
type quota struct {
	limit int64 // in bytes

	mu      sync.Mutex
	used    int64
	idle    int64          // the part of used whose answers are not being decoded
	reading []*memoryShare // answers that are being decoded, the oldest first
	freed   chan struct{}  // closed when memory is released
}

// memoryShare is the memory that one query holds.
type memoryShare struct {
	quota *quota
	held  int64
}

// defaultQuota is the limit if none is set.
const defaultQuota = 512 << 20

func newQuota(limit int64) *quota {
	return &quota{limit: cmp.Or(limit, defaultQuota), freed: make(chan struct{})}
}

type shareKey struct{}

// share returns a context whose answers hold their memory until done is called. Inside
// another share it returns that one.
func (q *quota) share(ctx context.Context) (_ context.Context, s *memoryShare, done func()) {
	if s, has := ctx.Value(shareKey{}).(*memoryShare); has {
		return ctx, s, func() {}
	}
	s = &memoryShare{quota: q}
	return context.WithValue(ctx, shareKey{}, s), s, s.release
}

func (s *memoryShare) release() {
	q := s.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= s.held
	q.idle -= s.held
	s.held = 0
	q.wake()
}

// wake lets the waiting queries check again.
func (q *quota) wake() {
	close(q.freed)
	q.freed = make(chan struct{})
}

// decoding runs decode, and counts the answer as being decoded meanwhile.
func (s *memoryShare) decoding(decode func() error) error {
	q := s.quota
	q.mu.Lock()
	q.reading, q.idle = append(q.reading, s), q.idle-s.held
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		i := slices.Index(q.reading, s)
		q.reading = slices.Delete(q.reading, i, i+1)
		q.idle += s.held
		q.wake()
	}()
	return decode()
}

// ErrMemory reports that one answer alone takes more than the limit for all.
var ErrMemory = errors.New("more than all answers at once may take")

// take reserves n bytes. It waits until they are free.
func (s *memoryShare) take(ctx context.Context, n int64) error {
	q := s.quota
	for {
		q.mu.Lock()
		if s.held+n > q.limit {
			q.mu.Unlock()
			return fmt.Errorf("the answer takes more than %d MiB, %w", q.limit>>20, ErrMemory)
		}
		if q.used+n <= q.limit || q.reading[0] == s && q.idle <= q.limit {
			q.used, s.held = q.used+n, s.held+n
			q.mu.Unlock()
			return nil
		}
		freed := q.freed
		q.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for memory that other answers hold: %w", ctx.Err())
		}
	}
}

// Estimates of the memory that decoded values take, in bytes, with the room that slices
// reserve.
const (
	seriesBytes    = 600
	labelBytes     = 64
	sampleBytes    = 32
	histogramBytes = 100
	bucketBytes    = 48
	takeBytes      = 64 << 10 // reserved at once
)

// memoryRation counts the bytes of decoded values, and reserves them in steps.
type memoryRation struct {
	take  func(bytes int64) error // nil for no limit
	bytes int64
}

// add adds a number of bytes.
func (r *memoryRation) add(bytes int64) error {
	r.bytes += bytes
	if r.bytes < takeBytes || r.take == nil {
		return nil
	}
	bytes, r.bytes = r.bytes, 0
	return r.take(bytes)
}

// ration returns a ration of the share.
func (s *memoryShare) ration(ctx context.Context) *memoryRation {
	return &memoryRation{take: func(bytes int64) error { return s.take(ctx, bytes) }}
}

// metrics count requests, and the samples and failures of answers.
type metrics struct {
	requests *prometheus.CounterVec
	samples  *prometheus.CounterVec
	failed   *prometheus.CounterVec
	info     *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_requests_total", Help: "Queries sent to a backend, by outcome.",
		}, []string{"backend", "outcome"}),
		samples: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_samples_total", Help: "Samples that a backend answered with.",
		}, []string{"backend"}),
		failed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_failed_readings_total", Help: "Readings that a fault of slowburn ended, with the stack in the log.",
		}, []string{"backend"}),
		info: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slowburn_backend_info", Help: "1, with what a backend is; absent before it answered.",
		}, []string{"backend", "kind", "version"}),
	}
}
