package summary

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// status is an SLO over 30 d with so much of its budget left, whose windows of 5m,
// 15m, 1h, 2h, 6h, 1d and 3d burn at these rates.
func status(id string, left float64, rates ...float64) *evaluator.Status {
	st := &evaluator.Status{
		ID: id, State: evaluator.StateOK, Spec: &slo.SLO{Window: slo.Rolling(30 * 24 * slo.Window(time.Hour)), Objective: objective("99.9")},
		Budget: evaluator.Budget{Remaining: &left},
	}
	for i, name := range []string{"5m", "15m", "1h", "2h", "6h", "1d", "3d"} {
		w := evaluator.WindowStatus{Name: name, Coverage: 1, BurnRate: new(0.0)}
		if i < len(rates) {
			w.BurnRate = &rates[i]
		}
		st.Windows = append(st.Windows, w)
	}
	st.Windows = append(st.Windows, evaluator.WindowStatus{Name: "30d", Coverage: 1, BurnRate: new(1 - left)})
	return st
}

func objective(text string) slo.Objective {
	o, err := slo.ParseObjective(text)
	if err != nil {
		panic(err)
	}
	return o
}

func TestWorstFirst(t *testing.T) {
	page, spent, ticket, unknown, doubtful := status("page", 0.9), status("spent", -0.2), status("ticket", 0.9), status("unknown", 0.1), status("doubtful", 0.99)
	page.Alerts = []evaluator.FiringAlert{{Severity: slo.Ticket}, {Severity: slo.Page}}
	ticket.Alerts = []evaluator.FiringAlert{{Severity: slo.Ticket}}
	unknown.State = evaluator.StateStale
	doubtful.Doubts = []evaluator.Doubt{{Code: evaluator.DoubtAudit}}
	burning := status("burning", 0.95, 13.2, 13.2, 13.2)
	slos := []*evaluator.Status{status("much", 0.9), doubtful, status("little", 0.1), unknown, burning, ticket, spent, page}
	slices.SortFunc(slos, Order{Tiers: alerting.BuiltIn().Tiers}.Compare)
	var ids []string
	for _, s := range slos {
		ids = append(ids, s.ID)
	}
	require.Equal(t, []string{"page", "spent", "ticket", "burning", "unknown", "doubtful", "little", "much"}, ids)
}

// TestSortingFindsTheTiersOfEachOnce compares many SLOs.
func TestSortingFindsTheTiersOfEachOnce(t *testing.T) {
	found := 0
	order := Order{Tiers: func(s *slo.SLO) []alerting.Tier { found++; return alerting.BuiltIn().Tiers(s) }}
	var slos []*evaluator.Status
	for i := range 50 {
		slos = append(slos, status("slo", float64(i*37%50)/100+0.1, 2.5, 2.5, 2.5))
	}
	slices.SortFunc(slos, order.Once().Compare)
	require.Equal(t, 50, found)
	require.InDelta(t, 0.1, *slos[0].Budget.Remaining, 1e-9)
}

// TestNearest uses the default policy for 30 d: 14.4 over 1h and 5m (fast), 6 over 6h and 15m
// (slow), 3 over 1d and 2h (daily).
func TestNearest(t *testing.T) {
	order := Order{Tiers: alerting.BuiltIn().Tiers}
	for name, tt := range map[string]struct {
		rates []float64
		tier  string
		rate  float64
	}{
		"calm":                             {[]float64{0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4}, "", 0},
		"near the page":                    {[]float64{20, 20, 7.3}, "fast", 7.3},
		"half of a factor is not yet near": {[]float64{20, 20, 7.2}, "", 0},
		"over: the short window is well":   {[]float64{0, 0, 13.2, 7, 3}, "", 0},
		"near the slow page":               {[]float64{4, 4, 4, 4, 3.5}, "slow", 3.5},
		"near the ticket":                  {[]float64{0, 0, 0, 2.5, 0, 1.6}, "daily", 1.6},
		"a trickle that overspends":        {[]float64{0, 0, 0, 0, 0, 1.2, 1.1}, "trickle", 1.1},
		"a trickle within the budget":      {[]float64{0, 0, 0, 0, 0, 0.8, 0.9}, "", 0},
		"pages come before tickets":        {[]float64{0, 3.2, 0, 2.9, 3.1, 2.9}, "slow", 3.1},
	} {
		t.Run(name, func(t *testing.T) {
			b := order.Nearest(status("x", 0.9, tt.rates...))
			if tt.tier == "" {
				require.Nil(t, b)
				return
			}
			require.NotNil(t, b)
			require.Equal(t, tt.tier, b.Tier.Name)
			require.Equal(t, tt.rate, b.Rate)
		})
	}
	off := status("x", 0.9, 20, 20, 13)
	off.Spec.Alerting.Page.Disabled = true
	require.Nil(t, order.Nearest(off), "what is disabled never fires")
}

func TestOutages(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 42, 0, 0, time.UTC)
	failed := func(id, backend, reason string) evaluator.Status {
		return evaluator.Status{ID: id, Backend: backend, State: evaluator.StateQueryFailed, StateReason: reason, StateSince: &at}
	}
	never := failed("c", "dead", "querying c_total: dial tcp 127.0.0.1:1: connect: connection refused")
	never.StateSince = nil
	r := &evaluator.Report{SLOs: []evaluator.Status{
		failed("a", "dead", "querying a_total: dial tcp 127.0.0.1:1: connect: connection refused"),
		failed("b", "dead", "querying b_total: dial tcp 127.0.0.1:1: connect: connection refused"), never,
		{ID: "w", Backend: "dead", State: evaluator.StateWarming},
		failed("d", "strict", "querying d_total: 422: too many samples"), failed("e", "strict", "querying e_total: 422: no such function"),
		failed("f", "partly", "x: connection refused"), failed("g", "partly", "x: connection refused"), {ID: "h", Backend: "partly", State: evaluator.StateOK},
		failed("i", "single", "x: connection refused"),
		failed("j", "busy", "querying j_total: 503: overloaded"), failed("k", "busy", "querying k_total: context deadline exceeded"),
		failed("l", "busy", "querying l_total: 503: overloaded"),
	}}
	for _, id := range []string{"m", "n"} {
		r.SLOs = append(r.SLOs, failed(id, "thanos", `the answer may be partial: the store s fails: rpc error: code = Unavailable desc = connection error: desc = "transport: dial tcp 127.0.0.1:1: connect: connection refused"`))
	}
	r.SLOs[len(r.SLOs)-3].Group = map[string]string{"region": "eu"}
	got := Outages(r)
	require.Len(t, got, 3)
	require.Equal(t, "connection refused", got["thanos"].Cause)
	require.Equal(t, Outage{Backend: "dead", Since: &at, Cause: "connection refused", Reason: "dial tcp 127.0.0.1:1: connect: connection refused", SLOs: 3}, *got["dead"])
	require.Equal(t, Outage{Backend: "busy", Since: &at, Cause: "overloaded", Reason: "503: overloaded", SLOs: 2, Groups: 1}, *got["busy"], "most met one cause")
	var explained []string
	for i := range r.SLOs {
		if got[r.SLOs[i].Backend].Explains(&r.SLOs[i]) {
			explained = append(explained, r.SLOs[i].ID)
		}
	}
	require.Equal(t, []string{"a", "b", "c", "j", "l", "m", "n"}, explained, "k says for itself what it met")
}
