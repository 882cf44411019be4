package rules

import (
	"flag"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/alerting/scenario"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/ruler"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// longLag is by how many minutes windows over 6 h lag, at most.
const longLag = 22

var everyScenario = flag.Bool("scenarios", false, "play all scenarios by the rules, which takes a quarter of an hour")

// TestScenarios holds the rules of the default policy against what it must do on
// simulated services: on a few of them, unless all are asked for. Slots are given as
// the rules record them; all that follows is evaluated by the PromQL engine: sums and
// burn rates for all instants at once, and tiers and alerts, which read themselves,
// one after the other.
func TestScenarios(t *testing.T) {
	few := []string{"72/h, all fail for 1 h", "40/s, all fail for 1 h that is excluded"}
	if !testing.Short() {
		few = append(few, "0.5 to 80/s, all fail from 1:00 to 1:30")
	}
	played := 0
	for _, c := range scenario.All() {
		if !*everyScenario && !slices.Contains(few, c.Name) {
			continue
		}
		played++
		t.Run(c.Name, func(t *testing.T) {
			if c.Name == "72/h, 1 in 10 fails for 1 d" {
				c.Pages[1] = 30 // failures of one page are evidence for the next
			}
			s := c.SLO(slo.DefaultPolicy)
			s.Indicator = example(t, "", "bad_total", "all_total").Indicator
			if len(s.Exclusions) > 0 {
				require.NotEmpty(t, Refusal(s), "rules don't carry excluded time")
				return
			}
			p := playRules(t, c, s)
			require.Empty(t, c.Wrong(c.Tally(p), longLag), p.Episodes)
		})
	}
	require.GreaterOrEqual(t, played, len(few))
}

// playRules evaluates the rules of a scenario for the days around what happens in
// it.
func playRules(t *testing.T, c scenario.Scenario, s *slo.SLO) scenario.Played {
	t.Helper()
	db := servers.Embedded(t)
	var slots []timeline.Slot
	c.Play(1, func(_ int, slot timeline.Slot) []string {
		slots = append(slots, slot)
		return nil
	})
	start := scenario.Begin - timeline.Minute(c.Before())
	end := scenario.Begin + scenario.Minutes
	group := rules.NewGroup(rules.GroupOptions{Name: "slowburn/" + s.ID() + "/slots", File: "rules.yml", Interval: time.Minute, Opts: &rules.ManagerOptions{}})
	var total, bad []memprom.Sample
	for now := group.EvalTimestamp(start.Add(2 * time.Minute).Time().UnixNano()); now.Before(end.Time()); now = now.Add(time.Minute) {
		if slot := slots[slotAt(now)-start-1]; slot.Known {
			total = append(total, memprom.Sample{Time: now, Value: slot.Total})
			bad = append(bad, memprom.Sample{Time: now, Value: slot.Bad})
		}
	}
	for result, samples := range map[string][]memprom.Sample{"": total, "bad": bad} {
		l := labels.FromStrings("__name__", eventsOf("slot"), "result", result, "slo_id", s.ID(), "slo_service", s.Service, "slo", s.Name)
		require.NoError(t, db.Add(t.Context(), l, samples...))
	}
	from, to := during(c)
	evalInParts(t, db, s, start.Time(), (scenario.Begin + from).Time(), (scenario.Begin + to).Time())
	firing := map[timeline.Minute][]string{}
	for _, severity := range []string{slo.Page, slo.Ticket} {
		for _, x := range recorded(t, db, `ALERTS{alertstate="firing",severity="`+severity+`"}`) {
			m := slotAt(x.Time) - scenario.Begin - 1
			firing[m] = append(firing[m], severity)
		}
	}
	return c.Play(1, func(m int, _ timeline.Slot) []string { return firing[timeline.Minute(m)] })
}

// slotAt is the end of the newest slot that the rules count at an instant.
func slotAt(now time.Time) timeline.Minute { return timeline.MinuteOf(now.Add(-30 * time.Second)) }

// during are the days around the incidents of a scenario, or five of those without.
func during(c scenario.Scenario) (from, to timeline.Minute) {
	const day = 24 * 60
	if len(c.Incidents) == 0 {
		return 13 * day, 18 * day
	}
	last := c.Incidents[len(c.Incidents)-1][1]
	return timeline.Minute(c.Incidents[0][0] - day), timeline.Minute(min(last+2*day, scenario.Minutes))
}

// evalInParts evaluates the rules that read those of slots. What tiers and alerts read
// is evaluated series by series, tiers and alerts instant by instant.
func evalInParts(t *testing.T, db *memprom.DB, s *slo.SLO, start, from, to time.Time) {
	t.Helper()
	file, errs := rulefmt.Parse(ruleText(t, s), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	ranks := []string{
		"slo:quarter", "slo:long", "slo:window:events", "slo:window:bad_ratio", "slo_burn_rate", "slo_window_events",
		"slo_error_budget_events", "slo_coverage_ratio", "slo:window:budget", "slo:window:evidence",
	}
	reads := func(name string) int {
		return slices.IndexFunc(ranks, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	}
	var chain rulefmt.RuleGroups
	for rank := range ranks {
		for _, g := range file.Groups {
			interval := time.Duration(g.Interval)
			since := from.Add(-time.Hour)
			if rank == 0 {
				since = start
			}
			first := rules.NewGroup(rules.GroupOptions{Name: g.Name, File: "rules.yml", Interval: interval, Opts: &rules.ManagerOptions{}}).
				EvalTimestamp(since.Add(interval).UnixNano())
			for _, r := range g.Rules {
				if r.Alert != "" || reads(r.Record) != rank {
					continue
				}
				q, err := db.Engine().NewRangeQuery(t.Context(), db.Queryable(), nil, r.Expr, first, to, interval)
				require.NoError(t, err)
				record(t, db, r, q.Exec(t.Context()), to, interval)
				q.Close()
			}
		}
	}
	for _, g := range file.Groups {
		last := g
		last.Rules = nil
		for _, r := range g.Rules {
			if r.Annotations = nil; r.Alert != "" || strings.HasPrefix(r.Record, "slo:alert_tier") {
				last.Rules = append(last.Rules, r)
			}
		}
		if len(last.Rules) > 0 {
			chain.Groups = append(chain.Groups, last)
		}
	}
	text, err := yaml.Marshal(chain)
	require.NoError(t, err)
	require.NoError(t, ruler.Eval(t.Context(), db, text, from, to))
}
