// Package notify posts what fires to Alertmanagers. A Completer adds to each report the
// words of its alerts, the alerts about the data, and those that are held because too
// little is known to end them. A Sender follows the reports and posts to each
// Alertmanager what fires and what has ended.
//
// It imports slo, slo/humanize, evaluator and alerting. It reads no timeline: what it
// needs is in the report. A use, before the loop begins:
//
//	completer := notify.NewCompleter("https://slo.example.org/")
//	options.Alerts = completer.Complete
//	l := loop.New(options)
//	sender := notify.NewSender(notify.SenderOptions{Report: l.Report, Completer: completer, ...})
//	go sender.Run(ctx)
package notify

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// resend is the time after which what fires is posted again though no report
	// came: a cycle, and how late one may be. A post just before a report could
	// bring back what the other replica has just resolved.
	resend = 80 * time.Second
	// lifetime is how long an alert outlives its last post: some posts may fail.
	// An Alertmanager that misses for as long that it was resolved ends it by
	// itself.
	lifetime = 5 * time.Minute
)

// clockStep is by how much reports go back in time only when the clock was set back.
const clockStep = 5 * time.Minute

// Lookup gives the addresses of a host.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// SenderOptions are what a Sender needs.
type SenderOptions struct {
	Alertmanagers []Alertmanager
	Lookup        Lookup // of Alertmanagers with dns+
	Report        func() *evaluator.Report
	Completer     *Completer    // of the reports; it gets what Alertmanagers have at the start. Nil asks for nothing
	Offset        time.Duration // how far behind now reports are
	ExternalURL   string        // where the pages are, for links; may be ""
	Log           *slog.Logger
	Registerer    prometheus.Registerer
	Now           func() time.Time
}

// Sender posts what fires to all Alertmanagers, again each minute, and posts as
// resolved what it saw firing and what has ended since.
type Sender struct {
	SenderOptions
	metrics *metrics
	wake    chan struct{}
	names   []*name

	// What follows belongs to the goroutine of Run.
	receivers  []*receiver
	firing     map[string]Alert
	ended      map[string]Alert // by numbers that are older than another replica's may be
	resolved   map[string]Alert
	evaluated  time.Time                    // the instant of the last report
	tookOver   bool                         // another Sender's alerts
	rejections map[string]time.Time         // since when files of sources have errors, where nothing else says it
	taken      map[string]map[string]taking // of Alertmanagers of the Sender before, by their names
}

// NewSender makes a Sender.
func NewSender(o SenderOptions) *Sender {
	s := &Sender{
		SenderOptions: o, metrics: newMetrics(o.Registerer), wake: make(chan struct{}, 1),
		firing: map[string]Alert{}, ended: map[string]Alert{}, resolved: map[string]Alert{},
		taken: map[string]map[string]taking{},
	}
	for _, am := range o.Alertmanagers {
		if n := newName(am, o.Log, s.metrics); n != nil {
			s.names = append(s.names, n)
			continue
		}
		s.receivers = append(s.receivers, newReceiver(am, "", &o, s.metrics))
	}
	return s
}

// TakeOver has a Sender go on with what another one, which has ended, posted. It is
// called before Run.
func (s *Sender) TakeOver(old *Sender) {
	s.tookOver, s.firing, s.ended, s.resolved = true, old.firing, old.ended, old.resolved
	if s.Completer != nil && old.Completer != nil {
		s.Completer.TakeOver(old.Completer)
	}
	for _, r := range old.receivers {
		s.taken[r.name] = r.taken
	}
	for _, r := range s.receivers {
		r.goOn(s.taken)
	}
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
	begun := s.Now()
	start := func(r *receiver) {
		wg.Go(func() { r.run(last, ctx) })
		if s.Completer != nil && !s.tookOver && s.Now().Sub(begun) < recallFor {
			wg.Go(func() { r.recall(ctx, s.Completer.Recall) })
		}
	}
	for _, r := range s.receivers {
		start(r)
	}
	changed := make(chan addresses)
	for _, n := range s.names {
		wg.Go(func() { n.follow(ctx, s.Lookup, changed) })
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
		case found := <-changed:
			for _, r := range s.meet(found) {
				start(r)
			}
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

// post brings the alerts up to date with the newest report and queues them. Before
// the first report an SLO that is lacking says nothing of what was taken over.
func (s *Sender) post() {
	now, report := s.Now().UTC(), s.Report()
	if report.EvaluatedAt.IsZero() {
		return
	}
	s.update(report, now)
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
		return cmp.Or(a.rank()-b.rank(), strings.Compare(a.id(), b.id()))
	})
	for _, r := range s.receivers {
		r.put(alerts)
	}
}

// update follows the report: what fires in it, and what ended.
func (s *Sender) update(r *evaluator.Report, now time.Time) {
	if r.EvaluatedAt.Before(s.evaluated.Add(-clockStep)) { // what fired is of a clock that was wrong, and runs out
		s.firing, s.ended, s.resolved = map[string]Alert{}, map[string]Alert{}, map[string]Alert{}
	}
	s.evaluated = r.EvaluatedAt
	before := s.firing
	s.firing = map[string]Alert{}
	byID := statuses(r)
	for i := range r.SLOs {
		status := &r.SLOs[i]
		current := s.current(status, now)
		for _, f := range status.Alerts {
			a := newAlert(status, f, s.ExternalURL)
			a.old = f.Waits != "" || !current && f.Name != slo.BlindAlert
			s.firing[key(status, f)] = a
		}
	}
	maps.Copy(s.firing, s.rejected(r.Problems, before, now))
	for k, a := range before {
		if _, is := s.firing[k]; is {
			continue
		}
		switch status := byID[a.Labels["slo_id"]]; {
		case a.Labels["alertname"] == slo.BlindAlert || a.Labels["alertname"] == slo.RejectedAlert:
			s.end(k, a, now, false) // another replica may see no better, so it runs out by itself
		case status == nil:
			s.leave(k, a, byID, r, now)
		default:
			s.end(k, a, now, excluded(status, a) || seenToEnd(a, status, r.EvaluatedAt))
		}
	}
	for k, a := range s.resolved {
		if status := byID[a.Labels["slo_id"]]; status != nil && !excluded(status, a) && !s.current(status, now) {
			s.ended[k] = a
			delete(s.resolved, k)
		}
	}
	for k, a := range s.ended {
		if status := byID[a.Labels["slo_id"]]; status != nil && (excluded(status, a) || s.current(status, now)) {
			s.resolved[k] = a
			delete(s.ended, k)
		}
	}
	for k, a := range s.firing {
		if _, was := before[k]; !was {
			s.Log.Info("Alert fires", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"], "since", a.StartsAt)
		}
		delete(s.resolved, k)
		delete(s.ended, k)
	}
	for _, over := range []map[string]Alert{s.resolved, s.ended} {
		maps.DeleteFunc(over, func(_ string, a Alert) bool { return now.Sub(a.EndsAt) > lifetime })
	}
}

// sees reports whether the numbers of an SLO are those of now.
func sees(s *evaluator.Status) bool {
	return s.State == evaluator.StateOK || s.State == evaluator.StateNoTraffic
}

// seenToEnd reports whether an alert is over by the numbers of an SLO, and this process saw
// it fire. When it was held for long it ended for want of numbers.
func seenToEnd(a Alert, s *evaluator.Status, now time.Time) bool {
	return sees(s) && a.fired.Recalled.IsZero() && (!a.fired.Burns() || now.Sub(a.fired.Held) < alerting.Hold*time.Minute) && !uncertain(s, a.fired)
}

// excluded reports whether an alert is over because the present is excluded, which ends
// burn alerts.
func excluded(s *evaluator.Status, a Alert) bool {
	return a.fired.Burns() && s.Excluded.Now && s.State != evaluator.StateQueryFailed
}

// current reports whether no other replica can have newer numbers: they are of
// the newest instant that is evaluated, and the last slot before it has a sample. What
// ended by others fires again, maybe, in slots that they don't have yet, and Alertmanager
// believes who speaks last: it is said when they are current again.
func (s *Sender) current(status *evaluator.Status, now time.Time) bool {
	at := seenAt(status)
	return sees(status) && now.Sub(at) < s.Offset+time.Minute && status.DataUntil != nil && at.Sub(*status.DataUntil) < time.Minute
}

// leave ends an alert of what the report lacks. Of a group that was retired, which its
// data decides, that is known to be over; and a group may be found when more of its whole
// is read. An SLO that was taken out of the files may be in those of another process
// still; its alert runs out by itself.
func (s *Sender) leave(k string, a Alert, byID map[string]*evaluator.Status, r *evaluator.Report, now time.Time) {
	id := a.Labels["slo_id"]
	whole, _, grouped := strings.Cut(id, "{")
	if of := byID[whole]; grouped && of != nil && unread(of) && now.Sub(a.fired.Held) <= holdFailed {
		a.old = true
		s.firing[k] = a
		return
	}
	s.end(k, a, now, slices.Contains(r.Retired, id))
}

func statuses(r *evaluator.Report) map[string]*evaluator.Status {
	out := make(map[string]*evaluator.Status, len(r.SLOs))
	for i := range r.SLOs {
		out[r.SLOs[i].ID] = &r.SLOs[i]
	}
	return out
}

// unread reports whether it may only be for want of history, or of a backend, that
// nothing fires for an SLO: what fired before is held, for an hour at most.
func unread(s *evaluator.Status) bool {
	return s.State == evaluator.StateWarming || s.State == evaluator.StateQueryFailed
}

// end closes an alert that this process saw firing: as resolved when the
// numbers say so, else silently, to run out by itself.
func (s *Sender) end(k string, a Alert, now time.Time, sure bool) {
	if !sure {
		s.Log.Warn("Alert is no longer held", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
		return
	}
	a.EndsAt, a.over, a.old = now, true, false
	s.resolved[k] = a
	s.Log.Info("Alert resolved", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
}

// seenAt is the instant that an SLO's numbers are of.
func seenAt(s *evaluator.Status) time.Time {
	if len(s.Windows) == 0 {
		return time.Time{}
	}
	return s.Windows[len(s.Windows)-1].End
}
