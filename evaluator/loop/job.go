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

// job is a plan with what was read for it, and when it is read again.
type job struct {
	*plan.Plan
	lane   *lane
	recent time.Duration // length of the newest part, which is read first
	left   atomic.Int64  // minutes of history that are not read

	// While a cycle is under way, these belong to it.
	recordMu sync.Mutex      // locked by hold and tryRecord
	record   *history.Record // nil before anything is read
	err      error           // of the last advance
	failures int             // of this job alone, in a row
	retry    timeline.Minute
	absence  absence
	spelling spelling

	newestOnly   bool            // the record has the newest part only
	fresh        *history.Record // replaces record when no cycle is under way
	freshStage   stage
	inSums       bool   // its whole has too many series to count them one by one
	rereading    bool   // a record to replace this one is being read
	stop         func() // ends the reading of history
	endedPeriods []*evaluator.EndedPeriods
	periodsRetry timeline.Minute // when periods that ended are tried again
	cuts         timeline.Cuts
	auditLog     audit.Log
	search       search
}

func newJob(p *plan.Plan, b *lane, recent time.Duration) *job {
	j := &job{Plan: p, lane: b, recent: recent, stop: func() {}}
	j.left.Store(int64(timeline.Minute(0).Add(p.History) + p.LeadIn))
	return j
}

// backOff delays the next try after each failure while the backend answers others. A
// backend that is down gets one query a cycle anyway.
func (j *job) backOff(now timeline.Minute) {
	j.failures++
	j.retry = now + min(timeline.Minute(1)<<min(j.failures-1, 4), maxRetry)
}

// maxRetry is the longest time in minutes between two tries of a query that fails alone.
const maxRetry = 4

// setResult notes how an advance ended.
func (j *job) setResult(err error) {
	j.err, j.retry = err, 0
	if err == nil {
		j.failures = 0
	}
}

// hold keeps tryRecord from calling until the function that it returns is called.
func (j *job) hold() (release func()) {
	j.recordMu.Lock()
	return j.recordMu.Unlock
}

// tryRecord calls f unless a cycle holds the record. It reports whether it did.
func (j *job) tryRecord(f func()) bool {
	if !j.recordMu.TryLock() {
		return false
	}
	defer j.recordMu.Unlock()
	f()
	return true
}
