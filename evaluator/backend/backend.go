// Package backend is a client of servers with the API of Prometheus. It detects which
// product the server is, limits the memory of answers, separates errors of one query from
// errors of the whole server, and decodes answers as a stream. It imports no way to
// count.
package backend

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Config describes a server with the API of Prometheus.
type Config struct {
	Name                string
	URL                 string
	Identity            string // differs for servers with other data, such as tenants; for the cache
	Kind                string // prometheus, victoriametrics, thanos or mimir; auto or "" to detect it
	HTTP                *http.Client
	Offset              time.Duration // age from which slots are evaluated
	Settle              time.Duration // for how much longer they are read again
	Timeout             time.Duration // of one query
	MaxConcurrency      int
	MaxSamples          int      // in one answer
	MaxSamplesPerSecond int      // of history; 0 for no limit
	Method              string   // of counting: MethodRaw, MethodAggregated; auto, "" or MethodQuery to choose by the number of series
	MaxSeries           int      // more series than that are aggregated if Method is auto; 0 for no limit
	TargetLabels        []string // labels in which scraped processes differ
	ReplicaLabels       []string // labels in which replicas of a Prometheus differ
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

	inquiry    singleflight.Group       // detects the kind
	identity   atomic.Pointer[Identity] // nil if it is unknown
	stores     stores                   // of a Thanos
	examined   atomic.Pointer[examination]
	failing    atomic.Int32 // remote reads in a row that failed as those of an overloaded backend do
	relabelled atomic.Int32 // answers with other labels than was examined, since remote read was last given up
	refused    sync.Once    // logs why remote read is not used
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
		out.setIdentity(Identity{Kind: config.Kind})
	}
	return out
}

// AnswerSamples is the number of samples that one answer should not exceed. With fewer,
// the cost of requests grows; with more, the memory of answers.
const AnswerSamples = 500_000

// Query is a query that was sent to the backend.
type Query struct {
	Query   string     `json:"query"`
	Time    time.Time  `json:"time"`
	Start   *time.Time `json:"start"`  // the first minute of a range query; Time is the last
	Series  int        `json:"series"` // in the answer
	Samples int        `json:"samples"`
	Error   string     `json:"error"`
}

// form returns the path and the parameters of the request. step is in minutes.
func (q Query) form(step timeline.Minute) (path string, form url.Values) {
	unix := func(t time.Time) []string { return []string{strconv.FormatInt(t.Unix(), 10)} }
	if q.Start == nil {
		return "/api/v1/query", url.Values{"query": {q.Query}, "time": unix(q.Time)}
	}
	return "/api/v1/query_range", url.Values{"query": {q.Query}, "start": unix(*q.Start), "end": unix(q.Time), "step": {strconv.Itoa(int(step) * 60)}}
}

// answered returns the query with its answer.
func (q Query) answered(answer []Series, err error) Query {
	q.Series = len(answer)
	q.Samples = samplesIn(answer)
	if err != nil {
		q.Error = err.Error()
	}
	return q
}

func samplesIn(answer []Series) int {
	n := 0
	for _, v := range answer {
		n += len(v.Samples) + len(v.Histograms)
	}
	return n
}

// Sample is one sample of a counter. T is in milliseconds since the epoch.
type Sample struct {
	T int64
	V float64
}

// Between returns the samples in (from, to].
func Between(samples []Sample, from, to int64) []Sample {
	a := sort.Search(len(samples), func(i int) bool { return samples[i].T > from })
	b := sort.Search(len(samples), func(i int) bool { return samples[i].T > to })
	return samples[a:b]
}

// MaxCount is larger than any real count: 100 Gbit/s of each of a million hosts for a
// year are 2^79 bytes.
const MaxCount = 1 << 80

// FaultError is a recovered panic. It is a fault of slowburn, which ends one query and
// not the process.
type FaultError struct{ cause any }

func (e FaultError) Error() string {
	return fmt.Sprintf("slowburn failed at what the backend answers, please report it: %s", Shown(fmt.Sprint(e.cause)))
}

// Rescue recovers a panic and returns it as an error, logs the stack, and counts it.
// Functions that read from a backend defer it.
func (c *Client) Rescue(err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	*err = FaultError{cause}
	c.metrics.failed.WithLabelValues(c.Name).Inc()
	c.log.Error("Reading failed by a fault of slowburn, please report it", "backend", c.Name, "err", *err, "stack", string(debug.Stack()))
}

// Safely calls a function whose result is not needed. If the function panics, Safely
// returns.
func (c *Client) Safely(read func()) {
	var err error
	defer c.Rescue(&err)
	read()
}
