package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestARefusedPostKeepsNoOtherAlertBack: more alerts than one post takes, one of
// them such that Alertmanager, or a proxy before it, refuses the post it is in.
func TestARefusedPostKeepsNoOtherAlertBack(t *testing.T) {
	for code, text := range map[int]string{400: "400 Bad Request", 413: "413 Request Entity Too Large", 422: "422 Unprocessable Entity"} {
		taken := map[string]bool{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var alerts []Alert
			_ = json.NewDecoder(r.Body).Decode(&alerts)
			for _, a := range alerts {
				taken[a.Labels["slo_id"]] = true
			}
			if taken["0"] && len(taken) <= batchSize {
				http.Error(w, "bad label", code)
			}
		}))
		defer server.Close()
		var alerts []Alert
		for i := range batchSize + 10 {
			alerts = append(alerts, Alert{Labels: map[string]string{"slo_id": fmt.Sprint(i)}})
		}
		o := SenderOptions{Log: slog.New(slog.DiscardHandler), Now: time.Now}
		r := newReceiver(Alertmanager{URL: server.URL, HTTP: server.Client()}, "", &o, newMetrics(prometheus.NewRegistry()))
		require.EqualError(t, r.try(t.Context(), alerts), "it answers "+text+": bad label")
		require.Len(t, taken, batchSize+10, code)
	}
}

// TestTheQueueHoldsTheNewestState of all alerts, and counts what it never posted.
func TestTheQueueHoldsTheNewestState(t *testing.T) {
	o := SenderOptions{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	m := newMetrics(prometheus.NewRegistry())
	r := newReceiver(Alertmanager{URL: "http://am"}, "", &o, m)
	for n := range 4 {
		r.put(make([]Alert, n))
	}
	require.Len(t, <-r.queue, 3)
	require.Equal(t, 0.0+1+2, testutil.ToFloat64(m.dropped.WithLabelValues("http://am")))
	require.Equal(t, 3.0, testutil.ToFloat64(m.queued.WithLabelValues("http://am")))
}

// TestWhatInhibitsIsPostedFirst: of an SLO, its group and another SLO, which calls pages
// critical.
func TestWhatInhibitsIsPostedFirst(t *testing.T) {
	b := newBoard(time.Now)
	b.show(t, time.Now(), evaluator.StateOK, slo.Page, slo.Ticket)
	whole := b.report.SLOs[0]
	group, other := whole, whole
	group.ID, other.ID, other.Spec = `checkout/availability{tenant="acme"}`, "other/availability", drill.SLO(t)
	other.Spec.Alerting.Page.Label = "critical"
	b.report.SLOs = []evaluator.Status{whole, group, other}
	var posts []string
	s := b.sender(Alertmanager{"http://am", post(func(r *http.Request) error {
		var alerts []Alert
		err := json.NewDecoder(r.Body).Decode(&alerts)
		var ids []string
		for _, a := range alerts {
			ids = append(ids, a.Labels["slo_id"]+" "+a.Labels["severity"])
		}
		posts = append(posts, strings.Join(ids, ", "))
		return err
	}).client()})
	s.post()
	require.NoError(t, s.receivers[0].try(t.Context(), <-s.receivers[0].queue))
	require.Equal(t, []string{
		"checkout/availability page, other/availability critical",
		`checkout/availability{tenant="acme"} page`,
		`checkout/availability ticket, checkout/availability{tenant="acme"} ticket, other/availability ticket`,
	}, posts)
}

// TestABlindReplicaBringsNothingBack: the backend of one of two replicas fails.
// What fires it keeps alive, also in an Alertmanager that was restarted and forgot
// it, until the other replica sees the end.
func TestABlindReplicaBringsNothingBack(t *testing.T) {
	var target atomic.Pointer[url.URL]
	restart := func() *servers.Server {
		am := servers.Alertmanager(t, "")
		u, err := url.Parse(am.URL)
		require.NoError(t, err)
		target.Store(u)
		return am
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target.Load()) }})
	defer proxy.Close()
	at := time.Now()
	b := newBoard(time.Now)
	blind, healthy := b.sender(Alertmanager{proxy.URL, http.DefaultClient}), b.sender(Alertmanager{proxy.URL, http.DefaultClient})
	ended, end := context.WithCancel(t.Context())
	end() // else it takes its time
	says := func(s *Sender, state evaluator.State, severities ...string) {
		t.Helper()
		b.show(t, at, state, severities...)
		s.post()
		r := s.receivers[0]
		close(r.queue)
		r.run(t.Context(), ended)
		r.queue = make(chan []Alert, 1)
	}
	am := restart()
	says(blind, evaluator.StateOK, slo.Page, slo.Ticket)
	says(healthy, evaluator.StateOK, slo.Page, slo.Ticket)
	says(blind, evaluator.StateQueryFailed, slo.Page, slo.Ticket)
	alerts := listed(t, am)
	require.Len(t, alerts, 2)
	require.Contains(t, alerts[0].Annotations["description"], "the backend can't be read", "it is kept alive")

	am = restart()
	require.Empty(t, listed(t, am))
	says(blind, evaluator.StateQueryFailed, slo.Page, slo.Ticket)
	require.Len(t, listed(t, am), 2)

	says(healthy, evaluator.StateOK, slo.Ticket)
	for range 2 {
		says(blind, evaluator.StateQueryFailed, slo.Page, slo.Ticket)
		alerts = listed(t, am)
		require.Len(t, alerts, 1)
		require.Equal(t, slo.Ticket, alerts[0].Labels["severity"])
	}

	changed := b.sender(Alertmanager{proxy.URL, http.DefaultClient})
	changed.TakeOver(blind)
	says(changed, evaluator.StateWarming)
	require.Len(t, listed(t, am), 1, "a change of the configuration brings nothing back either")
	says(changed, evaluator.StateOK, slo.Page, slo.Ticket)
	require.Len(t, listed(t, am), 2, "it sees again")
}

// TestOldNumbersHoldNothingBack: while an Alertmanager is slow to tell whether it still
// has the page of an SLO that can't be read, another page begins, and that page ends.
func TestOldNumbersHoldNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBoard(time.Now)
		var mu sync.Mutex
		var posts []string
		s := b.sender(Alertmanager{"http://am", post(func(r *http.Request) error {
			if r.Method == http.MethodGet {
				<-r.Context().Done()
				return r.Context().Err()
			}
			var alerts []Alert
			err := json.NewDecoder(r.Body).Decode(&alerts)
			mu.Lock()
			defer mu.Unlock()
			for _, a := range alerts {
				what := "fires"
				if !a.EndsAt.After(time.Now()) {
					what = "is over"
				}
				posts = append(posts, fmt.Sprint(time.Since(begun), " ", a.Labels["slo"], " ", what))
			}
			return err
		}).client()})
		stop := start(t, s)
		says := func(at time.Duration, state evaluator.State, slos ...string) {
			<-time.After(time.Until(begun.Add(at))) // of the bubble's own clock
			b.show(t, time.Now(), state, slo.Page)
			first := b.report.SLOs[0]
			first.Alerts[0].Since = begun
			b.report.SLOs = nil
			for _, slo := range slos {
				status := first
				status.ID, status.SLO = "checkout/"+slo, slo
				if slo != "availability" {
					status.State = evaluator.StateOK
				} else if state == evaluator.StateOK && at > 0 {
					status.Alerts = nil
				}
				b.report.SLOs = append(b.report.SLOs, status)
			}
			s.Wake()
			synctest.Wait()
		}
		second := time.Second
		says(0, evaluator.StateOK, "availability")
		says(60*second, evaluator.StateQueryFailed, "availability") // it is asked from 70 s to 80 s
		says(72*second, evaluator.StateQueryFailed, "availability", "latency")
		says(130*second, evaluator.StateQueryFailed, "availability", "latency")
		says(145*second, evaluator.StateOK, "availability", "latency")
		<-time.After(15 * second)
		stop()
		require.Equal(t, []string{
			"0s availability fires", "1m12s latency fires", "1m20s availability fires", "2m10s latency fires",
			"2m25s availability is over", "2m25s latency fires",
		}, posts)
	})
}

// TestLateDataKeepsNoNewEpisodeBack: the data always comes later than the offset, so
// that the first episode ends without a post. What begins later is posted, and what
// an Alertmanager that could not be reached let run out is posted again.
func TestLateDataKeepsNoNewEpisodeBack(t *testing.T) {
	now := &clock{time.Date(2026, 11, 22, 6, 0, 30, 0, time.UTC)}
	uptime := now.Add(-time.Hour)
	var ends time.Time // of the alert that the Alertmanager has
	down := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var alerts []Alert
		switch {
		case down:
			w.WriteHeader(http.StatusBadRequest)
		case r.Method == http.MethodPost:
			_ = json.NewDecoder(r.Body).Decode(&alerts)
			ends = alerts[0].EndsAt
		case r.URL.Path == "/api/v2/status":
			_ = json.NewEncoder(w).Encode(map[string]any{"uptime": uptime})
		default:
			if now.Before(ends) {
				alerts = append(alerts, Alert{Labels: map[string]string{"alertname": "ErrorBudgetBurn", "slo_id": "checkout/availability", "severity": slo.Page}})
			}
			_ = json.NewEncoder(w).Encode(alerts)
		}
	}))
	defer server.Close()
	b := newBoard(now.get)
	s := b.sender(Alertmanager{server.URL, http.DefaultClient})
	ended, end := context.WithCancel(t.Context())
	end() // else it takes its time
	since := now.Time
	says := func(later time.Duration, severities ...string) (fires bool) {
		now.Time = now.Add(later)
		b.show(t, now.Truncate(time.Minute), evaluator.StateOK, severities...)
		status := &b.report.SLOs[0]
		*status.DataUntil = status.DataUntil.Add(-2 * time.Minute)
		for i := range status.Alerts {
			status.Alerts[i].Since = since
		}
		s.post()
		r := s.receivers[0]
		close(r.queue)
		r.run(t.Context(), ended)
		r.queue = make(chan []Alert, 1)
		return now.Before(ends)
	}
	require.True(t, says(time.Minute, slo.Page))
	require.True(t, says(time.Minute, slo.Page))
	require.True(t, says(time.Minute), "it runs out")
	since = now.Add(30 * time.Minute)
	require.True(t, says(30*time.Minute, slo.Page), "another episode")
	down = true
	for range 6 {
		says(time.Minute, slo.Page)
	}
	down = false
	require.True(t, says(time.Minute, slo.Page), "it was not reached for longer than the alert lives")
}

// TestEachAddressOfAName is an Alertmanager: new ones are told at once of what
// fires, those that are gone are left, and while the look-up fails those that
// were known stay.
func TestEachAddressOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		b := newBoard(time.Now)
		b.show(t, begun.Add(2*time.Minute), evaluator.StateOK, slo.Page) // current all the time
		lookups := [][]string{{"::1", "10.0.0.2", "::ffff:10.0.0.1", "10.0.0.2"}, {"10.0.0.2", "10.0.0.3"}, nil, {"10.0.0.3", "10.0.0.2"}}
		var mu sync.Mutex
		posts := map[string][]float64{}
		s := b.sender(Alertmanager{"dns+https://alertmanager:9093/am", post(func(r *http.Request) error {
			require.Equal(t, "alertmanager:9093", r.Host)
			require.Equal(t, "/am/api/v2/alerts", r.URL.Path)
			mu.Lock()
			defer mu.Unlock()
			posts[r.URL.Host] = append(posts[r.URL.Host], time.Since(begun).Seconds())
			return nil
		}).client()})
		s.Lookup = func(_ context.Context, host string) (out []netip.Addr, _ error) {
			require.Equal(t, "alertmanager", host)
			answer := lookups[0]
			if lookups = lookups[1:]; answer == nil {
				return nil, errors.New("no such host")
			}
			for _, a := range answer {
				out = append(out, netip.MustParseAddr(a))
			}
			return out, nil
		}
		stop := start(t, s)
		<-time.After(115 * time.Second) // of the bubble's own clock
		stop()
		require.Equal(t, map[string][]float64{"10.0.0.1:9093": {0}, "10.0.0.2:9093": {0, 30, 110}, "10.0.0.3:9093": {30, 110}}, posts)
		require.Equal(t, 2.0, testutil.ToFloat64(s.metrics.receivers))
		require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.lookups.WithLabelValues("dns+https://alertmanager:9093/am")))
		require.Equal(t, 3.0, testutil.ToFloat64(s.metrics.sent.WithLabelValues("https://10.0.0.2:9093/am")))
		require.Equal(t, 2, testutil.CollectAndCount(s.metrics.sent), "nothing is left of the one that is gone")
	})
}

// TestNamesAsURLs puts addresses in the place of names.
func TestNamesAsURLs(t *testing.T) {
	for text, want := range map[string]string{
		"dns+http://am":         "http://10.0.0.1 http://[::1]",
		"dns+https://am:9093/x": "https://10.0.0.1:9093/x https://[::1]:9093/x",
		"dns+http://[::2]:9093": "http://10.0.0.1:9093 http://[::1]:9093",
	} {
		n := newName(Alertmanager{URL: text}, nil, newMetrics(prometheus.NewRegistry()))
		require.Equal(t, want, n.urlOf(netip.MustParseAddr("10.0.0.1"))+" "+n.urlOf(netip.IPv6Loopback()))
	}
	require.Nil(t, newName(Alertmanager{URL: "http://am"}, nil, nil))
}
