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
	// resend is the time after which firing alerts are posted again without a report: a
	// cycle, and how late one may be. A post just before a report could bring back an
	// alert that the other replica has just resolved.
	resend = 80 * time.Second
	// lifetime is how long an alert outlives its last post, because some posts may fail.
	// An Alertmanager that receives no end of an alert ends it after so long.
	lifetime = 5 * time.Minute
)

// clockStep is the step back in time of reports from which the clock was set back.
const clockStep = 5 * time.Minute

// Lookup returns the addresses of a host.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// SenderOptions configures a Sender.
type SenderOptions struct {
	Alertmanagers []Alertmanager
	Lookup        Lookup // of Alertmanagers with dns+
	Report        func() *evaluator.Report
	Completer     *Completer    // of the reports; it receives the alerts that Alertmanagers have at the start. If nil, none are asked
	Offset        time.Duration // age of the instants of reports
	ExternalURL   string        // where the pages are, for links; may be ""
	Log           *slog.Logger
	Registerer    prometheus.Registerer
	Now           func() time.Time
}

// Sender posts firing alerts to all Alertmanagers, again each minute, and posts as resolved
// those that ended since it saw them fire.
type Sender struct {
	SenderOptions
	metrics *metrics
	wake    chan struct{}
	names   []*dnsName

	// The fields below belong to the goroutine of Run.
	receivers  []*receiver
	alerts     map[string]tracked             // that fire, or ended recently, by their keys
	evaluated  time.Time                      // the instant of the last report
	tookOver   bool                           // alerts of another Sender
	rejections map[string]time.Time           // since when this process finds errors in the files of sources
	inherited  map[string]map[string]accepted // by Alertmanagers from the Sender before, by their names
}

// tracked is an alert, and whether it is posted as firing or as resolved.
type tracked struct {
	Alert
	stage stage
}

type stage int

const (
	stageFiring   stage = iota
	stageEnded          // by numbers that may be older than another replica's: it is not posted
	stageResolved       // it is posted as resolved
)

// NewSender makes a Sender.
func NewSender(o SenderOptions) *Sender {
	s := &Sender{
		SenderOptions: o, metrics: newMetrics(o.Registerer), wake: make(chan struct{}, 1),
		alerts: map[string]tracked{}, inherited: map[string]map[string]accepted{},
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

// TakeOver makes a Sender go on with the alerts of another one, which has ended. It is
// called before Run.
func (s *Sender) TakeOver(old *Sender) {
	s.tookOver, s.alerts = true, old.alerts
	if s.Completer != nil && old.Completer != nil {
		s.Completer.TakeOver(old.Completer)
	}
	for _, r := range old.receivers {
		s.inherited[r.name] = r.accepted
	}
	for _, r := range s.receivers {
		r.inherit(s.inherited)
	}
}

// Wake makes the Sender follow a new report. It never blocks.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run posts until ctx ends, then delivers the queued alerts, for 5 s at most.
func (s *Sender) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	last, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	begun := s.Now()
	start := func(r *receiver) {
		wg.Go(func() { r.run(last, ctx) })
		if s.Completer != nil && !s.tookOver && s.Now().Sub(begun) < restoreFor {
			wg.Go(func() { r.restore(ctx, s.Completer.Restore) })
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
			for _, r := range s.setAddresses(found) {
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

// post brings the alerts up to date with the newest report and queues them. It waits for the
// first report, whose lack of an SLO would end alerts that were taken over.
func (s *Sender) post() {
	now, report := s.Now().UTC(), s.Report()
	if report.EvaluatedAt.IsZero() {
		return
	}
	s.update(report, now)
	var alerts []Alert
	for _, a := range s.alerts {
		if a.stage == stageFiring {
			a.EndsAt = now.Add(lifetime)
		}
		if a.stage != stageEnded {
			alerts = append(alerts, a.Alert)
		}
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

// update brings the alerts up to date with a report: what fires in it, and what ended.
func (s *Sender) update(r *evaluator.Report, now time.Time) {
	if r.EvaluatedAt.Before(s.evaluated.Add(-clockStep)) { // earlier alerts are of a wrong clock, and expire
		s.alerts = map[string]tracked{}
	}
	s.evaluated = r.EvaluatedAt
	byID, firing := statuses(r), s.firing(r, now)
	for k, a := range s.alerts {
		if _, fires := firing[k]; fires {
			continue
		}
		status := byID[a.Labels["slo_id"]]
		if a.stage == stageFiring {
			if status == nil && mayBeFound(a.Labels["slo_id"], byID) && now.Sub(a.fired.Held) <= holdFailed {
				a.stale = true
				firing[k] = a.Alert
				continue
			}
			if !isOver(a.Alert, status, r) {
				s.Log.Warn("Alert is no longer held", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
				delete(s.alerts, k)
				continue
			}
			s.Log.Info("Alert resolved", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"])
			a.EndsAt, a.resolved, a.stale, a.stage = now, true, false, stageResolved
		}
		if status != nil {
			a.stage = stageEnded
			if excludedNow(status, a.Alert) || s.current(status, now) {
				a.stage = stageResolved
			}
		}
		if s.alerts[k] = a; now.Sub(a.EndsAt) > lifetime {
			delete(s.alerts, k)
		}
	}
	for k, a := range firing {
		if was, is := s.alerts[k]; !is || was.stage != stageFiring {
			s.Log.Info("Alert fires", "alertname", a.Labels["alertname"], "slo_id", a.Labels["slo_id"], "severity", a.Labels["severity"], "since", a.StartsAt)
		}
		s.alerts[k] = tracked{a, stageFiring}
	}
}

// firing returns the alerts that fire in a report, by their keys.
func (s *Sender) firing(r *evaluator.Report, now time.Time) map[string]Alert {
	out := s.rejected(r.Problems, now)
	for i := range r.SLOs {
		status := &r.SLOs[i]
		current := s.current(status, now)
		for _, f := range status.Alerts {
			a := newAlert(status, f, s.ExternalURL)
			a.stale = f.Waits != "" || !current && f.Name != slo.BlindAlert
			out[alertKey(status, f)] = a
		}
	}
	return out
}

// isOver reports whether an alert that fires no longer is over by the numbers of its SLO,
// if the report has any. Another replica may still be unable to read a backend or may
// still reject files, and an SLO that was taken out of the files may be in those of
// another process: such alerts expire. The data decides that a group is retired.
func isOver(a Alert, status *evaluator.Status, r *evaluator.Report) bool {
	switch name := a.Labels["alertname"]; {
	case name == slo.BlindAlert || name == slo.RejectedAlert:
		return false
	case status == nil:
		return slices.Contains(r.Retired, a.Labels["slo_id"])
	}
	return excludedNow(status, a) || endsByNumbers(a, status, r.EvaluatedAt)
}

// mayBeFound reports whether an id is that of a group whose whole may not be read enough to
// find it.
func mayBeFound(id string, byID map[string]*evaluator.Status) bool {
	whole, _, grouped := strings.Cut(id, "{")
	status := byID[whole]
	return grouped && status != nil && incomplete(status)
}

// hasNumbers reports whether the numbers of an SLO are current.
func hasNumbers(s *evaluator.Status) bool {
	return s.State == evaluator.StateOK || s.State == evaluator.StateNoTraffic
}

// endsByNumbers reports whether an alert is over by the numbers of an SLO, and fired in this
// process. One that was held for long ended for lack of numbers.
func endsByNumbers(a Alert, s *evaluator.Status, now time.Time) bool {
	return hasNumbers(s) && a.fired.Restored.IsZero() && (!a.fired.Burns() || now.Sub(a.fired.Held) < alerting.Hold*time.Minute) && !uncertain(s, a.fired)
}

// excludedNow reports whether an alert is over because the present is excluded, which ends
// burn alerts.
func excludedNow(s *evaluator.Status, a Alert) bool {
	return a.fired.Burns() && s.Excluded.Now && s.State != evaluator.StateQueryFailed
}

// current reports whether no other replica can have newer numbers: they are of the newest
// instant that is evaluated, and the last slot before it has a sample. An alert that ended
// by older numbers may fire again in newer slots, and for Alertmanager the last post wins.
// So its end is posted when the numbers are current again.
func (s *Sender) current(status *evaluator.Status, now time.Time) bool {
	at := numbersAt(status)
	return hasNumbers(status) && now.Sub(at) < s.Offset+time.Minute && status.DataUntil != nil && at.Sub(*status.DataUntil) < time.Minute
}

func statuses(r *evaluator.Report) map[string]*evaluator.Status {
	out := make(map[string]*evaluator.Status, len(r.SLOs))
	for i := range r.SLOs {
		out[r.SLOs[i].ID] = &r.SLOs[i]
	}
	return out
}

// incomplete reports whether an SLO may lack alerts only because history is being read or
// the backend can't be read. Alerts that fired before are held, for an hour at most.
func incomplete(s *evaluator.Status) bool {
	return s.State == evaluator.StateWarming || s.State == evaluator.StateQueryFailed
}

// numbersAt returns the instant of an SLO's numbers.
func numbersAt(s *evaluator.Status) time.Time {
	if len(s.Windows) == 0 {
		return time.Time{}
	}
	return s.Windows[len(s.Windows)-1].End
}
