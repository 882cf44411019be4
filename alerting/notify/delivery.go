package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// batchSize is the number of alerts in one post.
	batchSize = 256
	// postTimeout bounds one request.
	postTimeout = 10 * time.Second
	// mostAnswered and mostListed limit the bytes of an answer and its alerts.
	mostAnswered = 64 << 20
	mostListed   = 100_000
	// staleDelay is how long after a report stale alerts are posted. Replicas report at
	// the same second, and the one with newer numbers must come first.
	staleDelay = 10 * time.Second
)

// Alertmanager is a receiver of alerts, or with dns+ before its URL, such as
// dns+http://alertmanager:9093, a receiver at each address of the host.
type Alertmanager struct {
	URL  string
	HTTP *http.Client
}

// receiver posts to one Alertmanager. Its queue holds the newest state of all alerts, which
// replaces an older one that is not posted yet.
type receiver struct {
	Alertmanager
	name      string
	host      string // for the Host header; "" for that of the URL
	queue     chan []Alert
	dismissed bool // set before the queue is closed, except at the end of the process
	log       *slog.Logger
	metrics   *metrics
	now       func() time.Time

	mu       sync.Mutex          // guards the fields below
	accepted map[string]accepted // that fire, by their ids
	failing  bool                // the last post failed
}

// accepted is an alert that an Alertmanager accepted.
type accepted struct {
	since time.Time // the beginning of the episode
	at    time.Time // when it was last posted, or found to be over
}

func newReceiver(am Alertmanager, host string, o *SenderOptions, m *metrics) *receiver {
	name := "alertmanager"
	if u, err := url.Parse(am.URL); err == nil {
		name = u.Redacted()
	}
	m.create(name)
	return &receiver{
		Alertmanager: am, name: name, host: host, queue: make(chan []Alert, 1), log: o.Log, metrics: m, now: o.Now,
		accepted: map[string]accepted{},
	}
}

// inherit gives a receiver the alerts that its Alertmanager accepted from a Sender before.
func (r *receiver) inherit(before map[string]map[string]accepted) {
	if taken, was := before[r.name]; was {
		r.accepted = taken
		delete(before, r.name)
	}
}

func (r *receiver) put(alerts []Alert) {
	for {
		select {
		case r.queue <- alerts:
			r.metrics.queued.WithLabelValues(r.name).Set(float64(len(alerts)))
			return
		default:
		}
		select {
		case old := <-r.queue:
			r.metrics.dropped.WithLabelValues(r.name).Add(float64(len(old)))
		default:
		}
	}
}

// run posts the queued alerts until the queue is closed and empty, soon after ending ends.
// Stale alerts are posted beside the rest, which must not wait until Alertmanager was asked
// about them. They are given up when there are newer numbers of one of them.
func (r *receiver) run(ctx, ending context.Context) {
	idle := make(chan struct{}, 1) // holds a value while no stale alerts are being posted
	idle <- struct{}{}
	posting, stop := map[string]bool{}, func(error) {}
	for alerts := range r.queue {
		r.metrics.queued.WithLabelValues(r.name).Set(0)
		fresh, old := r.split(alerts)
		if slices.ContainsFunc(fresh, func(a Alert) bool { return posting[a.id()] }) {
			stop(errOutdated)
			idle <- <-idle
		}
		r.deliver(ctx, fresh)
		if len(old) == 0 {
			continue
		}
		select {
		case <-idle:
			var keeping context.Context
			keeping, stop = context.WithCancelCause(ctx)
			clear(posting)
			for _, a := range old {
				posting[a.id()] = true
			}
			go func() {
				r.keep(keeping, ending, old)
				idle <- struct{}{}
			}()
		default: // the last ones are still on their way
		}
	}
	<-idle
	stop(nil)
	if r.dismissed {
		r.metrics.remove(r.name)
	}
}

// keep posts stale alerts after staleDelay, or when ending ends.
func (r *receiver) keep(ctx, ending context.Context, old []Alert) {
	select {
	case <-time.After(staleDelay):
	case <-ending.Done():
	case <-ctx.Done():
		return
	}
	r.deliver(ctx, r.unresolved(ctx, old))
}

// errOutdated ends the posting of alerts when there are newer numbers.
var errOutdated = errors.New("there are newer numbers")

func outdated(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errOutdated) }

// deliver posts alerts, and logs when Alertmanager can't be reached and when it can be again.
func (r *receiver) deliver(ctx context.Context, alerts []Alert) {
	if len(alerts) == 0 || ctx.Err() != nil {
		return
	}
	err := r.try(ctx, alerts)
	if outdated(ctx) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && !r.failing:
		r.log.Error("Alertmanager can't be reached", "alertmanager", r.name, "err", err)
	case err == nil && r.failing:
		r.log.Info("Alertmanager is reached again", "alertmanager", r.name)
	}
	r.failing = err != nil
}

// refusal is an answer that another try would not change.
type refusal string

func (e refusal) Error() string { return string(e) }

// batches returns the posts that alerts are sent in. Alerts that inhibit come in an earlier
// one: an Alertmanager that was restarted notifies at once of alerts that began long ago.
func batches(alerts []Alert) [][]Alert {
	var out [][]Alert
	for _, a := range alerts {
		if last := len(out) - 1; last >= 0 && len(out[last]) < batchSize && out[last][0].rank() == a.rank() {
			out[last] = append(out[last], a)
		} else {
			out = append(out, []Alert{a})
		}
	}
	return out
}

// try posts alerts, and tries again with pauses until newer ones are queued. After a
// refusal it goes on with the rest.
func (r *receiver) try(ctx context.Context, alerts []Alert) error {
	var refused error
	for _, part := range batches(alerts) {
		pause := time.Second
		for {
			err := r.post(ctx, part)
			if err == nil {
				r.note(part)
				break
			}
			if outdated(ctx) {
				return err
			}
			r.metrics.failed.WithLabelValues(r.name).Inc()
			if _, ok := errors.AsType[refusal](err); ok {
				refused = err
				break
			}
			if pause > 8*time.Second || len(r.queue) > 0 || !wait(ctx, pause) {
				return err
			}
			pause *= 2
		}
	}
	return refused
}

// note records alerts that were accepted.
func (r *receiver) note(alerts []Alert) {
	r.metrics.sent.WithLabelValues(r.name).Add(float64(len(alerts)))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range alerts {
		if a.resolved {
			delete(r.accepted, a.id())
		} else {
			r.accepted[a.id()] = accepted{a.StartsAt, r.now()}
		}
	}
}

// split separates stale alerts that this Alertmanager accepted before from the rest. An
// episode that began later is another one.
func (r *receiver) split(alerts []Alert) (rest, old []Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[string]accepted{}
	for _, a := range alerts {
		id := a.id()
		t, was := r.accepted[id]
		if at := a.fired.Restored; !was && !at.IsZero() {
			t, was = accepted{a.StartsAt, at}, true // from another process
		}
		was = was && t.since.Equal(a.StartsAt)
		if was && !a.resolved {
			taken[id] = t
		}
		if was && a.stale {
			old = append(old, a)
		} else {
			rest = append(rest, a)
		}
	}
	r.accepted = taken
	return rest, old
}

// unresolved returns stale alerts without those that this Alertmanager no longer has,
// because another replica ended them. Old numbers keep an alert alive, but don't bring it
// back. All are posted if Alertmanager can't be asked. So is one that was neither asked for
// nor posted for so long that it may have expired.
func (r *receiver) unresolved(ctx context.Context, old []Alert) []Alert {
	var status struct{ Uptime time.Time } // when it started
	has := map[string]bool{}
	if r.get(ctx, "/api/v2/status", decode(&status)) != nil || r.list(ctx, `slo_id=~".+"`, func(a listing) { has[a.id()] = true }) != nil {
		return old
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(old, func(a Alert) bool {
		id := a.id()
		at := r.accepted[id].at
		// An Alertmanager that was restarted since then forgot it.
		ended := !has[id] && status.Uptime.Before(at) && r.now().Sub(at) < lifetime/2
		if ended {
			r.accepted[id] = accepted{a.StartsAt, r.now()}
		}
		return ended
	})
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post sends one request of Alertmanager's API v2.
func (r *receiver) post(ctx context.Context, alerts []Alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return fmt.Errorf("encoding alerts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	resp, err := r.do(ctx, http.MethodPost, "/api/v2/alerts", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // for the error, if it is one
	answer := fmt.Sprintf("it answers %s: %s", resp.Status, strings.TrimSpace(string(text)))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 == 4 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return refusal(answer)
	}
	return errors.New(answer)
}

// list reads the alerts that a filter selects.
func (r *receiver) list(ctx context.Context, filter string, each func(listing)) error {
	return r.get(ctx, "/api/v2/alerts?filter="+url.QueryEscape(filter), func(dec *json.Decoder) error {
		if _, err := dec.Token(); err != nil { // the beginning of a list
			return err
		}
		for n := 0; dec.More(); n++ {
			var a listing
			if n == mostListed {
				return fmt.Errorf("it lists more than %d alerts", mostListed)
			}
			if err := dec.Decode(&a); err != nil {
				return err
			}
			each(a)
		}
		_, err := dec.Token()
		return err
	})
}

// decode reads one value.
func decode(into any) func(*json.Decoder) error {
	return func(dec *json.Decoder) error { return dec.Decode(into) }
}

// get asks for a path and reads the answer.
func (r *receiver) get(ctx context.Context, path string, read func(*json.Decoder) error) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	resp, err := r.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("it answers " + resp.Status)
	}
	body := &io.LimitedReader{R: resp.Body, N: mostAnswered}
	if err := read(json.NewDecoder(body)); err != nil {
		if body.N == 0 {
			err = fmt.Errorf("it is larger than %d MiB", mostAnswered>>20)
		}
		return fmt.Errorf("reading its answer: %w", err)
	}
	return nil
}

func (r *receiver) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Host = r.host
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.HTTP.Do(req)
	if u, ok := errors.AsType[*url.Error](err); ok {
		return nil, u.Err // the text of u may hold a password
	}
	return resp, err
}

// metrics contains the metrics about alerts.
type metrics struct {
	sent, failed, dropped, lookups *prometheus.CounterVec
	queued                         *prometheus.GaugeVec
	receivers                      prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"alertmanager"})
	}
	return &metrics{
		sent:    counter("slowburn_alerts_sent_total", "Alerts that an Alertmanager took, each resend counted."),
		failed:  counter("slowburn_alerts_failed_posts_total", "Posts that an Alertmanager did not take."),
		dropped: counter("slowburn_alerts_dropped_total", "Alerts not posted because newer ones took their place."),
		lookups: counter("slowburn_alertmanager_failed_lookups_total", "Look-ups of an Alertmanager's name that failed."),
		queued: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slowburn_alerts_queued", Help: "Alerts waiting to be posted.",
		}, []string{"alertmanager"}),
		receivers: f.NewGauge(prometheus.GaugeOpts{
			Name: "slowburn_alertmanagers", Help: "Alertmanagers that alerts are posted to, each address of a name counted.",
		}),
	}
}

// create makes an Alertmanager's series, so that the first failure is an increase.
func (m *metrics) create(alertmanager string) {
	for _, c := range []*prometheus.CounterVec{m.sent, m.failed, m.dropped} {
		c.WithLabelValues(alertmanager)
	}
	m.queued.WithLabelValues(alertmanager)
	m.receivers.Inc()
}

// remove removes what create made.
func (m *metrics) remove(alertmanager string) {
	for _, c := range []*prometheus.CounterVec{m.sent, m.failed, m.dropped} {
		c.DeleteLabelValues(alertmanager)
	}
	m.queued.DeleteLabelValues(alertmanager)
	m.receivers.Dec()
}
