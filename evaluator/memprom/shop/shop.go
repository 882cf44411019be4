// Package shop is a simulated shop: services, jobs and probes with a story each,
// scraped into a database as Prometheus would scrape them. Its tests hold what
// slowburn counts against what really happened.
//
// A use, 30 days of history and then whatever has happened since:
//
//	s := shop.New(shop.Options{Seed: 1, HistoryStart: now.Add(-30 * 24 * time.Hour), LiveStart: now})
//	err := s.Advance(ctx, db, now)
package shop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/prometheus/storage"
	"golang.org/x/sync/errgroup"
)

const (
	// step is the resolution of the simulation, in seconds: processes start and
	// stop between steps, events happen within them.
	step = 10
	// slice is how many seconds each service is taken forward before the next
	// one is, so no sample is written that is older than the newest by more.
	slice = 3600
	// scrapeInterval is in milliseconds.
	scrapeInterval = 30_000
)

// Options of a shop. The same options give the same history, to the bit.
type Options struct {
	Seed         uint64
	HistoryStart time.Time // rounded down to a whole minute
	LiveStart    time.Time // rounded down to a whole second; the live incidents are counted from it
}

// Shop is the simulation. Its methods may be called from several goroutines.
type Shop struct {
	mu       sync.Mutex
	now      int64 // Unix seconds, until which everything has happened
	start    int64 // Unix seconds
	services []*service
	watches  []*watch
}

// New makes a shop in which nothing has happened yet.
func New(opts Options) *Shop {
	start := opts.HistoryStart.Truncate(time.Minute).Unix()
	s := &Shop{now: start, start: start}
	for i, st := range stories() {
		s.services = append(s.services, &service{
			story: st,
			start: start,
			live:  opts.LiveStart.Unix(),
			rng:   rand.New(rand.NewPCG(opts.Seed, uint64(i))),
		})
	}
	for i, w := range watches() {
		w.live, w.phase = opts.LiveStart.Unix(), 1000*(3+7*int64(i))
		w.next = start*1000 + w.phase
		w.label()
		s.watches = append(s.watches, w)
	}
	return s
}

// Advance lets everything happen until to, rounded down to 10 s, and writes
// what a Prometheus scrapes meanwhile: every 30 s, each target at its own
// moment, with stale markers where series or targets end. A scrape is written
// at most 10 s after its time. Once it has returned an error, the shop and the
// database don't belong together any more.
func (s *Shop) Advance(ctx context.Context, app storage.Appendable, to time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := to.Unix() - to.Unix()%step
	for s.now < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		until := min(end, s.now+slice)
		var group errgroup.Group
		advance := func(name string, scrape func(storage.Appender) error) {
			group.Go(func() error {
				if err := commit(app.Appender(ctx), scrape); err != nil {
					return fmt.Errorf("simulating %s: %w", name, err)
				}
				return nil
			})
		}
		for _, w := range s.watches {
			advance(w.name, func(app storage.Appender) error { return w.advance(app, until) })
		}
		for _, sv := range s.services {
			advance(sv.name, func(app storage.Appender) error { return sv.advance(app, s.now, until) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		s.now = until
	}
	return nil
}

// commit commits what scrapes write, or nothing of it.
func commit(app storage.Appender, scrape func(storage.Appender) error) error {
	if err := scrape(app); err != nil {
		return errors.Join(err, app.Rollback())
	}
	return app.Commit()
}
