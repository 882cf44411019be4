package inspect

import (
	"context"
	"math"
	"strings"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// excess finds more bad or good events in a day than all events in that day and the one
// before. Some events may be counted before they are judged.
func (x *inspector) excess(ctx context.Context, m *plan.Input) error {
	part, code := counting.RoleBad, "bad"
	switch m.Counted {
	case counting.RoleGood | counting.RoleTotal:
		part, code = counting.RoleGood, "good"
	case counting.RoleBad | counting.RoleTotal:
	default:
		return nil
	}
	grown := func(r counting.Role, length timeline.Minute) (string, bool) {
		var terms []string
		for _, q := range m.Queries {
			if q.Role != r {
				continue
			}
			if q.Way != plan.RawSamples || q.Weight != 1 {
				return "", false
			}
			terms = append(terms, "("+x.Increase(q.Selector, length)+" or vector(0))")
		}
		return strings.Join(terms, " + "), len(terms) > 0
	}
	const day = 24 * 60
	some, one := grown(part, day)
	all, two := grown(counting.RoleTotal, 2*day)
	if m.NewMethod != nil || !one || !two {
		return nil
	}
	events, _, err := x.number(ctx, some, x.end)
	if err != nil || !evaluator.Exceeds(events, 0) {
		return err
	}
	total, _, err := x.number(ctx, all, x.end)
	if err != nil || !evaluator.Exceeds(events, total) {
		return err
	}
	x.concern(false, x.fieldFor(counting.RoleTotal), "it must count all events, the bad ones among them; or give good and bad",
		"there were %s %s events in the last day, and %s events in the last two: the total leaves some out", humanize.Decimal(math.Round(events)), code, humanize.Decimal(math.Round(total)))
	return nil
}
