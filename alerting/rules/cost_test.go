package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// sloth are the rules that Sloth makes for the SLO of TestRulesCost, by what each
// loads: Sloth's documentation, "SLI recording rules" and "multiwindow,
// multi-burn-rate alerts". Those that read nothing are left out.
func sloth(bad, total string) []string {
	var out []string
	ratio := func(w string) string { return "slo:sli_error:ratio_rate" + w + `{sloth_id="checkout-availability"}` }
	for _, w := range []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} {
		out = append(out, fmt.Sprintf("(sum(rate(%s[%s]))) / (sum(rate(%s[%[2]s])))", bad, w, total))
	}
	out = append(out, "sum_over_time("+ratio("5m")+"[30d]) / ignoring (sloth_window) count_over_time("+ratio("5m")+"[30d])")
	for _, w := range []string{"5m", "30d"} {
		out = append(out, ratio(w)+` / on (sloth_id) group_left slo:error_budget:ratio{sloth_id="checkout-availability"}`)
	}
	for _, tiers := range [][4]string{{"5m", "1h", "30m", "6h"}, {"2h", "1d", "6h", "3d"}} {
		expr := ""
		for _, w := range tiers {
			expr += "or max(" + ratio(w) + " > 0.0144) without (sloth_window) "
		}
		out = append(out, expr[len("or "):])
	}
	return out
}

// TestRulesCost holds what the rules of an SLO over 30 d load an hour, when all
// windows are full, against what File's documentation says, and against the rules
// of Sloth for the same SLO, evaluated every 30 s.
func TestRulesCost(t *testing.T) {
	cases := []struct {
		instances int
		policy    string
		naming    Naming
		thousands float64
	}{
		{8, slo.DefaultPolicy, "", 450}, {1, slo.DefaultPolicy, Sloth, 230},
		{1, "classic", "", 220}, {1, slo.DefaultPolicy, "", 225}, {8, "classic", "", 450}, {1, slo.DefaultPolicy, Pyrra, 265},
	}
	if testing.Short() {
		cases = cases[:2]
	}
	for _, tt := range cases {
		t.Run(fmt.Sprint(tt.instances, tt.policy, tt.naming), func(t *testing.T) {
			s := example(t, "", `requests_total{code="500"}`, `requests_total`)
			s.Alerting.Policy = tt.policy
			b := newBackend(t)
			b.full(tt.instances)
			own := b.costOf(s, tt.naming)
			b = newBackend(t)
			series := []string{`slo:sli_error:ratio_rate5m{sloth_id="checkout-availability",sloth_window="5m"} 0.1x86400`}
			for i := range tt.instances { // of the last 3 d
				series = append(series, fmt.Sprintf(`requests_total{job="j",instance="%d",code="200"} _x77760 0+10x8640`, i),
					fmt.Sprintf(`requests_total{job="j",instance="%d",code="500"} _x77760 0+1x8640`, i))
			}
			b.load(-30*24*time.Hour, 30*time.Second, series...)
			for _, expr := range sloth(`requests_total{code="500"}`, `requests_total`) {
				_, err := b.instant(t.Context(), expr, b.epoch)
				require.NoError(t, err)
			}
			theirs := 120 * b.loaded
			t.Logf("%d samples an hour, and %d by Sloth's, 1 of %d", own, theirs, theirs/own)
			require.InDelta(t, 1000*tt.thousands, float64(own), 100*tt.thousands)
			require.LessOrEqual(t, 50*own, theirs)
		})
	}
}

// full loads all that rules have recorded when they ran for 30 days, and the
// counters of some instances.
func (b *ruleEngine) full(instances int) {
	const labels, bad = `{slo_id="checkout/availability",slo_service="checkout",slo="availability"} `,
		`{slo_id="checkout/availability",slo_service="checkout",slo="availability",result="bad"} `
	b.load(-30*24*time.Hour, 15*time.Minute, "slo:quarter:events"+labels+"300x2879",
		"slo:quarter:events"+bad+"30x2879", "slo:quarter:slots"+labels+"15x2879")
	b.load(-6*time.Hour, time.Minute, "slo:slot:events"+labels+"20x359", "slo:slot:events"+bad+"2x359")
	for i := range instances {
		b.load(-2*time.Hour+7*time.Second, 30*time.Second,
			fmt.Sprintf(`requests_total{job="j",instance="%d",code="200"} 0+10x240`, i),
			fmt.Sprintf(`requests_total{job="j",instance="%d",code="500"} 0+1x240`, i))
	}
}

// costOf is how many samples the rules of an SLO load an hour.
func (b *ruleEngine) costOf(s *slo.SLO, naming Naming) int64 {
	b.t.Helper()
	before := b.loaded
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: naming}, 0, time.Minute)
	once := b.loaded - before // both groups
	b.run(s, Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: naming}, time.Minute, 2*time.Minute)
	minute := b.loaded - before - 2*once // the group "slots" alone
	windows := once - minute
	// The engine's statistics leave out what a subquery loads of an expression.
	counters := s.Indicator.Measure().(slo.Counters)
	total, bad := newCounters(counters.Total), newCounters(counters.Bad)
	job := target{"on (job, instance)", siblings(total, bad), total, split{}}
	before = b.loaded
	_, err := b.instant(b.t.Context(), job.all().text, b.epoch)
	require.NoError(b.t, err)
	return 60*(minute+b.loaded-before) + 12*windows
}
