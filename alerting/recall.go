package alerting

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// A process that starts asks each Alertmanager which alerts of its SLOs are active, once.
// Those that it can neither confirm nor end, because it knows less than the process before
// it did, go on. Alertmanager is the only memory that outlives a process.

// recallFor is for how long after the start an Alertmanager is asked until it answers: by
// then it has no alert any more that was posted before.
const recallFor = lifetime

// listing is an alert as an Alertmanager lists it.
type listing struct {
	Alert
	UpdatedAt time.Time `json:"updatedAt"` // when it was posted last
	answered  time.Time // when it was listed
}

// recall asks for the active alerts of SLOs and backends, until the Alertmanager answers
// or has none any more.
func (r *receiver) recall(ctx context.Context, taker func([]listing)) {
	begun := r.now()
	for pause := time.Second; r.now().Sub(begun) < recallFor; pause = min(2*pause, 30*time.Second) {
		var all []listing
		err := error(nil)
		for _, filter := range []string{`slo_id=~".+"`, `alertname="` + slo.BlindAlert + `"`} {
			var some []listing
			if err = r.get(ctx, "/api/v2/alerts?filter="+url.QueryEscape(filter), &some); err != nil {
				break
			}
			all = append(all, some...)
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

// recalled are alerts that Alertmanagers had when this process started, until their SLOs
// are in a report.
type recalled struct {
	mu      sync.Mutex
	waiting []listing
	blind   map[string]time.Time // startsAt of SLOBlind, by backends that were not read since
}

// Recall takes what an Alertmanager had when this process started.
func (c *Completer) Recall(alerts []listing) {
	m := &c.recalled
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range alerts {
		if a.StartsAt.IsZero() || a.StartsAt.After(a.answered) {
			continue
		}
		if a.UpdatedAt.IsZero() || a.UpdatedAt.After(a.answered) { // by a clock that differs a little
			a.UpdatedAt = a.answered
		}
		if backend := a.Labels["backend"]; a.Labels["alertname"] == slo.BlindAlert && maps.Equal(a.Labels, blindLabels(backend)) {
			if m.blind == nil {
				m.blind = map[string]time.Time{}
			}
			if at, is := m.blind[backend]; !is || a.StartsAt.Before(at) {
				m.blind[backend] = a.StartsAt
			}
			continue
		}
		m.waiting = append(m.waiting, a)
	}
}

// before are the alerts of the report before, with what was recalled of the SLOs of this
// one.
func (c *Completer) before(r *evaluator.Report) map[string][]evaluator.FiringAlert {
	m := &c.recalled
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 && len(m.blind) == 0 {
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
		if f, ok := recognise(s, a); ok && !slices.ContainsFunc(before[s.ID], func(b evaluator.FiringAlert) bool { return key(s, b) == key(s, f) }) {
			before[s.ID] = append(slices.Clone(before[s.ID]), f)
		}
		return true
	})
	for i := range r.SLOs {
		if s := &r.SLOs[i]; !unseen(s) && s.State != evaluator.StateWarming {
			delete(m.blind, s.Backend)
		}
	}
	return before
}

// blindSince is since when an SLO of a backend can't be seen that this process never read.
func (m *recalled) blindSince(backend string, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if began, is := m.blind[backend]; is && began.Add(-blindFor).Before(now) {
		return began.Add(-blindFor)
	}
	return now
}

// recognise is an alert of an SLO as it fired in the process that posted it. Only what
// this process could post with the same labels is one; its texts are not read.
func recognise(s *evaluator.Status, a listing) (evaluator.FiringAlert, bool) {
	for _, f := range sendable(s, a.Annotations["tier"]) {
		if !maps.Equal(newAlert(s, f, "").Labels, a.Labels) {
			continue
		}
		f.Since, f.Older, f.Held, f.Recalled = a.StartsAt.UTC(), true, a.UpdatedAt.UTC(), a.answered
		f.Known = noted(a.Annotations[coverageNote], s, f)
		return f, true
	}
	return evaluator.FiringAlert{}, false
}

// sendable are the alerts that an SLO can have, those about the burn rate by a tier that
// is written as in the annotation.
func sendable(s *evaluator.Status, tier string) []evaluator.FiringAlert {
	out := []evaluator.FiringAlert{
		{Name: slo.ExhaustedAlert, Severity: Ticket}, {Name: slo.ForecastAlert, Severity: Ticket},
		{Name: slo.NoDataAlert, Severity: s.Spec.Alerting.NoData.SeverityName()},
	}
	for _, step := range s.Spec.BudgetPolicy {
		out = append(out, evaluator.FiringAlert{Name: slo.PolicyAlert, Severity: Ticket, RemainingBelow: step.Below})
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
	for _, severity := range []string{Page, Ticket} {
		out = append(out, evaluator.FiringAlert{Name: s.Spec.Alerting.AlertName(), Severity: severity, Tier: name, Windows: windows})
	}
	return out
}
