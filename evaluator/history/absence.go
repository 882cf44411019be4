package history

import (
	"context"
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Cause returns why a selector's series ended at an instant, by the metric `up`; "" if
// that is unknown. If there are more than a hundred targets, it checks a hundred.
func (b *Reader) Cause(ctx context.Context, s slo.Selector, ended time.Time, end timeline.Minute) string {
	ended = ended.Add(time.Second) // queries have whole seconds
	answer, err := b.Query(ctx, fmt.Sprintf("count by (%s) (%s)", slo.LabelList(b.TargetLabels...), s), ended)
	if err != nil || len(b.TargetLabels) == 0 {
		return ""
	}
	targets := map[string]bool{}
	var keys []string
	for _, series := range b.RawSeries(answer) {
		if len(keys) < maxTargets && series.Labels.Len() > 0 {
			targets[series.Target] = true
			keys = append(keys, series.Target)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	ups, _ := b.targetSelector("up", keys)
	answer, err = b.Query(ctx, ups.String(), end.Time())
	if err != nil {
		return ""
	}
	up := map[string]bool{} // as any replica sees it
	for _, series := range b.RawSeries(answer) {
		if targets[series.Target] && len(series.Samples) == 1 {
			up[series.Target] = up[series.Target] || series.Samples[0].V != 0
		}
	}
	down := 0
	for _, is := range up {
		if !is {
			down++
		}
	}
	switch {
	case down > 0 && len(keys) == 1:
		return "target down"
	case down > 0:
		return fmt.Sprintf("%d of %d targets down", down, len(keys))
	case len(up) > 0:
		return "series gone, though the target is up"
	}
	if answer, err = b.Query(ctx, ups.String(), ended); err != nil || len(answer) == 0 {
		return ""
	}
	return "target gone"
}
