package evaluator

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// ledger is what is counted for SLOs: they share one when they count the same
// for as long.
type ledger struct {
	key       string
	backend   *backend
	indicator slo.Indicator
	queries   []query
	counted   role // of good, bad and total those that are counted
	history   time.Duration
	recent    time.Duration // the newest part, that is read first
	left      atomic.Int64  // minutes of history that are not read
	witness   *witness      // of how it is counted; nil but for Explain

	// What follows belongs to the goroutine of Run, but for a cycle.
	book      *book // nil before anything is read
	preview   bool  // the book holds the newest part only
	next      *book // takes over as soon as no cycle is under way
	nextSpan  span
	rereading bool   // a book to take over is being read
	stop      func() // ends the reading of history
	cuts      cuts
	cutting   bool  // slots of quarters that exclusions cut are being read
	err       error // of the last advance
	failures  int   // of this ledger alone, in a row
	retry     Minute
}

func newLedger(key string, s *slo.SLO, b *backend, history time.Duration) *ledger {
	l := &ledger{key: key, backend: b, indicator: s.Indicator, queries: queriesOf(s.Indicator.Measure().(slo.Counters)), history: history, stop: func() {}}
	for _, q := range l.queries {
		l.counted |= q.role
	}
	l.left.Store(int64(Minute(0).Add(history) + leadIn))
	return l
}

// ledgerKey tells ledgers apart.
func ledgerKey(s *slo.SLO, b *backend, history time.Duration) string {
	parts := []string{b.Name, history.String(), s.Indicator.Kind()}
	c := s.Indicator.Measure().(slo.Counters)
	parts = append(parts, c.Good.String(), c.Bad.String(), c.Total.String())
	return strings.Join(parts, "\xff")
}

// clock is the role whose samples tell which slots are known.
func (l *ledger) clock() role {
	if l.counted&roleTotal != 0 {
		return roleTotal
	}
	return roleGood | roleBad
}

// family is the selector by which ledgers are read together.
func (l *ledger) family() string {
	return clockText(l.indicator)
}

// book is a timeline and what is needed to go on with it.
type book struct {
	timeline *Timeline
	accounts accounts
	method   string // MethodRaw or MethodAggregated; "" before that is chosen
	outgrown bool   // it has more series than may be read raw
	settled  Minute // slots up to here are final; before the timeline while the lead-in is read
	newest   int64  // time of the newest sample, in milliseconds; 0 for none
	pending  *tally // counted, not proven yet
	piece    Minute // how much the next query asks for
	past     *past  // for the next reread
	tried    *past  // behind the slots that are not settled; nil when they held no samples
}

// past is what counting went on from, or goes on from again.
type past struct {
	settled  Minute
	accounts accounts
}

// firstPiece is the minutes of history that are read first; what they hold
// tells how much to ask for next.
const (
	firstPiece = 120
	maxPiece   = 24 * 60
)

// newBook makes an empty book whose timeline begins at start.
func (l *ledger) newBook(start, leadIn Minute) *book {
	t := NewTimeline(start)
	return &book{timeline: t, settled: t.Start() - leadIn, piece: firstPiece}
}

// reread makes a book that goes on from the last one's past.
func (k *book) reread() *book {
	t := k.timeline.Clone()
	t.Truncate(k.past.settled)
	return &book{timeline: t, accounts: k.past.accounts.clone(), method: k.method, settled: k.past.settled, newest: k.newest, piece: firstPiece}
}

// remember keeps what the next reread begins with.
func (k *book) remember() {
	k.past = &past{k.settled, k.accounts.clone()}
}

// lose takes what is not settled for final when a batch of samples lacks all
// that were seen there: the backend lost them.
func (k *book) lose(batch []rawSeries) {
	if k.tried == nil || slices.ContainsFunc(batch, func(s rawSeries) bool {
		return len(between(s.samples, k.settled.millis(), k.tried.settled.millis())) > 0
	}) {
		return
	}
	k.settled, k.accounts, k.tried = k.tried.settled, k.tried.accounts, nil
}

// silence is how long a ledger may be without samples before it has no data.
func (k *book) silence() time.Duration {
	return max(5*time.Minute, 5*time.Duration(k.accounts.interval())*time.Millisecond)
}

// silent reports whether no samples came of late.
func (k *book) silent(end Minute) bool {
	return k.newest == 0 || end.Time().Sub(time.UnixMilli(k.newest)) > k.silence()
}

// dataUntil is the time of the newest sample, nil without any.
func (k *book) dataUntil() *time.Time {
	if k.newest == 0 {
		return nil
	}
	at := time.UnixMilli(k.newest).UTC()
	return &at
}

// age forgets what lies before the timeline's length.
func (k *book) age(history time.Duration) {
	start := k.settled.Add(-history)
	k.timeline.Fold(start, k.settled-fineAge)
	k.accounts.forget(k.settled.millis(), (start - leadIn).millis())
}

// backOff asks again less and less often for what fails while the backend
// answers others. A backend that is down spares itself: it gets one query a
// cycle.
func (l *ledger) backOff(now Minute) {
	l.failures++
	l.retry = now + min(Minute(1)<<min(l.failures-1, 4), maxRetry)
}

// maxRetry is the longest time between two tries of a query that fails alone, in
// minutes.
const maxRetry = 4

// settle notes how an advance ended.
func (l *ledger) settle(err error) {
	l.err, l.retry = err, 0
	if err == nil {
		l.failures = 0
	}
}
