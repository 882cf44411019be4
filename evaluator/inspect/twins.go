package inspect

import (
	"context"
	"fmt"

	"github.com/slowburn-slo/slowburn/evaluator/history"
)

// twins checks whether a backend has several copies of each counter.
func (x *inspector) twins(ctx context.Context, s subject) error {
	n, _, err := x.number(ctx, "count("+s.Text()+")", x.end)
	if err != nil || n < 2 {
		return err
	}
	label := ""
	if n > history.MostTwins {
		label, err = x.TargetTwinLabel(ctx, s.Selector, x.end)
	} else if answer, failed := x.Query(ctx, s.Selector.Range(history.TwinsLength), x.end.Time()); failed != nil {
		err = failed
	} else {
		label = x.TwinLabel(x.RawSeries(answer))
	}
	if err == nil && label != "" {
		x.concern(false, s.field, fmt.Sprintf("write replica_labels: [%s] in the configuration of the backend, so that one of them counts", label),
			"%s has each counter more than once, as replicas see it, which differ in the label %s", s.Selector, label)
	}
	return err
}
