package loop

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// job is a plan with what is read for it, and when it is read again.
type job struct {
	*plan.Plan
	lane   *lane
	recent time.Duration // the newest part, that is read first
	left   atomic.Int64  // minutes of history that are not read

	// What follows belongs to the goroutine of Run, but for a cycle, which holds
	// changing while it changes the book.
	changing  sync.Mutex
	book      *history.Record // nil before anything is read
	preview   bool            // the book holds the newest part only
	next      *history.Record // takes over as soon as no cycle is under way
	nextSpan  stage
	rereading bool   // a book to take over is being read
	stop      func() // ends the reading of history
	ended     []*evaluator.EndedPeriods
	pastRetry timeline.Minute // when periods that ended are tried again
	cuts      timeline.Cuts
	absence   absence
	audits    audit.Log
	spelling  spelling
	look      look
	err       error // of the last advance
	failures  int   // of this job alone, in a row
	retry     timeline.Minute
}

func newJob(p *plan.Plan, b *lane, recent time.Duration) *job {
	l := &job{Plan: p, lane: b, recent: recent, stop: func() {}}
	l.left.Store(int64(timeline.Minute(0).Add(p.History) + p.LeadIn))
	return l
}

// backOff asks again less and less often for what fails while the backend
// answers others. A backend that is down spares itself: it gets one query a
// cycle.
func (l *job) backOff(now timeline.Minute) {
	l.failures++
	l.retry = now + min(timeline.Minute(1)<<min(l.failures-1, 4), maxRetry)
}

// maxRetry is the longest time between two tries of a query that fails alone, in
// minutes.
const maxRetry = 4

// settle notes how an advance ended.
func (l *job) settle(err error) {
	l.err, l.retry = err, 0
	if err == nil {
		l.failures = 0
	}
}
