package evaluator

import (
	"context"
	"errors"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// margin is read before the first slot of a timeline, so that the first
	// deltas have a sample to begin from: two scrapes of maxScrape.
	margin = 10
	// firstPiece is the minutes of history that are read first; what they hold
	// tells how much to ask for next.
	firstPiece = 120
	maxPiece   = 24 * 60
)

// track follows one SLO: its timeline, and what is needed to go on with it.
type track struct {
	slo      *slo.SLO
	backend  *backend
	timeline *Timeline
	counter  *counter
	counted  role
	judge    Judge
	settled  Minute // slots up to here are final
	piece    Minute // how much history the next query asks for
	newest   int64  // time of the newest sample, in milliseconds; 0 for none

	warm     bool     // the history is read; until then a goroutine owns what is above
	next     *slo.SLO // a changed version that takes over when warm
	stop     func()   // ends the reading of history
	err      error    // of the last advance
	failures int      // refusals in a row
	retry    Minute
	told     bool   // the log says that it fails
	status   Status // as last evaluated
}

// newTrack makes a track whose timeline begins history before end.
func newTrack(s *slo.SLO, b *backend, end Minute, history time.Duration) *track {
	start := end.Add(-history)
	start -= start % quarter
	c := s.Indicator.Counters()
	t := &track{slo: s, backend: b, timeline: NewTimeline(start), settled: start, piece: firstPiece}
	for _, r := range []struct {
		role     role
		selector slo.Selector
	}{{roleGood, c.Good}, {roleBad, c.Bad}, {roleTotal, c.Total}} {
		if !r.selector.IsZero() {
			t.counted |= r.role
		}
	}
	clock := roleTotal
	if t.counted&roleTotal == 0 {
		clock = roleGood | roleBad
	}
	t.counter = newCounter(clock)
	return t
}

// advance reads and counts the slots up to end. Those up to end-settle become
// final, the others are counted again next time; settle is whole minutes, rounded
// up. On an error the timeline ends
// with the last final slot, and the next call goes on from there.
func (t *track) advance(ctx context.Context, end Minute) error {
	settled := max(t.settled, end-Minute((t.backend.Settle+time.Minute-1)/time.Minute))
	t.timeline.Truncate(t.settled)
	for {
		from, to := t.settled, min(t.settled+t.piece, end)
		if from == settled {
			to = end
		}
		start := from
		if from == t.timeline.Start() {
			start -= margin
		}
		batch, err := t.backend.read(ctx, t.slo, start, to)
		switch {
		case tooMuch(err, to-from):
			t.piece = (to - from) / 2
			if t.warm && !refused(err) {
				return err // it took long enough for one cycle
			}
			continue
		case errors.Is(err, errNoBucket) && to < end:
			// An old layout of buckets; its observations are unknown.
		case errors.Is(err, errNoBucket):
			l, _ := t.slo.Indicator.(slo.Latency)
			return t.backend.nearBuckets(ctx, l, end)
		case err != nil:
			return err
		}
		t.adapt(batch, to-start)
		if start < from {
			t.newest = max(t.newest, t.counter.feed(batch, start, from).newest)
		}
		if upTo := min(to, settled); upTo > from {
			found := t.counter.feed(batch, from, upTo)
			t.apply(found)
			t.settled = upTo
			t.backend.metrics.births.WithLabelValues("counted").Add(float64(found.births))
			t.backend.metrics.births.WithLabelValues("ambiguous").Add(float64(found.ambiguous))
		}
		if to == end {
			if end > t.settled {
				t.apply(t.counter.clone().feed(batch, t.settled, end))
			}
			return nil
		}
	}
}

// adapt chooses how much to ask for next, by how much the last answer held.
func (t *track) adapt(batch []rawSeries, length Minute) {
	n := 1
	for _, s := range batch {
		n += len(s.samples)
	}
	most := min(answerSamples, t.backend.MaxSamples)
	t.piece = min(max(length*Minute(most)/Minute(n), 1), t.piece*4, maxPiece)
}

func (t *track) apply(found *tally) {
	for i := range found.known {
		t.timeline.Append(found.slot(i, t.counted))
	}
	for _, span := range found.before {
		t.timeline.MarkKnown(span[0], span[1])
	}
	t.newest = max(t.newest, found.newest)
}

// age forgets what lies before the timeline's length.
func (t *track) age(history time.Duration) {
	start := t.settled.Add(-history)
	t.timeline.Fold(start, t.settled-fineAge)
	t.counter.forget(start.millis())
}

// settle notes how an advance ended. What the backend refuses is asked again
// less and less often; what it can't answer is asked at the next cycle, which
// spares a backend that is down by itself.
func (t *track) settle(err error, now Minute) {
	t.err, t.retry = err, 0
	if !refused(err) {
		t.failures = 0
		return
	}
	t.failures++
	t.retry = now + min(Minute(1)<<min(t.failures-1, 4), maxRetry)
}

// maxRetry is the longest time between two tries of a query that the backend
// refuses, in minutes.
const maxRetry = 4

// scrape is the usual time between two scrapes.
func (t *track) scrape() time.Duration {
	return time.Duration(t.counter.interval()) * time.Millisecond
}

// silence is how long an SLO may be without samples before it has no data.
func (t *track) silence() time.Duration { return max(5*time.Minute, 5*t.scrape()) }

// dataUntil is the time of the newest sample, nil without any.
func (t *track) dataUntil() *time.Time {
	if t.newest == 0 {
		return nil
	}
	at := time.UnixMilli(t.newest).UTC()
	return &at
}
