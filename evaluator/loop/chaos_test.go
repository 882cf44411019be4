package loop_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
)

// proxy stands between slowburn and a real backend, and breaks what it is told.
type proxy struct {
	address string
	server  *http.Server
	ended   sync.WaitGroup

	mu      sync.Mutex
	backend string // its URL
	fault   http.HandlerFunc
}

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	p := &proxy{address: "127.0.0.1:0", backend: backend}
	p.listen(t)
	t.Cleanup(p.refuse)
	return p
}

func (p *proxy) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.address)
	require.NoError(t, err)
	p.address, p.server = l.Addr().String(), &http.Server{Handler: p}
	p.ended.Go(func() { _ = p.server.Serve(l) })
}

// refuse ends it: connections are refused.
func (p *proxy) refuse() {
	_ = p.server.Close()
	p.ended.Wait()
}

// use sets the backend, and what answers instead of it, nil for nothing.
func (p *proxy) use(backend string, fault http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend, p.fault = backend, fault
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	backend, fault := p.backend, p.fault
	p.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	status, body := ask(r, backend)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// ask sends a request on.
func ask(r *http.Request, backend string) (status int, body []byte) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, backend+r.URL.Path, r.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	return resp.StatusCode, body
}

// says answers with a status, a body and headers in pairs.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// endless answers with a GiB of one series that is well formed until then.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"x"},"values":[[1,"1"]`)
	more := bytes.Repeat([]byte(`,[1750431600.257,"123456789"]`), 1<<12)
	for n := 0; n < 1<<30; n += len(more) {
		if _, err := w.Write(more); err != nil {
			return
		}
	}
}

const empty = `{"status":"success","data":{"resultType":"matrix","result":[]}}`

// chaos is an evaluator that reads through a proxy, with a clock of the test's own.
type chaos struct {
	*testing.T
	*loop.Loop
	proxy  *proxy
	clock  atomic.Int64 // in nanoseconds; audits read it beside the test
	worlds map[string]*truth.World
	less   float64 // the share of the events that may be missing
}

// chaosBegin is when the evaluator begins; the data begins 31 hours before.
var chaosBegin = time.Date(2025, 6, 20, 12, 0, 0, 0, time.UTC)

// chaosWorlds are the worlds of some scenarios around that time.
func chaosWorlds() map[string]*truth.World {
	worlds := map[string]*truth.World{}
	all := truth.Scenarios()
	for _, name := range []string{"steady", "steady latency", "hourly restarts", "bursts between scrapes", "pods replaced"} {
		worlds[all[name].Job] = truth.Simulate(all[name], chaosBegin.Add(-31*time.Hour), chaosBegin.Add(3*time.Hour))
	}
	return worlds
}

func chaosSLOs(t *testing.T, worlds map[string]*truth.World) []*slo.SLO {
	t.Helper()
	var slos []*slo.SLO
	for _, s := range truth.Scenarios() {
		if worlds[s.Job] != nil {
			slos = append(slos, specOf(t, s, "6h"))
		}
	}
	return slos
}

func newChaos(t *testing.T, backend string, worlds map[string]*truth.World) *chaos {
	t.Helper()
	c := &chaos{T: t, proxy: newProxy(t, backend), worlds: worlds, less: within}
	c.clock.Store(chaosBegin.UnixNano())
	o := options("http://"+c.proxy.address, c.now)
	o.Log, o.Registerer, o.Windows = slog.New(slog.DiscardHandler), prometheus.NewRegistry(), truthWindows
	o.Backends[0].Timeout, o.Backends[0].MaxConcurrency = 4*time.Second, 2
	o.Backends[0].HTTP = &http.Client{Transport: &http.Transport{}}
	c.Loop = loop.New(o)
	c.SetSLOs(chaosSLOs(t, worlds), nil)
	c.minute()
	c.requireWell()
	return c
}

func (c *chaos) now() time.Time { return time.Unix(0, c.clock.Load()).UTC() }

// minute is one cycle later. No number that is published is wrong, of whatever
// instant it is.
func (c *chaos) minute() {
	c.Helper()
	c.clock.Add(int64(time.Minute))
	c.Tick(c.Context())
	for i := range c.Report().SLOs {
		if s := &c.Report().SLOs[i]; s.State != evaluator.StateWarming {
			requireTrue(c.T, s, c.worlds[s.Service], c.less)
		}
	}
}

// requireWell says that the numbers are of now.
func (c *chaos) requireWell() {
	c.Helper()
	for _, s := range c.Report().SLOs {
		require.Equal(c, evaluator.StateOK, s.State, "%s: %s", s.ID, s.StateReason)
		require.Equal(c, c.now().Add(-30*time.Second).Truncate(time.Minute), s.Windows[0].End)
		require.Equal(c, 1.0, s.Windows[0].Coverage)
	}
}

// requireFailed says that the numbers are the last good ones, and why.
func (c *chaos) requireFailed(reason string, good time.Time) {
	c.Helper()
	for _, s := range c.Report().SLOs {
		require.Equal(c, evaluator.StateQueryFailed, s.State, s.ID)
		require.Contains(c, s.StateReason, reason)
		require.Equal(c, good, s.Windows[0].End)
	}
}

// TestChaos breaks what is between slowburn and a real Prometheus in many ways,
// one after the other.
func TestChaos(t *testing.T) {
	worlds := chaosWorlds()
	prom := prometheusWith(t, servers.Newest(t), worlds)
	c := newChaos(t, prom, worlds)
	whole := func(w http.ResponseWriter, r *http.Request, change func(string) string) {
		status, body := ask(r, prom)
		says(status, change(string(body)))(w, r)
	}
	for _, tt := range []struct {
		name, reason string
		fault        http.HandlerFunc
	}{
		{"slow", "no answer within 4s", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"cut", "it is cut off", func(w http.ResponseWriter, r *http.Request) {
			status, body := ask(r, prom)
			says(status, string(body[:len(body)/2]), "Content-Length", strconv.Itoa(len(body)))(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"429", "429", says(429, "slow down", "Retry-After", "5")},
		{"503", "503", says(503, `{"status":"error","errorType":"unavailable","error":"starting"}`)},
		{"HTML", "not JSON", says(200, "<html>log in</html>", "Content-Type", "text/html")},
		{"HTML that says it is JSON", "reading the answer", says(200, "<html>log in</html>")},
		{"encoding", "gzip", says(200, empty, "Content-Encoding", "gzip")},
		{"other encoding", "reading the answer", says(200, "\x1b\x2d\x00\xf8garbage", "Content-Encoding", "br")},
		{"a GiB", "larger than 32 MiB", endless},
		{"partial", "store unreachable", func(w http.ResponseWriter, r *http.Request) {
			whole(w, r, func(body string) string {
				return strings.Replace(body, `{"status":"success"`, `{"status":"success","warnings":["store unreachable"]`, 1)
			})
		}},
		{"error with 200", "its status is", says(200, `{"status":"error","error":"no"}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.T = t
			good := c.Report().SLOs[0].Windows[0].End
			defer c.requireFlat(inUse())
			c.proxy.use(prom, tt.fault)
			for range 2 {
				c.minute()
				c.requireFailed(tt.reason, good)
			}
			c.proxy.use(prom, nil)
			c.recover()
		})
	}
	t.Run("refused", func(t *testing.T) {
		c.T = t
		defer c.requireFlat(inUse())
		good := c.Report().SLOs[0].Windows[0].End
		c.proxy.refuse()
		c.minute()
		c.minute()
		c.requireFailed("connection refused", good)
		c.proxy.listen(t)
		c.recover()
	})
	t.Run("the clock goes backwards", func(t *testing.T) {
		c.T = t
		c.clock.Add(-int64(10 * time.Minute))
		defer c.requireFlat(inUse())
		c.recover()
	})
}

// recover has two cycles to be well.
func (c *chaos) recover() {
	c.Helper()
	c.minute()
	c.minute()
	c.requireWell()
}

// requireFlat says that memory is in use as before.
func (c *chaos) requireFlat(before uint64) {
	c.Helper()
	require.Less(c, inUse(), before+4<<20, "memory is flat")
}

// inUse is the memory in use.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// without is a copy of worlds whose samples of a time are missing.
func without(worlds map[string]*truth.World, from, to time.Time) map[string]*truth.World {
	out := map[string]*truth.World{}
	for job, w := range worlds {
		copied := &truth.World{}
		for _, s := range w.Series {
			samples := slices.DeleteFunc(slices.Clone(s.Samples), func(x truth.Sample) bool { return x.T > from.UnixMilli() && x.T <= to.UnixMilli() })
			copied.Series = append(copied.Series, &truth.Series{Labels: s.Labels, Samples: samples})
		}
		out[job] = copied
	}
	return out
}

// TestABackendThatLosesItsLastHour changes nothing for a process that counted that
// hour. Only the minute that was not read yet is unknown, and its events count with
// the next samples.
func TestABackendThatLosesItsLastHour(t *testing.T) {
	worlds := chaosWorlds()
	c := newChaos(t, prometheusWith(t, servers.Newest(t), worlds), worlds)
	for range 70 {
		c.minute()
	}
	c.requireWell()
	lost := without(worlds, c.now().Add(-time.Hour), c.now())
	c.proxy.use(prometheusWith(t, servers.Newest(t), lost), nil)
	defer c.requireFlat(inUse())
	c.less = 0.05 // a minute of 60, and few errors in it
	c.minute()
	c.less = within
	for range 10 {
		c.minute()
		for _, s := range c.Report().SLOs {
			require.Equal(c, evaluator.StateOK, s.State, "%s: %s", s.ID, s.StateReason)
			require.GreaterOrEqual(c, s.Windows[0].Coverage, 59.0/60)
		}
	}
}

// TestABackendThatComesBackWithOtherData counts what is new in it, and nothing of
// its past; what was counted before stays.
func TestABackendThatComesBackWithOtherData(t *testing.T) {
	worlds := chaosWorlds()
	c := newChaos(t, prometheusWith(t, servers.Newest(t), worlds), worlds)
	for range 10 {
		c.minute()
	}
	others := map[string]*truth.World{}
	for job, w := range worlds {
		other := *w
		other.Series = nil
		for _, s := range w.Series {
			b := labels.NewBuilder(s.Labels).Set("instance", "other-"+s.Labels.Get("instance"))
			other.Series = append(other.Series, &truth.Series{Labels: b.Labels(), Samples: s.Samples})
		}
		others[job] = &other
	}
	c.proxy.use(prometheusWith(t, servers.Newest(t), others), nil)
	defer c.requireFlat(inUse())
	c.less = 2.0 / 120 // the first scrape tells nothing of before it, of the 120 of an hour
	for range 20 {
		c.minute()
	}
	c.requireWell()
}
