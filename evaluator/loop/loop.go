// Package loop decides when to read what: a cycle each minute, at the same time the history
// of new SLOs, late data and audits. It publishes a report of all SLOs after each cycle.
package loop

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/cache"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Options configure a Loop.
type Options struct {
	Backends []backend.Config // at least one; the first is the default
	// Windows are the windows to publish for an SLO, ascending, its own last.
	Windows func(*slo.SLO) []slo.Window
	// PageWindow is how long an SLO without events has no traffic: the longest
	// window that pages. Nil is 6 h, or the SLO's own window when that is less.
	PageWindow func(*slo.SLO) slo.Window
	// Blind are the names of an SLO's alert tiers whose windows are all shorter than
	// least. Nil are none.
	Blind func(s *slo.SLO, least time.Duration) []string
	// NewJudge makes a Judge for an SLO with a new timeline. Nil judges
	// nothing.
	NewJudge func() evaluator.Judge
	// Alerts completes the alerts of a report before it is published: it names and
	// describes what the Judges found, and adds what else fires. Nil does nothing.
	Alerts func(*evaluator.Report)
	// Lookback is the history that a Judge needs at its first call.
	Lookback func(*slo.SLO) time.Duration
	// Publish is called with each new report. Nil does nothing.
	Publish func(*evaluator.Report)
	// Retry is for how long a query is tried again whose backend is overloaded or
	// restarts. It is for whoever evaluates once: Run asks again in its next cycle.
	Retry time.Duration
	// Cache keeps what was counted over a restart. Nil keeps nothing. Only Run writes it.
	Cache *cache.Directory
	// Memory is how many bytes the answers of all backends may take at once, 0 for 512 MiB.
	Memory     int64
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Loop evaluates SLOs. Several goroutines may call its methods.
type Loop struct {
	Options
	metrics *metrics
	readers []*history.Reader // of the backends, in their order
	offset  time.Duration     // the largest of the backends'

	report    atomic.Pointer[evaluator.Report]
	pending   atomic.Pointer[config]
	changed   chan struct{}
	rereads   chan struct{}
	questions chan question // for Run
	progress  progress
}

// config contains the SLOs to evaluate from now on.
type config struct {
	slos     []*slo.SLO
	problems []evaluator.Problem
}

// New returns a Loop that evaluates nothing yet.
func New(o Options) *Loop {
	l := &Loop{
		Options: o, metrics: newMetrics(o.Registerer),
		changed: make(chan struct{}, 1), rereads: make(chan struct{}, 1), questions: make(chan question),
	}
	shared, counted := backend.NewShared(o.Memory, o.Retry, o.Log, o.Now, o.Registerer), history.NewMetrics(o.Registerer)
	for _, b := range o.Backends {
		l.readers = append(l.readers, history.NewReader(b, shared, counted))
		l.offset = max(l.offset, b.Offset)
		l.metrics.up.WithLabelValues(b.Name).Set(1)
	}
	l.metrics.history(o.Registerer, l.Progress)
	l.report.Store(&evaluator.Report{Format: 1, SLOs: []evaluator.Status{}, Problems: []evaluator.Problem{}})
	return l
}

// Report returns the newest report. It is never nil, and never changes.
func (l *Loop) Report() *evaluator.Report { return l.report.Load() }

// SetSLOs replaces the SLOs. Those whose queries and window stay the same keep their
// timeline.
func (l *Loop) SetSLOs(slos []*slo.SLO, problems []evaluator.Problem) {
	l.pending.Store(&config{slos: slos, problems: append([]evaluator.Problem{}, problems...)})
	wake(l.changed)
}

// Reread starts to read all history again, so that late data counts. It returns at once.
func (l *Loop) Reread() { wake(l.rereads) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// newestEnd returns the end of the newest slot that should be complete.
func (l *Loop) newestEnd() timeline.Minute { return timeline.MinuteOf(l.Now().Add(-l.offset)) }

// keyOf returns a text that is equal for SLOs that share a job.
func (l *Loop) keyOf(s *slo.SLO) string {
	return plan.Key(s, l.Backends[l.backendIndex(s)].Name, l.history(s))
}

// history returns the length of an SLO's timeline.
func (l *Loop) history(s *slo.SLO) time.Duration {
	if l.NewJudge == nil {
		return s.Window.Longest()
	}
	return max(s.Window.Longest(), l.Lookback(s))
}

// backendIndex returns which backend has the samples of an SLO.
func (l *Loop) backendIndex(s *slo.SLO) int {
	return max(0, slices.IndexFunc(l.Backends, func(b backend.Config) bool {
		return s.Backend == b.Name || s.Backend == "" && (len(s.Origin.Backends) == 0 || slices.Contains(s.Origin.Backends, b.Name))
	}))
}
