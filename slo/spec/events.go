package spec

import (
	"slices"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
)

func parseEvents(v yamlfile.Value, by []string) slo.Indicator {
	m := v.Map("good", "bad", "total", "type")
	kind := oneOf(m.Get("type"), "type", slo.CounterType, slo.DeltaType, slo.RateType)
	numbers := map[string]expr.Number{}
	for _, key := range []string{"good", "bad", "total"} {
		numbers[key] = expr.ParseNumber(m.Get(key), by, kind)
	}
	found := written(m, "good", "bad", "total")
	if mistyped := len(m.Entries) > len(written(m, "good", "bad", "total", "type")); v.IsMap() && !mistyped && len(found) != 2 {
		hint := ""
		if len(found) == 3 {
			hint = "leave one out; slowburn derives it from the others"
		}
		v.Errorf(hint, "events needs two of good, bad and total, found %s", counted(found))
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

func counted(keys []string) string {
	switch len(keys) {
	case 0:
		return "none"
	case 1:
		return "only " + keys[0]
	}
	return "all three"
}
