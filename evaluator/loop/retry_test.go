package loop_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// flaky fails for a time, and then answers. It counts what it was asked meanwhile.
type flaky struct {
	status int // 0 for connections that are refused
	body   string
	header []string
	until  time.Time

	mu    sync.Mutex
	asked int
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !time.Now().Before(f.until) {
		return transport{http.HandlerFunc(answer)}.RoundTrip(r)
	}
	f.asked++
	if f.status == 0 {
		return nil, fmt.Errorf("dial tcp 127.0.0.1:9090: connect: %w", syscall.ECONNREFUSED)
	}
	return transport{says(f.status, f.body, f.header...)}.RoundTrip(r)
}

// once evaluates many SLOs once, with patience, on a flaky backend. It returns how
// long that took.
func once(t *testing.T, f *flaky) (*evaluator.Report, time.Duration) {
	t.Helper()
	o := live(slog.New(slog.DiscardHandler), http.HandlerFunc(answer))
	o.Retry, o.Backends[0].HTTP = 30*time.Second, &http.Client{Transport: f}
	begin := time.Now()
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", many(20)...), begin)
	require.NoError(t, err)
	return r, time.Since(begin)
}

// TestOneShotsTryAgain while a backend is overloaded or restarts.
func TestOneShotsTryAgain(t *testing.T) {
	overloaded := `{"status":"error","errorType":"server_error","error":"too many outstanding requests"}`
	for name, f := range map[string]*flaky{
		"refused":     {},
		"429":         {status: 429, body: overloaded},
		"500":         {status: 500, body: `{"status":"error","errorType":"internal","error":"queue is stopped"}`},
		"502":         {status: 502},
		"503":         {status: 503},
		"504":         {status: 504},
		"outage, 422": {status: 422, body: `{"status":"error","errorType":"execution","error":"` + outages["all"] + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f.until = time.Now().Add(6 * time.Second)
				r, took := once(t, f)
				require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(r), r.SLOs[0].StateReason)
				require.Less(t, took, 20*time.Second)
			})
		})
	}
}

// TestOneShotsGiveUp after half a minute in all, and at once where another try would
// change nothing.
func TestOneShotsGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		*flaky
		least, most time.Duration
	}{
		"refused":            {&flaky{}, 12 * time.Second, 31 * time.Second},
		"a bad query":        {&flaky{status: 422, body: `{"status":"error","errorType":"execution","error":"out of memory"}`}, 0, 0},
		"a bad password":     {&flaky{status: 401}, 0, 0},
		"asked to stay away": {&flaky{status: 429, header: []string{"Retry-After", "120"}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.until = time.Now().Add(time.Hour)
				r, took := once(t, c.flaky)
				require.Equal(t, map[evaluator.State]int{evaluator.StateQueryFailed: 20}, states(r))
				require.GreaterOrEqual(t, took, c.least)
				require.LessOrEqual(t, took, c.most)
			})
		})
	}
}

// TestOneShotsHonourRetryAfter: who is asked to wait for 10 s does not ask before.
func TestOneShotsHonourRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{status: 503, header: []string{"Retry-After", "10"}, until: time.Now().Add(9 * time.Second)}
		r, took := once(t, f)
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(r), r.SLOs[0].StateReason)
		require.GreaterOrEqual(t, took, 10*time.Second)
		require.Equal(t, 1, f.asked, "what the backend is, before anything else")
	})
}
