package notify

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// A process that starts reads the active alerts of its SLOs from each Alertmanager, once.
// Those that it can neither confirm nor end, because it has less data than the process
// before it, go on. Alertmanager is the only memory that outlives a process.

// restoreFor is how long an Alertmanager is asked until it answers. After that, every alert
// that was posted before the start has expired.
const restoreFor = lifetime

// listing is an alert that an Alertmanager lists.
type listing struct {
	Alert
	UpdatedAt time.Time `json:"updatedAt"` // when it was last posted
	answered  time.Time // when it was listed
}

// restore asks for the active alerts of SLOs, backends and sources, until the Alertmanager
// answers or restoreFor is over.
func (r *receiver) restore(ctx context.Context, taker func([]listing)) {
	begun := r.now()
	for pause := time.Second; r.now().Sub(begun) < restoreFor; pause = min(2*pause, 30*time.Second) {
		var all []listing
		err := error(nil)
		for _, filter := range []string{`slo_id=~".+"`, `alertname=~"` + slo.BlindAlert + "|" + slo.RejectedAlert + `"`} {
			if err = r.list(ctx, filter, func(a listing) { all = append(all, a) }); err != nil {
				break
			}
		}
		if err == nil {
			for i := range all {
				all[i].answered = r.now()
			}
			taker(all)
			return
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// restored contains alerts that Alertmanagers had when this process started, until their
// SLOs are in a report.
type restored struct {
	mu      sync.Mutex
	waiting []listing
	others  map[string]time.Time // startsAt of alerts about backends not read since, and sources with errors
}

// Restore receives the alerts that an Alertmanager had when this process started.
func (c *Completer) Restore(alerts []listing) {
	m := &c.restored
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range alerts {
		if a.StartsAt.IsZero() || a.StartsAt.After(a.answered) {
			continue
		}
		if a.UpdatedAt.IsZero() || a.UpdatedAt.After(a.answered) { // its clock differs a little
			a.UpdatedAt = a.answered
		}
		backend, source := a.Labels["backend"], a.Labels["source"]
		switch {
		case maps.Equal(a.Labels, blindLabels(backend)):
			m.remember(aboutBackend(backend), a.StartsAt)
		case maps.Equal(a.Labels, rejectedLabels(source)):
			m.remember(aboutSource(source), a.StartsAt)
		default:
			m.waiting = append(m.waiting, a)
		}
	}
}

func aboutBackend(name string) string { return slo.BlindAlert + " " + name }

func aboutSource(name string) string { return slo.RejectedAlert + " " + name }

// remember records when an alert about a backend or a source began.
func (m *restored) remember(about string, startsAt time.Time) {
	if m.others == nil {
		m.others = map[string]time.Time{}
	}
	if at, is := m.others[about]; !is || startsAt.Before(at) {
		m.others[about] = startsAt.UTC()
	}
}

// before returns the alerts of the report before, with restored ones of the SLOs of this
// report.
func (c *Completer) before(r *evaluator.Report) map[string][]evaluator.FiringAlert {
	m := &c.restored
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 && len(m.others) == 0 {
		return c.firing
	}
	before, byID := maps.Clone(c.firing), statuses(r)
	if before == nil {
		before = map[string][]evaluator.FiringAlert{}
	}
	m.waiting = slices.DeleteFunc(m.waiting, func(a listing) bool {
		s := byID[a.Labels["slo_id"]]
		if s == nil || len(s.Windows) == 0 {
			return r.EvaluatedAt.Sub(a.answered) > holdFailed
		}
		if f, ok := recognise(s, a); ok && !slices.ContainsFunc(before[s.ID], func(b evaluator.FiringAlert) bool { return alertKey(s, b) == alertKey(s, f) }) {
			before[s.ID] = append(slices.Clone(before[s.ID]), f)
		}
		return true
	})
	for i := range r.SLOs {
		if s := &r.SLOs[i]; !unreadable(s) && s.State != evaluator.StateWarming {
			delete(m.others, aboutBackend(s.Backend))
		}
	}
	return before
}

// began returns when an alert about a backend or a source began, at the latest at a time.
func (m *restored) began(about string, at time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if began, is := m.others[about]; is && began.Before(at) {
		return began
	}
	return at
}

// forgetSources forgets the alerts about sources that have no errors.
func (m *restored) forgetSources(rejected map[string][]evaluator.Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.others, func(about string, _ time.Time) bool {
		source, is := strings.CutPrefix(about, aboutSource(""))
		return is && rejected[source] == nil
	})
}

// recognise returns an alert of an SLO as it fired in the process that posted it. It must
// have the same labels as one that this process could post. Its texts are not read.
func recognise(s *evaluator.Status, a listing) (evaluator.FiringAlert, bool) {
	for _, f := range sendable(s, a.Annotations["tier"]) {
		if !maps.Equal(newAlert(s, f, "").Labels, a.Labels) {
			continue
		}
		f.Since, f.Older, f.Held, f.Restored = a.StartsAt.UTC(), true, a.UpdatedAt.UTC(), a.answered
		f.Known = readNote(a.Annotations[coverageNote], s, f)
		return f, true
	}
	return evaluator.FiringAlert{}, false
}

// sendable returns the alerts that an SLO can have, burn alerts with the tier of an
// annotation.
func sendable(s *evaluator.Status, tier string) []evaluator.FiringAlert {
	out := []evaluator.FiringAlert{
		{Name: slo.ExhaustedAlert, Severity: slo.Ticket}, {Name: slo.ForecastAlert, Severity: slo.Ticket},
		{Name: slo.NoDataAlert, Severity: s.Spec.Alerting.NoData.SeverityName()},
	}
	for _, step := range s.Spec.BudgetPolicy {
		out = append(out, evaluator.FiringAlert{Name: slo.PolicyAlert, Severity: slo.Ticket, RemainingBelow: step.Below})
	}
	for i := range out {
		out[i].Windows = []string{}
	}
	name, rest, _ := strings.Cut(strings.TrimSuffix(tier, ")"), " (")
	windows := strings.Split(rest, ", ")
	unknown := func(name string) bool { return name == ownWindow || windowNamed(s, name) == nil }
	if len(windows) != 2 || slices.ContainsFunc(windows, unknown) || len(name) > 63 || strings.ContainsFunc(name, unicode.IsControl) {
		return out
	}
	for _, severity := range []string{slo.Page, slo.Ticket} {
		out = append(out, evaluator.FiringAlert{Name: s.Spec.Alerting.AlertName(), Severity: severity, Tier: name, Windows: windows})
	}
	return out
}
