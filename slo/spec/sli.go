package spec

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
)

// sliKeys are the kinds of indicators, in the order of the documentation.
var sliKeys = []string{"events", "latency", "probe", "threshold", "freshness", "runs"}

// indicators are the parsers of the kinds of indicators, by their key. The
// labels by are those that groups differ in.
var indicators = map[string]func(v yamlfile.Value, by []string) slo.Indicator{
	"events":    parseEvents,
	"latency":   parseLatency,
	"probe":     parseProbe,
	"threshold": parseThreshold,
	"freshness": parseFreshness,
	"runs":      parseRuns,
}

func parseIndicator(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map(sliKeys...)
	if v.Present() && len(m.Entries) == 0 && v.IsMap() {
		v.Errorf("", "sli needs one of: %s", strings.Join(sliKeys, ", "))
	}
	if len(m.Entries) > 1 {
		m.Entries[1].Key.Errorf("make two SLOs of it", "sli has exactly one indicator, found %s and %s",
			m.Entries[0].Key.Text(), m.Entries[1].Key.Text())
	}
	i := slices.IndexFunc(sliKeys, m.Has)
	if i < 0 {
		return nil
	}
	key := sliKeys[i]
	if !m.Get(key).Present() {
		m.Key(key).Errorf("", "%s is empty", key)
		return nil
	}
	return indicators[key](m.Get(key), by)
}

// duration reads a duration as Go writes it, 1.5s, or as Prometheus does, 1d.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		var m model.Duration
		m, err = model.ParseDuration(text)
		d = time.Duration(m)
	}
	return d, err
}

// parseDuration reads a duration that is at least as long as least.
func parseDuration(v yamlfile.Value, what string, least time.Duration) time.Duration {
	text := v.Text()
	if text == "" {
		return 0
	}
	d, err := duration(text)
	switch {
	case err != nil:
		v.Errorf("", "%s %q is not a duration such as 1h30m or 26h", what, text)
	case d < least:
		v.Errorf("slowburn looks once a minute", "%s %s is less than %s", what, text, model.Duration(least))
	case d > time.Duration(slo.MaxWindow):
		v.Errorf("", "%s %s is more than 1y", what, text)
	case d%time.Second != 0:
		v.Errorf("", "%s %s is not a whole number of seconds", what, text)
	}
	return d
}

func parseProbe(v yamlfile.Value, _ []string) slo.Indicator {
	metric := v.Map("metric").Require("metric")
	s := expr.ParseSelector(metric, "gauge")
	if n := s.Name(); expr.CounterName.MatchString(n) {
		metric.Warnf("a probe is 1 when its target is fine and 0 when it is not, such as probe_success or up", "%s looks like a counter", n)
	}
	return slo.Probe{States: slo.States{Gauge: s}}
}

// operators are how a threshold compares.
var operators = []string{"==", "<", "<=", ">", ">=", "!="}

func parseThreshold(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map("query", "op", "value")
	l := slo.Levels{Query: expr.ParseValues(m.Require("query"), by), Op: operator(m)}
	value := m.Require("value")
	if text := value.Number(); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			value.Errorf("", "value %s is not a number such as 0.5", text)
		}
		l.Value = n
	}
	checkFilter(m.Get("query"))
	return slo.Threshold{Levels: l}
}

// operator reads an operator, in quotes or not: YAML takes > for the beginning
// of a text and != for a tag.
func operator(m yamlfile.Map) string {
	v := m.Get("op")
	if w := v.Written(); w == ">" || w == "!=" {
		return w
	}
	return m.Require("op").OneOf("op", operators...)
}

func parseFreshness(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map("timestamp", "max_age")
	checkJobs(m.Get("timestamp"), lastJob)
	return slo.Freshness{Levels: slo.Levels{
		Query:  expr.ParseValues(m.Require("timestamp"), by),
		MaxAge: parseDuration(m.Require("max_age"), "max_age", time.Minute),
	}}
}

func parseRuns(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map("succeeded", "failed", "last_success", "every", "grace")
	byCount, byTime := m.Has("succeeded") || m.Has("failed"), m.Has("last_success") || m.Has("every") || m.Has("grace")
	switch {
	case !v.IsMap():
		return slo.JobRuns{}
	case byCount == byTime:
		v.Errorf("", "runs needs succeeded and failed, or last_success and every")
		return slo.JobRuns{}
	case byCount:
		good, bad := m.Require("succeeded"), m.Require("failed")
		for _, each := range []yamlfile.Value{good, bad} {
			checkJobs(each, "write last_success and every; "+lastJob)
		}
		a, b := expr.ParseNumber(good, by, ""), expr.ParseNumber(bad, by, "")
		if !a.IsZero() && !b.IsZero() && same(a, b) {
			bad.Errorf("", "succeeded and failed select the same series")
		}
		return slo.JobRuns{Numbers: expr.NewMeasure(a, b, expr.Number{}, by)}
	}
	checkJobs(m.Get("last_success"), lastJob)
	return slo.JobRuns{Numbers: slo.Runs{
		LastSuccess: expr.ParseValues(m.Require("last_success"), by),
		Every:       parseDuration(m.Require("every"), "every", time.Minute),
		Grace:       parseDuration(m.Get("grace"), "grace", 0),
	}}
}

func parseEvents(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map("good", "bad", "total", "type")
	kind := m.Get("type").OneOf("type", slo.CounterType, slo.DeltaType, slo.RateType)
	numbers := map[string]expr.Number{}
	for _, key := range []string{"good", "bad", "total"} {
		numbers[key] = expr.ParseNumber(m.Get(key), by, kind)
	}
	found := written(m, "good", "bad", "total")
	mistyped := len(m.Entries) > len(written(m, "good", "bad", "total", "type"))
	switch {
	case !v.IsMap() || mistyped:
	case len(found) == 0:
		v.Errorf("", "events needs two of good, bad and total, found none")
	case len(found) == 1:
		v.Errorf("", "events needs two of good, bad and total, found only %s", found[0])
	case len(found) == 3:
		v.Errorf("leave one out; slowburn derives it from the others", "events needs two of good, bad and total, found all three")
	}
	for _, pair := range [][2]string{{"good", "bad"}, {"bad", "total"}, {"good", "total"}} {
		a, b := numbers[pair[0]], numbers[pair[1]]
		if !a.IsZero() && !b.IsZero() && same(a, b) {
			m.Get(pair[1]).Errorf(`one should select a part, such as code=~"5.."`, "%s and %s select the same series", pair[0], pair[1])
		}
	}
	checkParts(m, numbers)
	if kind == slo.DeltaType || kind == slo.RateType {
		return slo.Events{Numbers: slo.Increments{Good: numbers["good"].Counter, Bad: numbers["bad"].Counter, Total: numbers["total"].Counter, PerSecond: kind == slo.RateType}}
	}
	return slo.Events{Numbers: expr.NewMeasure(numbers["good"], numbers["bad"], numbers["total"], by)}
}

func same(a, b expr.Number) bool {
	if a.Counter.IsZero() || b.Counter.IsZero() {
		return a.Rate.Query == b.Rate.Query
	}
	return a.Counter.String() == b.Counter.String()
}

// written are those of the keys that a mapping has.
func written(m yamlfile.Map, keys ...string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return !m.Has(key) })
}
