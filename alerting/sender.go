package alerting

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

	"github.com/slowburn-slo/slowburn/evaluator"
)

const (
	// resend is the time between two posts of what fires.
	resend = time.Minute
	// lifetime is how long an alert outlives its last post: 4 resends, at
	// least 5 min.
	lifetime = 5 * time.Minute
	// holdFailed is how long an alert is kept while the backend can't be read.
	holdFailed = time.Hour
	// batch is the number of alerts in one post.
	batch = 256
	// postTimeout bounds one post.
	postTimeout = 10 * time.Second
)

// Alertmanager is a receiver of alerts.
type Alertmanager struct {
	URL  string
	HTTP *http.Client
}

// SenderOptions are what a Sender needs.
type SenderOptions struct {
	Alertmanagers []Alertmanager
	Report        func() *evaluator.Report
	ExternalURL   string // where the pages are, for links; may be ""
	Log           *slog.Logger
	Registerer    prometheus.Registerer
	Now           func() time.Time
}

// Sender posts what fires to all Alertmanagers, again each minute, and posts as
// resolved what it saw firing and what has ended since.
type Sender struct {
	SenderOptions
	wake      chan struct{}
	receivers []*receiver

	// What follows belongs to the goroutine of Run.
	firing   map[string]Alert
	resolved map[string]Alert
}

// NewSender makes a Sender.
func NewSender(o SenderOptions) *Sender {
	s := &Sender{SenderOptions: o, wake: make(chan struct{}, 1), firing: map[string]Alert{}, resolved: map[string]Alert{}}
	m := newMetrics(o.Registerer)
	for _, am := range o.Alertmanagers {
		s.receivers = append(s.receivers, newReceiver(am, o.Log, m))
	}
	return s
}

// Wake tells the Sender of a new report. It never blocks.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run posts until ctx ends, then delivers what is queued, for 5 s at most.
func (s *Sender) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	last, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for _, r := range s.receivers {
		wg.Go(func() { r.run(last) })
	}
	timer := time.NewTimer(resend)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.wake:
			s.post()
		case <-timer.C:
			s.post()
		}
		timer.Reset(resend)
	}
	for _, r := range s.receivers {
		close(r.queue)
	}
	drained := time.AfterFunc(5*time.Second, stop)
	defer drained.Stop()
	wg.Wait()
	return nil
}

// post brings the alerts up to date with the newest report and queues them.
func (s *Sender) post() {
	now := s.Now().UTC()
	s.update(s.Report(), now)
	alerts := make([]Alert, 0, len(s.firing)+len(s.resolved))
	for _, a := range s.firing {
		a.EndsAt = now.Add(lifetime)
		alerts = append(alerts, a)
	}
	for _, a := range s.resolved {
		alerts = append(alerts, a)
	}
	if len(alerts) == 0 {
		return
	}
	slices.SortFunc(alerts, func(a, b Alert) int {
		return strings.Compare(a.Labels["slo_id"]+a.Labels["severity"], b.Labels["slo_id"]+b.Labels["severity"])
	})
	for _, r := range s.receivers {
		r.put(alerts)
	}
}

// update follows the report: what fires in it, what ended, and what nobody can
// see any more, which is neither.
func (s *Sender) update(r *evaluator.Report, now time.Time) {
	before := s.firing
	s.firing = map[string]Alert{}
	for i := range r.SLOs {
		status := &r.SLOs[i]
		sure := status.State == evaluator.StateOK || status.State == evaluator.StateNoTraffic
		excluded := status.Excluded.Now && status.State != evaluator.StateQueryFailed // which ends what fires
		for _, f := range status.Alerts {
			if sure || now.Sub(seenAt(status)) <= holdFailed {
				s.firing[key(status, f)] = newAlert(status, f, s.ExternalURL)
			}
		}
		for _, severity := range []string{Page, Ticket} {
			k := key(status, evaluator.FiringAlert{Severity: severity})
			a, was := before[k]
			if _, is := s.firing[k]; was && !is {
				// When it was held for long it ended for want of numbers.
				s.end(k, a, now, excluded || sure && r.EvaluatedAt.Sub(a.held) < hold*time.Minute)
			}
		}
	}
	s.leave(before, r, now)
	for k, a := range s.firing {
		if _, was := before[k]; !was {
			s.Log.Info("Alert fires", "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"], "since", a.StartsAt)
		}
		delete(s.resolved, k)
	}
	for k, a := range s.resolved {
		if now.Sub(a.EndsAt) > lifetime {
			delete(s.resolved, k)
		}
	}
}

// leave ends the alerts of what the report lacks. Of a group that was retired,
// which its data decides, that is known to be over. An SLO that was taken out of
// the files may be in those of another process still; its alert runs out by itself.
func (s *Sender) leave(before map[string]Alert, r *evaluator.Report, now time.Time) {
	if len(before) == 0 {
		return
	}
	shown := make(map[string]bool, len(r.SLOs))
	for i := range r.SLOs {
		shown[r.SLOs[i].ID] = true
	}
	for k, a := range before {
		if id := a.Labels["slo_id"]; !shown[id] {
			s.end(k, a, now, slices.Contains(r.Retired, id))
		}
	}
}

// end closes an alert that this process saw firing: as resolved when the
// numbers say so, else silently, to run out by itself.
func (s *Sender) end(k string, a Alert, now time.Time, sure bool) {
	if !sure {
		s.Log.Warn("Alert is no longer held", "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
		return
	}
	a.EndsAt = now
	s.resolved[k] = a
	s.Log.Info("Alert resolved", "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
}

// seenAt is the instant that an SLO's numbers are of.
func seenAt(s *evaluator.Status) time.Time {
	if len(s.Windows) == 0 {
		return time.Time{}
	}
	return s.Windows[len(s.Windows)-1].End
}

// receiver posts to one Alertmanager. Its queue holds the newest state of all
// alerts; an older one that is not posted yet says nothing more.
type receiver struct {
	Alertmanager
	name    string
	queue   chan []Alert
	log     *slog.Logger
	metrics *metrics
}

func newReceiver(am Alertmanager, log *slog.Logger, m *metrics) *receiver {
	name := "alertmanager"
	if u, err := url.Parse(am.URL); err == nil {
		name = u.Redacted()
	}
	m.create(name)
	return &receiver{Alertmanager: am, name: name, queue: make(chan []Alert, 1), log: log, metrics: m}
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

// run posts what is queued until the queue is closed and empty.
func (r *receiver) run(ctx context.Context) {
	failing := false
	for alerts := range r.queue {
		r.metrics.queued.WithLabelValues(r.name).Set(0)
		err := r.deliver(ctx, alerts)
		switch {
		case err != nil && !failing:
			r.log.Error("Alertmanager can't be reached", "alertmanager", r.name, "err", err)
		case err == nil && failing:
			r.log.Info("Alertmanager is reached again", "alertmanager", r.name)
		}
		failing = err != nil
	}
}

// refusal is an answer that another try would not change.
type refusal string

func (e refusal) Error() string { return string(e) }

// deliver posts alerts, trying again with pauses until something newer is
// queued. What is refused keeps the rest from nothing.
func (r *receiver) deliver(ctx context.Context, alerts []Alert) error {
	var refused error
	for part := range slices.Chunk(alerts, batch) {
		pause := time.Second
		for {
			err := r.post(ctx, part)
			if err == nil {
				r.metrics.sent.WithLabelValues(r.name).Add(float64(len(part)))
				break
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

// post sends one request after Alertmanager's API v2.
func (r *receiver) post(ctx context.Context, alerts []Alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return fmt.Errorf("encoding alerts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	endpoint := strings.TrimSuffix(r.URL, "/") + "/api/v2/alerts"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.HTTP.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			return u.Err // the text of u may hold a password
		}
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // for the error, if it is one
	answer := fmt.Sprintf("it answers %s: %s", resp.Status, strings.TrimSpace(string(text)))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusBadRequest:
		return refusal(answer)
	}
	return errors.New(answer)
}

// metrics are the program's metrics about alerts.
type metrics struct {
	sent, failed, dropped *prometheus.CounterVec
	queued                *prometheus.GaugeVec
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
		queued: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slowburn_alerts_queued", Help: "Alerts waiting to be posted.",
		}, []string{"alertmanager"}),
	}
}

// create makes an Alertmanager's series, so that the first failure is a rise.
func (m *metrics) create(alertmanager string) {
	for _, c := range []*prometheus.CounterVec{m.sent, m.failed, m.dropped} {
		c.WithLabelValues(alertmanager)
	}
	m.queued.WithLabelValues(alertmanager)
}
