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

// quotaOf is a backend whose answers are of so many series without samples, whatever is
// asked, within a quota in bytes.
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

// TestAnswersShareTheirMemory: eight readings at once hold no more than twice the limit
// together, and are all answered.
func TestAnswersShareTheirMemory(t *testing.T) {
	const series, limit = 20_000, 32 << 20 // a reading takes 12 MiB or more
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
			runtime.Gosched() // others may go on
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

// TestAnAnswerThatAloneTakesMore than all may is an error, for which a shorter time is
// asked; what was taken is given back.
func TestAnAnswerThatAloneTakesMore(t *testing.T) {
	b := quotaOf(t, 100_000, 32<<20)
	_, err := b.Query(t.Context(), "x[1h]", time.Now())
	require.EqualError(t, err, "reading the answer: the answer takes more than 32 MiB, more than all answers at once may take")
	require.True(t, TooMuch(err, 60))
	require.Zero(t, b.quota.used)
}

// TestAnAnswerThatWaits gives up with its query.
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
