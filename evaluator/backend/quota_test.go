package backend

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// quotaOf returns a client whose answers contain a number of series without samples, for
// any query. The limit is in bytes.
func quotaOf(t *testing.T, series int, limit int64) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("query") == "" {
			_, _ = io.WriteString(w, `{"status":"success","data":{"version":"3.0.0"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[]}`)
		_, _ = io.WriteString(w, strings.Repeat(`,{"metric":{"a":"b"},"values":[]}`, series-1)+`]}}`)
	}))
	t.Cleanup(server.Close)
	return New(Config{Name: "a", URL: server.URL, Kind: "prometheus", HTTP: server.Client(), Timeout: time.Minute, MaxConcurrency: 8},
		NewShared(limit, 0, slog.New(slog.DiscardHandler), time.Now, prometheus.NewRegistry()))
}

// TestAnswersShareTheirMemory runs eight queries at once. All are answered, and together
// they take at most twice the limit.
func TestAnswersShareTheirMemory(t *testing.T) {
	const series, limit = 20_000, 32 << 20 // an answer takes 12 MiB or more
	b := quotaOf(t, series, limit)
	var wg sync.WaitGroup
	var most, held, bytes atomic.Int64
	for range 8 {
		wg.Go(func() {
			ctx, share, done := b.quota.share(t.Context())
			defer done()
			answer, err := b.Query(ctx, "x[1h]", time.Now())
			if err != nil || len(answer) != series {
				t.Errorf("%d series: %v", len(answer), err)
				return
			}
			most.Store(max(most.Load(), held.Add(share.held)))
			bytes.Store(share.held)
			runtime.Gosched() // others may continue
			held.Add(-share.held)
			runtime.KeepAlive(answer)
		})
	}
	wg.Wait()
	require.Greater(t, bytes.Load(), int64(series*seriesBytes))
	require.LessOrEqual(t, most.Load(), int64(2*limit))
	require.Zero(t, b.quota.used)
	require.Zero(t, b.quota.idle)
	require.Empty(t, b.quota.reading)
}

// TestAnAnswerThatAloneTakesMore checks the error of an answer that is larger than the
// limit for all. A shorter range is tried after it, and the memory is released.
func TestAnAnswerThatAloneTakesMore(t *testing.T) {
	b := quotaOf(t, 100_000, 32<<20)
	_, err := b.Query(t.Context(), "x[1h]", time.Now())
	require.EqualError(t, err, "reading the answer: the answer takes more than 32 MiB, more than all answers at once may take")
	require.True(t, TooMuch(err, 60))
	require.Zero(t, b.quota.used)
}

// TestAnAnswerThatWaits checks that waiting for memory ends with the context of the
// query.
func TestAnAnswerThatWaits(t *testing.T) {
	m := newQuota(100)
	_, first, done := m.share(t.Context())
	require.NoError(t, first.decoding(func() error { return first.take(t.Context(), 90) }))
	ctx, cancel := context.WithCancel(t.Context())
	_, second, release := m.share(ctx)
	defer release()
	_, third, releaseThird := m.share(ctx)
	defer releaseThird()
	require.NoError(t, second.decoding(func() error { return second.take(ctx, 20) }), "the eldest that is decoded goes on")
	err := second.decoding(func() error {
		return third.decoding(func() error {
			cancel()
			return third.take(ctx, 20)
		})
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, fmt.Sprint(err), "waiting for memory that other answers hold")
	done()
	require.NoError(t, third.decoding(func() error { return third.take(ctx, 20) }))
}

// TestOneSeriesIsLimitedToo reads an answer whose only series is larger than the limit. It
// ends with an error long before the whole answer is in memory.
func TestOneSeriesIsLimitedToo(t *testing.T) {
	const body, limit = 24 << 20, 1 << 20
	for key, element := range map[string]string{"values": `[1,"1"],`, "histograms": `[1,{"count":"1"}],`} {
		var read atomic.Int64
		counted := func(r *http.Request) (*http.Response, error) {
			text := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"` + key + `":[` + strings.Repeat(element, body/len(element))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: countingReader{strings.NewReader(text), &read}, Request: r}, nil
		}
		c := New(Config{Name: "a", URL: "http://a", Kind: "prometheus", HTTP: &http.Client{Transport: roundTrip(counted)}, Timeout: time.Minute, MaxConcurrency: 1},
			NewShared(limit, 0, slog.New(slog.DiscardHandler), time.Now, prometheus.NewRegistry()))
		_, err := c.Query(t.Context(), "x[1h]", time.Now())
		require.ErrorIs(t, err, ErrMemory, key)
		require.Less(t, read.Load(), int64(limit), key) // a sample takes more memory than text
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// countingReader counts the bytes that were read.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

func (r countingReader) Close() error { return nil }
