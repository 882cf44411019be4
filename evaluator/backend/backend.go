package backend

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is a Prometheus-compatible server to count in.
type Config struct {
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

// Client asks a Backend.
type Client struct {
	Config
	slots    chan struct{} // one for each query under way
	patience patience
	metrics  *metrics
	quota    *quota // of all backends
	log      *slog.Logger
	trace    func(Query) // called with each query; nil but for Explain

	mu      sync.Mutex
	inquiry *inquiry // what it is; nil before it was asked
	stores  stores   // of a Thanos
}

// Shared are what the clients of all backends share.
type Shared struct {
	// Retry is for how long a query is tried again whose backend is overloaded or restarts.
	Retry   time.Duration
	Log     *slog.Logger
	Now     func() time.Time
	metrics *metrics
	quota   *quota
}

// NewShared makes what clients share; memory is in bytes, 0 for 512 MiB.
func NewShared(memory int64, retry time.Duration, log *slog.Logger, now func() time.Time, reg prometheus.Registerer) Shared {
	return Shared{Retry: retry, Log: log, Now: now, metrics: newMetrics(reg), quota: newQuota(memory)}
}

// New makes a client of a backend, which sends nothing yet.
func New(b Config, o Shared) *Client {
	out := &Client{
		Config: b, metrics: o.metrics, quota: o.quota, log: o.Log, patience: patience{limit: o.Retry, now: o.Now}, slots: make(chan struct{}, b.MaxConcurrency),
	}
	if out.configured() {
		out.inquiry = &inquiry{done: make(chan struct{}), id: Identity{Kind: b.Kind}}
		out.conclude(out.inquiry)
	}
	return out
}

// AnswerSamples is what one answer should hold at most: enough for the price
// of a request not to matter, few enough for memory not to.
const AnswerSamples = 500_000
