package backend

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Wait waits for d, or until ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

const (
	// firstRetry is about the pause before a query is tried a second time. Each further
	// pause is twice as long.
	firstRetry = time.Second
	// fastFailure is the longest time in which a gateway reports that it can't reach a
	// backend. If an error takes longer, the query was too slow.
	fastFailure = 5 * time.Second
)

// patience repeats queries to a backend that is overloaded or restarts. Only commands
// that evaluate once use it. While the backend answers nothing at all, all queries
// together have as much time as one.
type patience struct {
	limit time.Duration // 0 for none
	now   func() time.Time

	mu    sync.Mutex
	since time.Time // when the first query since the last answer failed; zero for none
}

// persist tries until the query is answered, fails for a lasting reason, or the limit is
// reached.
func (p *patience) persist(ctx context.Context, try func() error) error {
	begun := p.now()
	for pause := firstRetry; ; pause *= 2 {
		sent := p.now()
		err := try()
		if p.limit == 0 {
			return err
		}
		left := p.left(begun, err == nil)
		if err == nil || !passes(err, p.now().Sub(sent)) || ctx.Err() != nil {
			return err
		}
		spread := time.Duration((0.5 + rand.Float64()) * float64(pause)) //nolint:gosec // queries that failed together are not tried together
		after := max(spread, RetryAfter(err))
		if after > left {
			return err
		}
		Wait(ctx, after)
	}
}

// left returns for how much longer a query may be tried that was first tried at begun.
func (p *patience) left(begun time.Time, answered bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case answered:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = begun
	case p.since.Before(begun):
		begun = p.since
	}
	return p.limit - p.now().Sub(begun)
}

// passes reports whether a query that failed after a time may be answered some seconds
// later.
func passes(err error, after time.Duration) bool {
	q, ok := errors.AsType[*queryError](err)
	if !ok {
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	switch q.status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway:
		return true
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !TookLong(err) || after < fastFailure
	}
	return q.status == http.StatusUnprocessableEntity && q.outage()
}
