package backend

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config describes a server with the API of Prometheus.
type Config struct {
	Name           string
	URL            string
	Kind           string // prometheus, victoriametrics, thanos or mimir; auto or "" to detect it
	HTTP           *http.Client
	Offset         time.Duration // age from which slots are evaluated
	Settle         time.Duration // for how much longer they are read again
	Timeout        time.Duration // of one query
	MaxConcurrency int
	MaxSamples     int      // in one answer
	Method         string   // of counting: MethodRaw, MethodAggregated; auto or "" to choose by the number of series
	MaxSeries      int      // more series than that are aggregated if Method is auto; 0 for no limit
	TargetLabels   []string // labels in which scraped processes differ
	ReplicaLabels  []string // labels in which replicas of a Prometheus differ
}

// Client sends queries to one server.
type Client struct {
	Config
	slots    chan struct{} // one for each running query
	patience patience
	metrics  *metrics
	quota    *quota // shared by all backends
	log      *slog.Logger
	trace    func(Query) // called with each query; nil except for Explain

	mu      sync.Mutex
	inquiry *inquiry // detects the kind; nil before the first query
	stores  stores   // of a Thanos
}

// Shared contains what the clients of all backends share.
type Shared struct {
	// Retry is how long a query is tried again if the backend is overloaded or restarts.
	Retry   time.Duration
	Log     *slog.Logger
	Now     func() time.Time
	metrics *metrics
	quota   *quota
}

// NewShared returns what clients share. memory is in bytes; 0 means 512 MiB.
func NewShared(memory int64, retry time.Duration, log *slog.Logger, now func() time.Time, reg prometheus.Registerer) Shared {
	return Shared{Retry: retry, Log: log, Now: now, metrics: newMetrics(reg), quota: newQuota(memory)}
}

// New returns a client. It sends nothing yet.
func New(config Config, shared Shared) *Client {
	out := &Client{
		Config: config, metrics: shared.metrics, quota: shared.quota, log: shared.Log, patience: patience{limit: shared.Retry, now: shared.Now}, slots: make(chan struct{}, config.MaxConcurrency),
	}
	if out.configured() {
		out.inquiry = &inquiry{done: make(chan struct{}), id: Identity{Kind: config.Kind}}
		out.conclude(out.inquiry)
	}
	return out
}

// AnswerSamples is the number of samples that one answer should not exceed. With fewer,
// the cost of requests grows; with more, the memory of answers.
const AnswerSamples = 500_000
