package evaluator

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backend is a Prometheus-compatible server to count in.
type Backend struct {
	Name           string
	URL            string
	Kind           string // auto or "": asked for; prometheus, victoriametrics, thanos, mimir
	HTTP           *http.Client
	Offset         time.Duration // how far behind now slots are evaluated
	Settle         time.Duration // how much longer they are read again
	Timeout        time.Duration // of one query
	MaxConcurrency int
	MaxSamples     int      // in one answer
	Method         string   // of counting: MethodRaw, MethodAggregated, or auto or "" for what fits the number of series
	MaxSeries      int      // more than that are aggregated where Method does not say; 0 for no limit
	TargetLabels   []string // labels that tell scraped processes apart
	ReplicaLabels  []string // labels that tell replicas of a Prometheus apart
}

// client asks a Backend.
type client struct {
	Backend
	slots    chan struct{} // one for each query under way
	patience patience
	metrics  *clientMetrics
	quota    *quota // of all backends
	log      *slog.Logger
	trace    func(Query) // called with each query; nil but for Explain

	mu      sync.Mutex
	inquiry *inquiry // what it is; nil before it was asked
	stores  stores   // of a Thanos
}

// clientOptions are what the clients of all backends share.
type clientOptions struct {
	// Retry is for how long a query is tried again whose backend is overloaded or restarts.
	Retry   time.Duration
	Log     *slog.Logger
	Now     func() time.Time
	metrics *clientMetrics
	quota   *quota
}

func newClientOptions(memory int64, retry time.Duration, log *slog.Logger, now func() time.Time, reg prometheus.Registerer) clientOptions {
	return clientOptions{Retry: retry, Log: log, Now: now, metrics: newClientMetrics(reg), quota: newQuota(memory)}
}

func newClient(b Backend, o clientOptions) *client {
	out := &client{
		Backend: b, metrics: o.metrics, quota: o.quota, log: o.Log, patience: patience{limit: o.Retry, now: o.Now}, slots: make(chan struct{}, b.MaxConcurrency),
	}
	if out.configured() {
		out.inquiry = &inquiry{done: make(chan struct{}), id: identity{kind: b.Kind}}
		out.conclude(out.inquiry)
	}
	return out
}

// reader reads what plans need from a backend.
type reader struct {
	*client
	counted   *readerMetrics
	newStarts newStarts
}

// lane is a backend with what is read of it when. All but its reader belongs to
// the goroutine of Run.
type lane struct {
	*reader

	// Places of those that read history, whose memory is larger than what a
	// timeline keeps: its newest part, all of it, and again.
	firsts, readers, rereader chan struct{}

	busy  bool       // a cycle is under way
	down  error      // why the last cycle got no answer at all
	stale *time.Time // the newest sample of anything, when too old
	told  bool       // the log says that it is down
	keeps bool       // the log says that slots are kept of which it has no samples any more

	lookingBack bool // periods that ended are being read
	auditing    bool // audits are under way
	looking     bool // it is being asked whether it has samples again where nothing is known
}

func newReader(b Backend, o clientOptions, m *readerMetrics) *reader {
	return &reader{client: newClient(b, o), counted: m}
}

func newLane(r *reader) *lane {
	b := r.Backend
	return &lane{
		reader: r, firsts: make(chan struct{}, b.MaxConcurrency),
		readers: make(chan struct{}, max(1, b.MaxConcurrency/2)), rereader: make(chan struct{}, 1),
	}
}

// places are those of who reads a span of history.
func (b *lane) places(s span) chan struct{} {
	switch s {
	case newest:
		return b.firsts
	case again:
		return b.rereader
	}
	return b.readers
}

// admit waits for a place among readers. It reports false when ctx ends before.
func admit(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// answerSamples is what one answer should hold at most: enough for the price
// of a request not to matter, few enough for memory not to.
const answerSamples = 500_000
