package evaluator

import (
	"context"
	"math"
	"strings"
)

// excess asks whether more bad or good events were counted in a day than events, those
// of the day before included: some may be counted before they are judged.
func (x *inspector) excess(ctx context.Context, m *meter) error {
	part, code := roleBad, "bad"
	switch m.counted {
	case roleGood | roleTotal:
		part, code = roleGood, "good"
	case roleBad | roleTotal:
	default:
		return nil
	}
	grown := func(r role, length Minute) (string, bool) {
		var terms []string
		for _, q := range m.queries {
			if q.role != r {
				continue
			}
			if q.way != rawSamples || q.weight != 1 {
				return "", false
			}
			terms = append(terms, "("+x.increase(q.selector, length)+" or vector(0))")
		}
		return strings.Join(terms, " + "), len(terms) > 0
	}
	const day = 24 * 60
	some, one := grown(part, day)
	all, two := grown(roleTotal, 2*day)
	if m.fresh != nil || !one || !two {
		return nil
	}
	events, _, err := x.number(ctx, some, x.end)
	if err != nil || events < leastExcess {
		return err
	}
	total, _, err := x.number(ctx, all, x.end)
	if err != nil || events-total <= excessShare*total {
		return err
	}
	x.concern(false, fieldOf(x.slo.Indicator, roleTotal), "it must count all events, the bad ones among them; or give good and bad",
		"there were %s %s events in the last day, and %s events in the last two: the total leaves some out", forPeople(math.Round(events)), code, forPeople(math.Round(total)))
	return nil
}
