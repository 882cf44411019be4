package web_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
)

// evaluated is the instant of the sample report. The pages are opened 42 s later.
var evaluated = time.Date(2026, 11, 22, 15, 4, 0, 0, time.UTC)

// handler serves a report.
func handler(r *evaluator.Report, change ...func(*web.Options)) http.Handler {
	o := web.Options{
		Report: func() *evaluator.Report { return r },
		CountsBetween: func(context.Context, string, time.Time, time.Time) (*loop.Range, error) {
			return &loop.Range{}, nil
		},
		Tiers:   alerting.BuiltIn().Tiers,
		Ready:   func() bool { return true },
		Reload:  func(context.Context) error { return nil },
		Reread:  func() {},
		Process: prometheus.NewRegistry(),
		Listen:  "example.com:80", // what httptest asks for
		Version: "1.2.3",
		Now:     func() time.Time { return evaluated.Add(42 * time.Second) },
	}
	for _, c := range change {
		c(&o)
	}
	return web.Handler(o)
}

// story is the history of an SLO of the sample: the error ratio of each of 360
// parts of its window, 2 h each, relative to what the objective allows.
type story struct {
	id, owner, objective string
	perPart              float64 // events in 2 h
	burn                 func(i int) float64
	known                func(i int) bool
	state                evaluator.State
	reason               string
	noNumbers            bool
	alert                *evaluator.FiringAlert
}

const parts = 360

func between(from, to int, v, otherwise float64) func(int) float64 {
	return func(i int) float64 {
		if i >= from && i < to {
			return v
		}
		return otherwise
	}
}

func stories() []story {
	wobble := func(i int) float64 { return 0.4 + 0.3*math.Sin(float64(i)/2.1) + 0.2*math.Sin(float64(i)/7.7) }
	return []story{
		{id: "checkout/availability", owner: "team-payments", objective: "99.9", perPart: 28800,
			burn: func(i int) float64 { return between(359, 360, 18.06, 0)(i) + between(200, 212, 28, 0.4*wobble(i))(i) },
			alert: &evaluator.FiringAlert{Severity: "page", Tier: "fast", Since: evaluated.Add(-62 * time.Minute),
				Windows: []string{"1h", "5m"}}},
		{id: "search/latency", owner: "team-search", objective: "99", perPart: 9100,
			burn: func(i int) float64 { return between(300, 360, 2.2, wobble(i))(i) },
			alert: &evaluator.FiringAlert{Severity: "ticket", Tier: "daily", Since: evaluated.Add(-5 * 24 * time.Hour),
				Windows: []string{"1d", "2h"}}},
		{id: "orders/availability", owner: "team-orders", objective: "99.95", perPart: 51200,
			burn: between(120, 126, 110, 0.3)},
		{id: "reports/nightly-export", owner: "team-data", objective: "95", perPart: 12, burn: between(40, 60, 19.9, 0.02)},
		{id: "billing/availability", owner: "team-payments", objective: "99.95", perPart: 4000, burn: wobble,
			known: func(i int) bool { return i < 340 }, state: evaluator.StateNoData, reason: "no series for 1 h 24 min, target down"},
		{id: "inventory/freshness", owner: "team-stock", objective: "99", state: evaluator.StateNoData,
			reason: `no series match warehouse_sync_total{job="inventory"}`, noNumbers: true},
		{id: "auth/availability", owner: "team-identity", objective: "99.99", perPart: 210000, burn: wobble,
			state: evaluator.StateQueryFailed, reason: "backend default: 503 Service Unavailable"},
		{id: "media/thumbnails", owner: "team-media", objective: "99.5", perPart: 800, burn: wobble,
			known: func(i int) bool { return i > 210 }, state: evaluator.StateWarming, reason: "12 of 30 d read"},
		{id: "legacy/soap", owner: "team-orders", objective: "99", perPart: 3, burn: between(0, 0, 0, 0),
			state: evaluator.StateNoTraffic, reason: "no events in the last 6h"},
		{id: "checkout/latency", owner: "team-payments", objective: "99", perPart: 28800, burn: wobble},
		{id: "catalogue/availability", owner: "team-search", objective: "99.9", perPart: 1.2e6, burn: between(0, 0, 0, 0.004)},
		{id: "mail/delivery", owner: "team-platform", objective: "99.5", perPart: 600, burn: between(330, 333, 45, 0.4)},
		{id: "edge/availability", owner: "team-platform", objective: "99.9", perPart: 3.1e6, burn: func(i int) float64 { return 0.1 * wobble(i) }},
	}
}

// sample is a report of a dozen SLOs that went through everything.
func sample(t testing.TB) *evaluator.Report {
	t.Helper()
	r := &evaluator.Report{Format: 1, EvaluatedAt: evaluated, Problems: []evaluator.Problem{}}
	for _, s := range stories() {
		r.SLOs = append(r.SLOs, s.status(t))
	}
	slices.SortFunc(r.SLOs, func(a, b evaluator.Status) int { return strings.Compare(a.ID, b.ID) })
	return r
}

func (s story) status(t testing.TB) evaluator.Status {
	t.Helper()
	objective, err := slo.ParseObjective(s.objective)
	require.NoError(t, err)
	service, name, _ := strings.Cut(s.id, "/")
	st := evaluator.Status{
		ID: s.id, Service: service, SLO: name, Group: map[string]string{}, Owner: s.owner,
		Labels:      map[string]string{"tier": "1", "region": "eu"},
		Links:       map[string]string{"runbook": "https://runbooks.example.org/" + service, "dashboard": "https://grafana.example.org/d/" + service},
		Description: "What users of " + service + " get within the promise of " + name + ".",
		Objective:   objective.Ratio(), Window: "30d", Budgeting: "occurrences",
		At: evaluated, State: evaluator.StateOK, Method: "raw", Exact: true, DataUntil: new(evaluated),
		Backend: "default", Source: "https://git.example.org/slos.git", Revision: "4f2c81aa09be1177c2d3",
		Alerts: []evaluator.FiringAlert{},
	}
	if s.state != "" {
		st.State, st.StateReason = s.state, s.reason
		st.StateSince = new(evaluated.Add(-84 * time.Minute))
		st.DataUntil = st.StateSince
	}
	if s.alert != nil {
		st.Alerts = []evaluator.FiringAlert{*s.alert}
	}
	job := labels.MustNewMatcher(labels.MatchEqual, "job", service)
	bad := labels.MustNewMatcher(labels.MatchRegexp, "code", "5..")
	metric := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "http_requests_total")
	st.Spec = &slo.SLO{
		Service: service, Name: name, Objective: objective, Window: slo.Rolling(30 * 24 * slo.Window(time.Hour)),
		Indicator: slo.Events{Numbers: slo.Counters{
			Bad: slo.NewCounter(slo.NewSelector(metric, job, bad)), Total: slo.NewCounter(slo.NewSelector(metric, job)),
		}},
		Origin: slo.Origin{Source: st.Source, Revision: st.Revision, File: "slos/" + service + ".yaml", Line: 11},
	}
	s.numbers(&st, objective.Budget())
	return st
}

// numbers fills history, windows and budget in, by the definitions of the
// terms.
func (s story) numbers(st *evaluator.Status, allowed float64) {
	for i := range parts {
		b := evaluator.Bucket{End: evaluated.Add(-time.Duration(parts-1-i) * 2 * time.Hour)}
		if !s.noNumbers && (s.known == nil || s.known(i)) {
			b.Coverage, b.Total = 1, s.perPart
			if s.state == evaluator.StateNoTraffic && i > 350 {
				b.Total = 0
			}
			b.Bad = b.Total * s.burn(i) * allowed
			if s.perPart > 100 {
				b.Bad = math.Round(b.Bad)
			}
		}
		st.History = append(st.History, b)
	}
	for _, w := range []struct {
		name  string
		d     time.Duration
		parts int
	}{
		{"5m", 5 * time.Minute, 1}, {"30m", 30 * time.Minute, 1}, {"1h", time.Hour, 1}, {"2h", 2 * time.Hour, 1},
		{"6h", 6 * time.Hour, 3}, {"1d", 24 * time.Hour, 12}, {"3d", 72 * time.Hour, 36}, {"30d", 720 * time.Hour, parts},
	} {
		ws := evaluator.WindowStatus{Name: w.name, Seconds: int64(w.d.Seconds()), Start: evaluated.Add(-w.d), End: evaluated}
		share := w.d.Hours() / 2 / float64(w.parts) // of a part, for windows shorter than one
		for _, b := range st.History[parts-w.parts:] {
			ws.Total += b.Total * share
			ws.Bad += b.Bad * share
			ws.Coverage += b.Coverage / float64(w.parts)
		}
		switch {
		case ws.Total > 0:
			ws.SLI, ws.BurnRate = new(1-ws.Bad/ws.Total), new(ws.Bad/ws.Total/allowed)
		case ws.Coverage > 0:
			ws.BurnRate = new(0.0)
		}
		st.Windows = append(st.Windows, ws)
	}
	own := st.Windows[len(st.Windows)-1]
	if own.Coverage == 0 {
		return
	}
	st.Budget = evaluator.Budget{Allowed: new(allowed * own.Total), Consumed: new(own.Bad / (allowed * own.Total)), Basis: "6h"}
	st.Budget.Remaining = new(1 - *st.Budget.Consumed)
	switch six := *cmpOr(st.Windows[4].BurnRate, new(0.0)); {
	case *st.Budget.Remaining <= 0:
		st.Budget.ExhaustedInSeconds = new(0.0)
	case six > 1:
		st.Budget.ExhaustedInSeconds = new(math.Round(*st.Budget.Remaining / six * 30 * 86400))
	}
}

func cmpOr[T any](v, otherwise *T) *T {
	if v == nil {
		return otherwise
	}
	return v
}

// many is a report of n SLOs, made of the sample's.
func many(t testing.TB, n int) *evaluator.Report {
	t.Helper()
	base := sample(t)
	r := &evaluator.Report{Format: 1, EvaluatedAt: evaluated}
	for i := range n {
		st := base.SLOs[i%len(base.SLOs)]
		st.Service = fmt.Sprintf("service-%05d", i)
		st.ID = st.Service + "/" + st.SLO
		r.SLOs = append(r.SLOs, st)
	}
	return r
}
