package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
)

// inMemory is a server without a network: bytes that a client does not read wait in the server.
type inMemory struct {
	accepted chan net.Conn
	ended    chan struct{}
	server   *http.Server
}

func serveInMemory(h http.Handler) *inMemory {
	m := &inMemory{accepted: make(chan net.Conn), ended: make(chan struct{}), server: &http.Server{Handler: h}}
	go func() { _ = m.server.Serve(m) }() // ends with stop
	return m
}

func (m *inMemory) stop() { _ = m.server.Close() }

func (m *inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-m.accepted:
		return c, nil
	case <-m.ended:
		return nil, net.ErrClosed
	}
}

func (m *inMemory) Close() error {
	close(m.ended)
	return nil
}

func (m *inMemory) Addr() net.Addr { return &net.TCPAddr{} }

// ask sends a request, and reads nothing of its answer yet.
func (m *inMemory) ask(t *testing.T, path string, headers ...string) net.Conn {
	client, server := net.Pipe()
	m.accepted <- server
	_, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, strings.Join(append(headers, ""), "\r\n"))
	require.NoError(t, err)
	return client
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held at the first
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestWhoDoesNotReadTakesNoMemory expects that clients that ask for everything and read none of
// it take the memory of their connections, without copies of the answer.
func TestWhoDoesNotReadTakesNoMemory(t *testing.T) {
	report := many(t, 400)
	for _, path := range []string{"/api/v1/slos", "/metrics", "/"} {
		for coding, each := range map[string]int{
			"gzip":     65_000,  // 50 KB for the connection
			"identity": 110_000, // and 40 KB to decompress
		} {
			t.Run(path+" "+coding, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := serveInMemory(handler(report))
					defer m.stop()
					w := get(m.server.Handler, path)
					require.Greater(t, w.Body.Len(), 300_000)
					before := heap()
					for range 60 {
						defer m.ask(t, path, "Accept-Encoding: "+coding).Close()
					}
					synctest.Wait()
					require.Less(t, heap()-before, 60*each)
				})
			})
		}
	}
}

// TestDifferentAnswersAreBounded has 12 clients with different answers of 15 MB, for which there
// is no room. The last clients get theirs, and the first ones are cut off.
func TestDifferentAnswersAreBounded(t *testing.T) {
	report := incompressible(t, 20<<20)
	synctest.Test(t, func(t *testing.T) {
		m := serveInMemory(handler(report))
		defer m.stop()
		before := heap()
		var clients []net.Conn
		for i := range 12 {
			clients = append(clients, m.ask(t, fmt.Sprintf("/api/v1/slos?limit=%d", 1000+i), "Accept-Encoding: gzip"))
			synctest.Wait()
		}
		require.Less(t, heap()-before, 150<<20)
		for i, client := range clients {
			answer, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			if i < 3 {
				require.Error(t, err, "client %d", i)
			}
			if i > 7 {
				require.NoError(t, err, "client %d", i)
			}
		}
	})
}

// incompressible is a report of so many bytes.
func incompressible(t *testing.T, size int) *evaluator.Report {
	report := *sample(t)
	noise := make([]byte, size/len(report.SLOs))
	x := uint32(1)
	for i := range noise {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[x%64]
	}
	for i := range report.SLOs {
		report.SLOs[i].Description = string(noise[i:]) + string(noise[:i])
	}
	return &report
}

// burning is a report of one SLO that burns, so that its tiers are looked up.
func burning(t *testing.T) *evaluator.Report {
	report := sample(t)
	report.SLOs = slices.DeleteFunc(report.SLOs, func(s evaluator.Status) bool { return s.ID != "mail/delivery" })
	return report
}

// blocking is a handler whose list can't be made until open is closed. made counts what begins.
func blocking(report *evaluator.Report, open chan struct{}, made *atomic.Int32, change ...func(*web.Options)) http.Handler {
	return handler(report, append(change, func(o *web.Options) {
		o.Tiers = func(s *slo.SLO) []alerting.Tier {
			made.Add(1)
			<-open
			return alerting.BuiltIn().Tiers(s)
		}
	})...)
}

// TestTooManyAtOnce expects that requests which can't be answered soon are refused with a time
// to try again, and that made answers are still sent.
func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, made := make(chan struct{}), atomic.Int32{}
		report := burning(t)
		h := blocking(report, open, &made)
		before := get(h, "/api/v1/slos")
		require.Equal(t, http.StatusOK, before.Code)
		var waiting sync.WaitGroup
		answers := make(chan *httptest.ResponseRecorder, 100)
		for i := range 20 {
			waiting.Go(func() { answers <- get(h, fmt.Sprintf("/?q=%d", i)) })
		}
		synctest.Wait()
		require.EqualValues(t, 4, made.Load(), "made at a time")
		require.Empty(t, answers)
		<-time.After(time.Minute) // of the bubble
		require.Len(t, answers, 16)
		for range 16 {
			w := <-answers
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.Equal(t, "5", w.Header().Get("Retry-After"))
			require.Equal(t, "slowburn is busy with other requests, try again in a few seconds\n", w.Body.String())
		}
		require.Equal(t, before.Body, get(h, "/api/v1/slos").Body)
		require.Equal(t, http.StatusOK, get(h, "/-/healthy").Code)
		close(open)
		waiting.Wait()
		for range 4 {
			require.Equal(t, http.StatusOK, (<-answers).Code)
		}
		require.Equal(t, http.StatusOK, get(h, "/?q=19").Code)
	})
}

// TestAnswerIsMadeOnce expects one answer for all requests, and another one for the next report
// and when the ages on a page are old.
func TestAnswerIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, made := make(chan struct{}), atomic.Int32{}
		report, now := atomic.Pointer[evaluator.Report]{}, evaluated
		first := burning(t)
		report.Store(first)
		h := blocking(nil, open, &made, func(o *web.Options) {
			o.Report, o.Now = report.Load, func() time.Time { return now }
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { require.Equal(t, http.StatusOK, get(h, "/").Code) })
		}
		synctest.Wait()
		require.EqualValues(t, 1, made.Load())
		close(open)
		all.Wait()
		once := made.Load()
		get(h, "/")
		require.Equal(t, once, made.Load())
		now = now.Add(4 * time.Second)
		get(h, "/")
		require.Equal(t, once, made.Load())
		now = now.Add(time.Second)
		require.Contains(t, get(h, "/").Body.String(), "5\u00a0s ago")
		require.Equal(t, 2*once, made.Load())

		next := *first
		next.SLOs = append(next.SLOs, sample(t).SLOs[1])
		report.Store(&next)
		require.Len(t, listed(t, get(h, "/api/v1/slos")), 2)
		require.Len(t, shown(get(h, "/")), 2)
		require.Contains(t, get(h, "/metrics").Body.String(), `slo_info{owner="`+next.SLOs[1].Owner)
	})
}

// TestPagesWhileOthersWait expects that requests which wait for the backend delay no others.
func TestPagesWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := atomic.Int32{}
		h := handler(sample(t), func(o *web.Options) {
			o.CountsBetween = func(ctx context.Context, _ string, _, _ time.Time) (*loop.Range, error) {
				asked.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		var waiting sync.WaitGroup
		for i := range 40 {
			waiting.Go(func() { get(h, fmt.Sprintf("/slo/checkout/availability?from=%d", evaluated.Unix()-int64(i)-60)) })
		}
		synctest.Wait()
		require.EqualValues(t, 16, asked.Load())
		require.Equal(t, http.StatusOK, get(h, "/").Code)
		require.Contains(t, words(h, "/slo/checkout/availability?from=1795000000"), "Too many requests for other times are waiting.")
		waiting.Wait()
	})
}

// TestFaultEndsOneAnswer expects an error for all that wait for an answer which can't be made,
// and another attempt for the next request.
func TestFaultEndsOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, faulty := make(chan struct{}), atomic.Bool{}
		faulty.Store(true)
		h := handler(burning(t), func(o *web.Options) {
			o.Tiers = func(s *slo.SLO) []alerting.Tier {
				<-open
				if faulty.Load() {
					panic("a fault")
				}
				return alerting.BuiltIn().Tiers(s)
			}
		})
		var all sync.WaitGroup
		faults, failed := atomic.Int32{}, atomic.Int32{}
		for range 20 {
			all.Go(func() {
				defer func() {
					if recover() != nil { // as a server does
						faults.Add(1)
					}
				}()
				if get(h, "/").Code == http.StatusInternalServerError {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		close(open)
		all.Wait()
		require.Equal(t, []int32{1, 19}, []int32{faults.Load(), failed.Load()})
		faulty.Store(false)
		for range 10 { // no slot is lost
			require.Equal(t, http.StatusOK, get(h, "/").Code)
		}
	})
}

// TestClientGoesAway has a client that hangs up while others wait for the same answer.
func TestClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, made := make(chan struct{}), atomic.Int32{}
		h := blocking(burning(t), open, &made)
		m := serveInMemory(h)
		defer m.stop()
		require.NoError(t, m.ask(t, "/").Close())
		synctest.Wait()
		var others sync.WaitGroup
		for range 5 {
			others.Go(func() { require.Equal(t, http.StatusOK, get(h, "/").Code) })
		}
		synctest.Wait()
		require.EqualValues(t, 1, made.Load())
		close(open)
		others.Wait()
	})
}

// TestHead expects the headers of GET without a body.
func TestHead(t *testing.T) {
	h := handler(sample(t))
	for _, path := range []string{"/", "/api/v1/slos", "/metrics", "/slo/checkout/availability", "/static/slowburn.css"} {
		for _, coding := range []string{"identity", "gzip"} {
			all, head := get(h, path, "Accept-Encoding", coding), ask(h, http.MethodHead, path, "Accept-Encoding", coding)
			require.Equal(t, http.StatusOK, all.Code, path)
			require.Equal(t, all.Header(), head.Header(), path)
			require.Equal(t, fmt.Sprint(all.Body.Len()), all.Header().Get("Content-Length"), path)
			require.Empty(t, head.Body.String(), path)
		}
	}
}
