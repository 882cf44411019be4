package spec

import (
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// checkSense warns of what can be read but was probably not meant.
func checkSense(v yamlfile.Value, f fields, s *slo.SLO) {
	if s.Objective == (slo.Objective{}) || s.Indicator == nil || s.Window.Length == 0 {
		return
	}
	at := f.get("objective")
	every, what := time.Minute, "minutes"
	switch m := s.Indicator.Measure().(type) {
	case slo.Levels:
	case slo.Runs:
		every, what = m.Every, "runs"
	default:
		every = 0
	}
	if s.Slice != nil {
		every, what = s.Slice.Length.Duration(), "slices"
	}
	if every > 0 {
		n := float64(s.Window.Length.Duration() / every)
		if allowed := s.Objective.Allowed(n); n == 0 {
			at.Warnf("make the window longer", "in most windows of %s no run is due: there is one each %s", s.Window, slo.Window(every))
		} else if allowed < 1 {
			at.Warnf("one bad one spends the whole budget; take a lower objective or a longer window",
				"objective %s allows %s bad of the %s %s of %s", s.Objective.Percent(),
				strconv.FormatFloat(allowed, 'g', 2, 64), strconv.FormatFloat(n, 'f', -1, 64), what, s.Window)
		}
	}
	if c, ok := s.Indicator.Measure().(slo.Counters); ok {
		checkPart(v, c)
	}
}

// checkPart warns of bad events that can't be among all events.
func checkPart(v yamlfile.Value, c slo.Counters) {
	total, ok := c.Total.Plain()
	part, isBad := c.Bad.Plain()
	if !isBad {
		part, _ = c.Good.Plain()
	}
	if !ok || part.IsZero() || part.Name() != total.Name() {
		return
	}
	all, named := map[string]*labels.Matcher{}, map[string]bool{}
	for _, b := range total.Matchers() {
		if b.Type == labels.MatchEqual {
			all[b.Name] = b
		}
	}
	for _, a := range part.Matchers() {
		named[a.Name] = true
		if b := all[a.Name]; b != nil && a.Name != labels.BucketLabel && a.Type == labels.MatchEqual && a.Value != b.Value {
			v.Warnf("total selects the good events and the bad ones", "what is counted has %s=%q, and total has %s=%q", a.Name, a.Value, b.Name, b.Value)
			return
		}
	}
	for _, b := range total.Matchers() {
		if !named[b.Name] {
			v.Warnf("select by "+b.Name+" in both or in none: what is counted is a part of all events", "total has %s, and what is counted has no %s", b, b.Name)
			return
		}
	}
}
