package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// scraped is a Prometheus that a target of 100 requests a minute is scraped into,
// at the full minutes.
type scraped struct {
	db    *memprom.DB
	bad   func(slot time.Time) int // how many fail in the slot that ends then
	from  time.Time                // of the first scrape
	until time.Time                // of the last one; zero before the first

	all, failed int
}

// newScraped is scraped in the two hours before a time, and then as scrape says.
func newScraped(t *testing.T, to time.Time, bad func(slot time.Time) int) *scraped {
	t.Helper()
	db := servers.Embedded(t)
	s := &scraped{db: db, bad: bad, from: to.Truncate(time.Minute).Add(-2 * time.Hour)}
	s.scrape(t, to)
	return s
}

// scrape has it scraped up to a time.
func (s *scraped) scrape(t *testing.T, to time.Time) {
	t.Helper()
	var good, bad []string
	first := s.until.Add(time.Minute)
	if s.until.IsZero() {
		first = s.from
	}
	for at := first; !at.After(to); at = at.Add(time.Minute) {
		n := s.bad(at)
		s.all, s.failed, s.until = s.all+100-n, s.failed+n, at
		good, bad = append(good, fmt.Sprint(s.all)), append(bad, fmt.Sprint(s.failed))
	}
	if len(good) == 0 {
		return
	}
	require.NoError(t, s.db.Load(t.Context(), first, time.Minute, fmt.Sprintf(`
http_requests_total{job="checkout",instance="a",code="200"} %s
http_requests_total{job="checkout",instance="a",code="500"} %s
up{job="checkout",instance="a"} 1x%d`, strings.Join(good, " "), strings.Join(bad, " "), len(good)-1)))
}

// TestReplicasThatSeeLessResolveNothing runs four replicas, each with a backend of
// its own, beside a real Alertmanager. The backend of one fails, that of another
// lags, and one starts when it is worst.
//
// 7 of 100 fail a minute, none in the minute that ends at the gap, 29 in the next,
// and none from then on. The page needs more than 30 in 5 minutes. In those that
// end at the gap it has 28, and is over; a minute later it has 50, and burns again.
// So it goes on for who sees both. Who lags by two minutes sees the gap when it is
// settled, and nothing after it. 4 minutes after the gap there are 29, and it is
// over for good.
func TestReplicasThatSeeLessResolveNothing(t *testing.T) {
	t.Parallel()
	gap := time.Now().UTC().Add(100 * time.Second).Truncate(time.Minute) // which leaves time to start
	began, over := gap.Add(-20*time.Minute), gap.Add(4*time.Minute)
	bad := func(slot time.Time) int {
		switch after := slot.Sub(gap); {
		case !slot.After(began):
			return 0
		case after < 0:
			return 7
		case after == time.Minute:
			return 29
		}
		return 0
	}
	const lag = 130 * time.Second
	lagging := newScraped(t, time.Now().Add(-lag), bad)
	complete := newScraped(t, gap.Add(time.Hour), bad).db.Handler()
	var gone atomic.Bool
	backends := map[string]http.Handler{
		"healthy": complete, "cold": complete, "lagging": lagging.db.Handler(),
		"failing": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				http.Error(w, "no upstream", http.StatusBadGateway)
				return
			}
			complete.ServeHTTP(w, r)
		}),
	}
	am, told := alertmanager(t)
	dir := t.TempDir()
	write(t, dir, "slos/checkout.yaml", checkout("99"))
	begin := func(name string) *served {
		server := httptest.NewServer(backends[name])
		t.Cleanup(server.Close)
		s, _ := running(t, "--config", write(t, dir, name+".yaml", `
specs: [{directory: ./slos}]
backends: [{url: `+server.URL+`, offset: 5s, settle: 1m}]
alertmanagers: [{url: `+am.URL+`}]
`))
		return s
	}
	// soon waits for a condition while the page is there all the time, or never.
	soon := func(limit time.Duration, page bool, what string, holds func() bool) {
		t.Helper()
		until(t, limit, what, func() bool {
			lagging.scrape(t, time.Now().Add(-lag))
			require.Equal(t, page, strings.Contains(fmt.Sprint(severities(listAlerts(t, am))), "page"), "while waiting for: %s", what)
			return holds()
		})
	}

	healthy := begin("healthy")
	healthy.untilSent(am)
	late, failing := begin("lagging"), begin("failing")
	for _, s := range []*served{late, failing} {
		soon(30*time.Second, true, "each posts the page", func() bool { return s.sent(am) > 0 })
	}
	require.Less(t, time.Now(), gap, "all of that before the gap")
	gone.Store(true)
	if testing.Short() { // the gap takes 7 min
		soon(3*time.Minute, true, "one can't read its backend, and holds the alert", func() bool {
			return failing.report().slo("checkout/availability").State == evaluator.StateQueryFailed
		})
		require.Equal(t, 1.0, failing.paging(), "one holds what it can't see")
		return
	}
	soon(time.Until(gap)+4*time.Minute, true, "one sees an end that isn't one, and holds the alert", func() bool {
		return strings.Contains(late.page(), "whether it is over is not known")
	})
	require.Equal(t, 1.0, healthy.paging())
	cold := begin("cold")
	soon(2*time.Minute, true, "one starts, and the other catches up", func() bool {
		return cold.sent(am) > 0 && strings.Contains(late.page(), "burns its error budget")
	})
	require.Equal(t, 1.0, failing.paging(), "one holds what it can't see")

	until(t, time.Until(over)+2*time.Minute, "resolved", func() bool {
		lagging.scrape(t, time.Now().Add(-lag))
		return len(told.pages("resolved")) > 0
	})
	require.Greater(t, time.Now(), over.Add(time.Minute), "when it is settled")
	require.Equal(t, 2.0, late.paging()+failing.paging(), "two don't know of it")
	next := healthy.report().EvaluatedAt.Add(time.Minute) // a minute later one of them may know
	soon(3*time.Minute, false, "and don't bring it back", func() bool {
		return !late.report().EvaluatedAt.Before(next) && !failing.report().EvaluatedAt.Before(next)
	})
	require.Equal(t, 2.0, late.paging()+failing.paging(), "they still don't know")
	require.Len(t, told.pages("firing"), 1)
	require.Len(t, told.pages("resolved"), 1)
}
