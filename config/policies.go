package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// What a policy can have. Windows of tiers are at most a quarter of what they are
// written for.
const (
	minWindow = 5 * time.Minute
	maxWindow = 7 * 24 * time.Hour
	maxDelay  = 24 * time.Hour
)

// policies adds the users' own policies to those that are built in.
func (p *parser) policies(v yamlfile.Value) {
	builtIn := alerting.BuiltIn()
	for _, e := range v.Map().Entries {
		policy := alerting.Policy{Name: e.Key.Name("policy")}
		if _, ours := builtIn[policy.Name]; ours {
			e.Key.Errorf("give yours another name, and SLOs alerting: {policy: NAME}", "policy %s is built in", policy.Name)
		}
		list := e.Value.Map("tiers").Require("tiers")
		lines := map[string]int{} // of tiers, by their names
		for _, t := range entries(list) {
			tier, name := parseTier(t)
			if line, twice := lines[tier.Name]; twice && tier.Name != "" {
				name.Errorf("", "tier %s is there twice, first in line %d", tier.Name, line)
			}
			lines[tier.Name] = t.Line()
			policy.Tiers = append(policy.Tiers, tier)
		}
		if len(policy.Tiers) > alerting.MaxTiers {
			list.Errorf("", "a policy has %d tiers at most, this has %d", alerting.MaxTiers, len(policy.Tiers))
		}
		p.config.Policies[policy.Name] = policy
	}
}

// parseTier reads a tier. It also gives the value of its name.
func parseTier(v yamlfile.Value) (alerting.Tier, yamlfile.Value) {
	m := v.Map("name", "severity", "factor", "bad_share", "runs", "long", "short", "for", "keep_firing_for",
		"reset_factor", "min_bad", "min_budget", "significance")
	if !v.IsMap() {
		return alerting.Tier{}, v
	}
	name := m.Require("name")
	t := alerting.Tier{Name: name.Name("name")}
	m.Require("severity")
	choice(m, "severity", &t.Severity, slo.Page, slo.Ticket)
	if m.Has("runs") {
		t.Runs = runsInRow(m)
		return t, name
	}
	factor, share := m.Get("factor"), m.Get("bad_share")
	t.Factor, t.BadShare, t.Reset = positive(factor), percentage(share), positive(m.Get("reset_factor"))
	switch {
	case factor.Present() && share.Present():
		m.Key("bad_share").Errorf("make two tiers of it", "a tier has factor or bad_share, not both")
	case share.Present() && m.Has("reset_factor"):
		m.Key("reset_factor").Errorf("", "reset_factor is for tiers with a factor")
	case t.Reset > t.Factor && t.Factor > 0:
		m.Get("reset_factor").Errorf("", "reset_factor %s is more than factor", m.Get("reset_factor").Text())
	case factor.Present() || share.Present():
	case m.Has("bad_share"):
		m.Require("bad_share")
	default:
		m.Require("factor")
	}
	t.Long = slo.Window(minutes(m.Require("long"), minWindow, maxWindow))
	t.Short = slo.Window(minutes(m.Require("short"), minWindow, maxWindow))
	if t.Long > 0 && t.Short > t.Long {
		m.Get("short").Errorf("", "short is longer than long")
	}
	t.For = minutes(m.Get("for"), 0, maxDelay)
	t.KeepFiringFor = minutes(m.Get("keep_firing_for"), 0, maxDelay)
	t.MinBad = positive(m.Get("min_bad"))
	t.MinBudget = percentage(m.Get("min_budget"))
	if p := m.Get("significance"); p.Present() {
		if t.Significance = positive(p); t.Significance >= 1 {
			p.Errorf("it is the probability of a false alarm, such as 0.00001", "significance %s is not less than 1", p.Text())
		}
	}
	return t, name
}

// maxRuns is the most runs in a row that a tier can ask for.
const maxRuns = 1000

// runsInRow reads how many bad runs in a row make a tier begin, which has no windows.
func runsInRow(m yamlfile.Map) int {
	v := m.Get("runs")
	n, err := strconv.Atoi(v.Number())
	if v.Present() && v.IsScalar() && (err != nil || n < 1 || n > maxRuns) {
		v.Errorf("", "%s is not a whole number from 1 to %d", v.Text(), maxRuns)
	}
	for _, other := range []string{"factor", "bad_share", "long", "short", "for", "keep_firing_for", "reset_factor", "min_bad", "min_budget", "significance"} {
		if m.Has(other) {
			m.Key(other).Errorf("", "a tier with runs has no %s: it begins with the last of so many bad runs, and ends with the next good one", other)
		}
	}
	return n
}

// positive reads a number above 0.
func positive(v yamlfile.Value) float64 {
	text := v.Number()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= 1e12) {
		v.Errorf("", "%s is not a number above 0", text)
		return 0
	}
	return n
}

// percentage reads a share such as 2%, more than 0 and at most 100%, as a ratio.
func percentage(v yamlfile.Value) float64 {
	if !v.Present() || !v.IsScalar() {
		v.Text()
		return 0
	}
	digits, is := strings.CutSuffix(v.Text(), "%")
	n, err := strconv.ParseFloat(digits+"e-2", 64) // which is rounded once
	if !is || err != nil || !(n > 0 && n <= 1) {
		v.Errorf("", "%q is not a percentage such as 2%%, more than 0%% and at most 100%%", v.Text())
		return 0
	}
	return n
}

// minutes reads a duration of whole minutes.
func minutes(v yamlfile.Value, least, most time.Duration) time.Duration {
	if !v.Present() || !v.IsScalar() {
		v.Text()
		return 0
	}
	read, err := model.ParseDuration(v.Text())
	switch d := time.Duration(read); {
	case err != nil:
		v.Errorf("", "%q is not a duration such as 30m or 1h", v.Text())
	case d%time.Minute != 0 || d < least || d > most:
		v.Errorf("", "%s is not whole minutes from %s to %s", v.Text(), model.Duration(least), strings.Replace(model.Duration(most).String(), "1w", "7d", 1))
	default:
		return d
	}
	return 0
}
