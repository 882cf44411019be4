package evaluator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// askAgain is how long it is not asked again what became of targets, in minutes.
	askAgain = 5
	// maxAsked bounds for how many selectors that is asked at once: when all of a
	// backend is silent, the first tell enough.
	maxAsked = 20
)

// absence is why a part of a ledger has no data, as far as its targets tell.
type absence struct {
	cause string
	asked Minute
}

// findAbsences asks what became of the targets of those jobs that are silent.
func findAbsences(ctx context.Context, b *reader, jobs []*job, end Minute) {
	found := map[string]string{}
	for _, l := range jobs {
		if l.err != nil {
			continue
		}
		i := slices.IndexFunc(l.book.parts, func(p part) bool { return p.silent(end) })
		if i < 0 || l.book.parts[i].newest == 0 {
			l.absence = absence{}
			continue
		}
		clock := l.meters[i].clockQuery()
		if clock == nil || clock.selector.IsZero() || l.absence.asked != 0 && end-l.absence.asked < askAgain {
			continue
		}
		cause, known := found[clock.text()]
		if !known {
			if len(found) == maxAsked {
				continue
			}
			cause = b.cause(ctx, clock.selector, *l.book.parts[i].until(), end)
			found[clock.text()] = cause
		}
		l.absence = absence{cause, end}
	}
}

// cause tells from `up` why a selector's series ended at an instant; "" when that
// can't be told. Of more than a hundred targets a hundred stand for all.
func (b *reader) cause(ctx context.Context, s slo.Selector, ended time.Time, end Minute) string {
	ended = ended.Add(time.Second) // queries are at whole ones
	answer, err := b.query(ctx, fmt.Sprintf("count by (%s) (%s)", slo.LabelList(b.TargetLabels...), s), ended)
	if err != nil || len(b.TargetLabels) == 0 {
		return ""
	}
	targets := map[string]bool{}
	var keys []string
	for _, series := range b.rawSeries(answer) {
		if len(keys) < names && series.labels.Len() > 0 {
			targets[series.target] = true
			keys = append(keys, series.target)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	ups, _ := b.ofTargets("up", keys)
	answer, err = b.query(ctx, ups.String(), end.Time())
	if err != nil {
		return ""
	}
	up := map[string]bool{} // as any replica sees it
	for _, series := range b.rawSeries(answer) {
		if targets[series.target] && len(series.samples) == 1 {
			up[series.target] = up[series.target] || series.samples[0].v != 0
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
	if answer, err = b.query(ctx, ups.String(), ended); err != nil || len(answer) == 0 {
		return ""
	}
	return "target gone"
}
