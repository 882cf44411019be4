package alerting

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Check returns findings about the policies of SLOs: errors for policies that don't exist,
// and warnings for tiers of users' own policies that can't work.
func (p Policies) Check(slos []*slo.SLO) []slo.Finding {
	var out []slo.Finding
	builtIn, names := BuiltIn(), slices.Sorted(maps.Keys(p))
	hints := map[string]string{} // by names that no policy has
	for _, s := range slos {
		name := s.Alerting.Policy
		policy, known := p[name]
		_, ours := builtIn[name]
		switch {
		case ours && len(p.Tiers(s)) == 0 && slices.ContainsFunc(policy.Tiers, func(t Tier) bool { return t.Runs > 0 }):
			out = append(out, slo.Finding{SLO: s, Field: "alerting.policy", Message: fmt.Sprintf("policy %s counts runs in a row, and this SLO counts %s, so that nothing ever alerts", name, s.Unit()),
				Hint: "choose a policy with factors, such as default"})
		case name == "" || ours:
			if d := p.neverPages(s); len(d) > 0 {
				out = append(out, slo.Finding{SLO: s, Field: "slice", Message: d[0], Hint: d[1]})
			}
		case !known:
			hint, made := hints[name]
			if !made {
				hint = "there are: " + strings.Join(names, ", ")
				if near := yamlfile.Nearest(name, names); near != "" {
					hint = "did you mean " + near + "? " + hint
				}
				hints[name] = hint
			}
			out = append(out, slo.Finding{SLO: s, Field: "alerting.policy", Wrong: true,
				Message: "there is no alert policy " + name, Hint: hint})
		default:
			for _, d := range policy.doubts(s) {
				out = append(out, slo.Finding{SLO: s, Field: "alerting.policy", Message: "policy " + name + ": " + d[0], Hint: d[1]})
			}
			if len(p.Tiers(s)) == 0 {
				out = append(out, slo.Finding{SLO: s, Field: "alerting.policy", Message: fmt.Sprintf("policy %s has no tier for a window of %s, so that nothing ever alerts", name, s.Window),
					Hint: "add a tier with shorter windows"})
			}
		}
	}
	return out
}

// doubts returns messages with their hints about tiers that can't work for an SLO.
func (p Policy) doubts(s *slo.SLO) [][2]string {
	var out [][2]string
	doubt := func(hint, format string, args ...any) {
		out = append(out, [2]string{fmt.Sprintf(format, args...), hint})
	}
	most := s.Objective.BurnRate(1, 1) // of a total outage
	for _, written := range p.Tiers {
		t := written.scaled(s, leastWindow(s))
		if t.Runs > 0 {
			if t.dropped(s) {
				doubt("choose a policy with factors", "tier %s is left out, for it counts runs in a row, and this SLO counts %s", t.Name, s.Unit())
			}
			continue
		}
		if t.dropped(s) {
			doubt("the budget itself tells what a longer window would; shorten the tier's, or the SLO's is too short for it",
				"tier %s is left out, for its window of %s is more than a quarter of %s", t.Name, t.Long, s.Window)
			continue
		}
		if written.BadShare == 0 && written.Factor >= most {
			doubt(fmt.Sprintf("the burn rate when %s of the events fail, %s, stands in for it", Share(outageShare), humanize.Digits(t.Factor, 3)),
				"tier %s can't be reached: when all events fail the budget burns %s times too fast, not %s", t.Name, humanize.Digits(most, 3), humanize.Digits(written.Factor, 3))
		}
		out = append(out, t.hindrances(s)...)
	}
	return out
}

// hindrances returns messages with their hints about why a tier of an SLO can't begin even
// if all events are bad.
func (t Tier) hindrances(s *slo.SLO) [][2]string {
	var out [][2]string
	hinders := func(hint, format string, args ...any) {
		out = append(out, [2]string{fmt.Sprintf("tier %s can't begin: "+format, append([]any{t.Name}, args...)...), hint})
	}
	if takes := ratio(t.Long, s.Window.Length) * s.Objective.BurnRate(1, 1); t.MinBudget > takes {
		hinders("lower min_budget, or make the window longer",
			"when all events of even traffic fail for %s they take %s of the budget, less than its min_budget of %s",
			t.Long, Share(takes), Share(t.MinBudget))
	}
	switch n := mostEvents(s, t.Long); {
	case n == 0:
	case t.MinBad > n:
		hinders("lower min_bad, or make the window longer",
			"%s holds %s, less than its min_bad of %s", t.Long, eventsText(n), humanize.Digits(t.MinBad, 3))
	case t.Significance > 0 && !BeyondChance(n, n, s.Objective, t.Significance):
		hinders("raise significance, or make the window longer",
			"%s holds %s, and that all are bad is no evidence of a significance of %s",
			t.Long, eventsText(n), humanize.Digits(t.Significance, 3))
	}
	return out
}

func eventsText(n float64) string {
	if n == 1 {
		return "one event"
	}
	return humanize.Decimal(math.Round(n)) + " events"
}

// neverPages returns a message with its hint if no tier that pages can begin although the
// SLO file wants pages.
func (p Policies) neverPages(s *slo.SLO) []string {
	if s.Alerting.Page.Disabled {
		return nil
	}
	why, longest := fmt.Sprintf("its windows are more than a quarter of %s", s.Window), slo.Window(0)
	for _, t := range p.Tiers(s) {
		if t.Severity != slo.Page {
			continue
		}
		if t.Runs > 0 {
			return nil
		}
		hindered := t.hindrances(s)
		if len(hindered) == 0 {
			return nil
		}
		if t.Long > longest {
			why, longest = hindered[0][0], t.Long
		}
	}
	hint := "take shorter slices or a longer window, or write page: {disabled: true} when tickets are enough"
	if runInterval(s) > 0 {
		hint = "choose a policy of your own without significance, or write page: {disabled: true} when the ticket of a spent budget is enough"
	}
	return []string{
		fmt.Sprintf("policy %s never pages: %s", p.Chosen(s).Name, why),
		hint,
	}
}

// mostEvents returns how many events a window holds at most, 0 if that is unknown.
func mostEvents(s *slo.SLO, w slo.Window) float64 {
	every := runInterval(s)
	if _, isLevels := s.Indicator.Measure().(slo.Levels); isLevels {
		every = time.Minute
	}
	if _, isParts := s.Indicator.Measure().(slo.Parts); isParts {
		every = time.Minute
	}
	if s.Slice != nil {
		every = s.Slice.Length.Duration()
	}
	if every == 0 {
		return 0
	}
	return float64((w.Duration() + every - 1) / every)
}
