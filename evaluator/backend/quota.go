package backend

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// quota bounds what the answers of all backends take at once, from the first byte of one
// until what it holds is counted. Who finds nothing left waits until others are done. The
// eldest of those that are being decoded goes on in any case, so that all are done in the
// end: at most twice the limit is taken.
type quota struct {
	limit int64 // in bytes

	mu      sync.Mutex
	used    int64
	idle    int64         // of it what is held while nothing is decoded
	reading []*share      // of answers that are being decoded, the eldest first
	freed   chan struct{} // closed when something is given back
}

// share is what one reading holds of the quota.
type share struct {
	of   *quota
	held int64
}

// defaultQuota is the limit where none is set.
const defaultQuota = 512 << 20

func newQuota(limit int64) *quota {
	if limit == 0 {
		limit = defaultQuota
	}
	return &quota{limit: limit, freed: make(chan struct{})}
}

type shareKey struct{}

// share makes a context whose answers are held together until done is called. Within
// another they are held with that.
func (m *quota) share(ctx context.Context) (_ context.Context, s *share, done func()) {
	if s, has := ctx.Value(shareKey{}).(*share); has {
		return ctx, s, func() {}
	}
	s = &share{of: m}
	return context.WithValue(ctx, shareKey{}, s), s, s.release
}

func (s *share) release() {
	m := s.of
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used, m.idle, s.held = m.used-s.held, m.idle-s.held, 0
	m.wake()
}

// wake lets those who wait look again.
func (m *quota) wake() {
	close(m.freed)
	m.freed = make(chan struct{})
}

// decoding is called while an answer is decoded.
func (s *share) decoding(decode func() error) error {
	m := s.of
	m.mu.Lock()
	m.reading, m.idle = append(m.reading, s), m.idle-s.held
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, other := range m.reading {
			if other == s {
				m.reading = append(m.reading[:i], m.reading[i+1:]...)
				break
			}
		}
		m.idle += s.held
		m.wake()
	}()
	return decode()
}

// ErrMemory says that one reading alone takes more than all may.
var ErrMemory = errors.New("more than all answers at once may take")

// take takes so many bytes, when they are there.
func (s *share) take(ctx context.Context, n int64) error {
	m := s.of
	for {
		m.mu.Lock()
		if s.held+n > m.limit {
			m.mu.Unlock()
			return fmt.Errorf("the answer takes more than %d MiB, %w", m.limit>>20, ErrMemory)
		}
		if m.used+n <= m.limit || m.reading[0] == s && m.idle <= m.limit {
			m.used, s.held = m.used+n, s.held+n
			m.mu.Unlock()
			return nil
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for memory that other answers hold: %w", ctx.Err())
		}
	}
}

// About what decoded values take, in bytes, with what slices grow ahead.
const (
	seriesBytes    = 600
	labelBytes     = 64
	sampleBytes    = 32
	histogramBytes = 100
	bucketBytes    = 48
	takeBytes      = 64 << 10 // is taken at once
)

// ration counts what is decoded, and takes it from the quota by and by.
type ration struct {
	take  func(bytes int64) error // nil for no limit
	bytes int64
}

// add adds so many bytes.
func (r *ration) add(bytes int64) error {
	if r.bytes += bytes; r.bytes < takeBytes || r.take == nil {
		return nil
	}
	bytes, r.bytes = r.bytes, 0
	return r.take(bytes)
}
