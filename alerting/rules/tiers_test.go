package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// demanding is a policy that asks for all that a tier can ask for, but for
// significance. Over 6 h its windows are 5 m to 1 h long.
func demanding() alerting.Policies {
	return alerting.Policies{"demanding": {Name: "demanding", Tiers: []alerting.Tier{
		{Name: "fast", Severity: slo.Page, Factor: 9.7, Long: 60 * hour, Short: 10 * hour, KeepFiringFor: 10 * time.Minute, MinBad: 20, MinBudget: 0.05},
		{Name: "slow", Severity: slo.Page, Factor: 4.1, Reset: 1.3, Long: 120 * hour, Short: 20 * hour, For: 3 * time.Minute},
		{Name: "outage", Severity: slo.Page, BadShare: 0.95, Long: 5 * minute, Short: 5 * minute, For: time.Minute, KeepFiringFor: 2 * time.Minute, MinBad: 5},
		{Name: "trickle", Severity: slo.Ticket, Factor: 1.1, Reset: 0.45, Long: 120 * hour, Short: 60 * hour, MinBudget: 0.08},
	}}}
}

// slotsAtRandom are n slots of calm, of trouble, and of little traffic.
func slotsAtRandom(r *rand.Rand, n int) []timeline.Slot {
	var out []timeline.Slot
	traffic, failing := 1000, 0.0005
	for left := 70; len(out) < n; left-- {
		if left == 0 {
			left, traffic, failing = 20+r.IntN(60), 1000, 0.0003
			if r.IntN(2) == 0 {
				left, traffic = 1+r.IntN(30), []int{1000, 200, 3}[r.IntN(3)]
				failing = []float64{0.003, 0.006, 0.02, 0.08, 0.4, 1}[r.IntN(6)]
			}
		}
		s := timeline.Slot{Total: float64(traffic), Known: true}
		for range traffic {
			if r.Float64() < failing {
				s.Bad++
			}
		}
		out = append(out, s)
	}
	return out
}

// slotsOf loads counters that count these slots, the first from minute 1 on.
func (b *ruleEngine) slotsOf(matchers string, slots []timeline.Slot) {
	b.t.Helper()
	b.load(20*time.Second, time.Minute, countersOf(matchers, slots)...)
}

func countersOf(matchers string, slots []timeline.Slot) []string {
	good, bad := strings.Builder{}, strings.Builder{}
	fmt.Fprintf(&good, `requests_total{code="200",%s} 0`, matchers)
	fmt.Fprintf(&bad, `requests_total{code="500",%s} 0`, matchers)
	g, f := 0.0, 0.0
	for _, s := range slots {
		g, f = g+s.Total-s.Bad, f+s.Bad
		fmt.Fprintf(&good, " %g", g)
		fmt.Fprintf(&bad, " %g", f)
	}
	return []string{good.String(), bad.String()}
}

// judged is in which minutes an alert of a severity fires, by the evaluator's
// judge: at the end of slot i, which ends at minute i+2.
func judged(s *slo.SLO, p alerting.Policies, slots []timeline.Slot) map[string][]int {
	first := timeline.MinuteOf(epoch) + 1
	timeline, judge := timeline.NewTimeline(first), p.NewJudge()
	out := map[string][]int{}
	for i, slot := range slots {
		timeline.Append(slot)
		for _, a := range judge(s, timeline, timeline.End()) {
			if a.Burns() {
				out[a.Severity] = append(out[a.Severity], i+2)
			}
		}
	}
	return out
}

// fired is in which minutes an alert of a severity fires by the rules.
func (b *ruleEngine) fired(matchers string) []int {
	var out []int
	values, at := b.samples(`ALERTS{alertstate="firing",` + matchers + `}`)
	for i, ms := range at {
		if values[i] == 1 {
			out = append(out, int(time.UnixMilli(ms).Sub(b.epoch)/time.Minute))
		}
	}
	return out
}

// TestTiersAgree holds the tiers of a policy by the rules against those by the
// evaluator, minute by minute, over slots at random, all of which are known: how a
// tier begins, for how long it must hold, by what it goes on, and how long it is
// kept. The groups have an objective each.
func TestTiersAgree(t *testing.T) {
	p := demanding()
	begun := map[string]int{}
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			s := grouped(withWindow(example(t, "", `requests_total{code="500"}`, "requests_total"), 6*hour), "tenant")
			s.Alerting.Policy = "demanding"
			s.Groups.Objectives["b"] = objective(t, "99")
			const n = 500
			slots := map[string][]timeline.Slot{"a": slotsAtRandom(r, n), "b": slotsAtRandom(r, n)}
			b := newBackend(t)
			all := make([]timeline.Slot, n)
			for tenant, of := range slots {
				b.slotsOf(fmt.Sprintf("tenant=%q", tenant), of)
				for i, slot := range of {
					all[i] = timeline.Slot{Total: all[i].Total + slot.Total, Bad: all[i].Bad + slot.Bad, Known: true}
				}
			}
			b.run(s, Options{Alerts: true, Policies: p}, 45*time.Second, (n+2)*time.Minute)
			t.Log(spans(judged(s, p, all)[slo.Page]), spans(judged(s, p, all)[slo.Ticket]))
			b.requireFired(judged(s, p, all), `tenant=""`)
			b.requireFired(judged(s, p, slots["a"]), `tenant="a"`)
			other := *s
			other.Objective = objective(t, "99")
			b.requireFired(judged(&other, p, slots["b"]), `tenant="b"`)
			for _, tier := range p["demanding"].Tiers {
				values, _ := b.samples(fmt.Sprintf(`slo:alert_tier:burn{tier=%q}`, tier.Name))
				begun[tier.Name] += len(values)
			}
		})
	}
	for _, tier := range p["demanding"].Tiers {
		require.Greater(t, begun[tier.Name], 5*int(seeds), tier.Name)
	}
}

func (b *ruleEngine) requireFired(want map[string][]int, matchers string) {
	b.t.Helper()
	for _, severity := range []string{slo.Page, slo.Ticket} {
		require.Equal(b.t, spans(want[severity]), spans(b.fired(matchers+fmt.Sprintf(",severity=%q", severity))), "%s of %s", severity, matchers)
	}
}

// spans are the first and the last of minutes that follow each other.
func spans(minutes []int) [][2]int {
	var out [][2]int
	for i, m := range minutes {
		if i == 0 || m != minutes[i-1]+1 {
			out = append(out, [2]int{m, m})
		}
		out[len(out)-1][1] = m
	}
	return out
}

// TestBeyondChance holds the guard of significance against the exact test: it is
// never met by fewer bad events, and by few more.
func TestBeyondChance(t *testing.T) {
	b := newBackend(t)
	for _, o := range []string{"99.9", "99", "50"} {
		for _, total := range []float64{3, 20, 100, 1000, 50_000} {
			s := example(t, "", "bad_total", "all_total")
			s.Objective = objective(t, o)
			budget := s.Objective.Budget()
			exact := func(bad float64) bool {
				return bad > total*budget && distuv.Binomial{N: total, P: budget}.Survival(bad-1) <= 1e-5
			}
			bound := func(bad float64) bool {
				vector := func(v float64) expr { return raw(fmt.Sprintf("vector(%g)", v)) }
				v, err := b.instant(t.Context(), beyondChance(s.Objective, vector(bad), vector(bad/total/budget), vector(bad/total)).text, b.epoch)
				require.NoError(t, err)
				return len(v) > 0 && v[0].F >= -math.Log(1e-5)
			}
			first := func(holds func(bad float64) bool) float64 {
				bad := math.Ceil(total * budget)
				for bad <= total && !holds(bad) {
					bad++
				}
				return bad
			}
			e, r := first(exact), first(bound)
			t.Logf("%s %% of %g: %g by the exact test, %g by the bound", o, total, e, r)
			require.GreaterOrEqual(t, r, e)
			require.LessOrEqual(t, r, e*1.1+3)
		}
	}
}
