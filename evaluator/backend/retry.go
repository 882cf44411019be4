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

// Wait waits for a time, or until ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

const (
	// firstRetry is about the time before a query is tried a second time; each time
	// after that it is twice as long.
	firstRetry = time.Second
	// quick is how long a gateway that can't reach a backend takes at most to say so.
	// Whoever takes longer was too slow for the query.
	quick = 5 * time.Second
)

// patience is how a backend is asked again that is overloaded or restarts, by who
// evaluates once. Where nothing is answered at all, all queries together have as much
// time as one.
type patience struct {
	limit time.Duration // 0 for none
	now   func() time.Time

	mu    sync.Mutex
	since time.Time // of the first of the queries that failed since the last answer; zero for none
}

// persist tries until a query is answered, until it fails by what does not pass, or
// for as long as the limit.
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
		spread := time.Duration((0.5 + rand.Float64()) * float64(pause)) //nolint:gosec // who failed together is not tried together
		after := max(spread, RetryAfter(err))
		if after > left {
			return err
		}
		Wait(ctx, after)
	}
}

// left is how much longer a query may be tried that was first tried at an instant.
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

// passes reports whether a query that failed after a time may well be answered some
// seconds later.
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
		return !TookLong(err) || after < quick
	}
	return q.status == http.StatusUnprocessableEntity && q.outage()
}
