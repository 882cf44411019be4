package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// paceRange is an expression and a range of hours, for which paces are found.
type paceRange struct {
	expr        string
	first, last timeline.Minute
}

// paceLength is the time before an hour from which its pace is measured, in minutes.
const paceLength timeline.Minute = 4 * 60

// paceDelay is how long before the hour that time ends, because samples may be late.
const paceDelay timeline.Minute = 15

// paceSample is the part at its end in which samples are counted first. If there are
// many, nothing more is read.
const paceSample timeline.Minute = 24

// pace finds the paces for the next piece of a Read. It uses those that another Read
// already found, such as for groups of the same SLO.
func (b *Reader) pace(ctx context.Context, e *Read, from, to timeline.Minute, known map[paceRange][]gauges.Pace) error {
	for i, m := range e.Record.Plan.Inputs {
		if !m.Paced() {
			continue
		}
		l := e.Record.Inputs[i].Counting.(*gauges.Values)
		first, last := gauges.HourOf(from+1), gauges.HourOf(to)
		kept := slices.DeleteFunc(slices.Clone(l.Paces), func(p gauges.Pace) bool { return p.Hour < first || p.Hour > last })
		if n := len(kept); n > 0 {
			first = kept[n-1].Hour + gauges.Hourly
		}
		wanted := paceRange{m.Queries[0].Expr, first, last}
		found, ok := known[wanted]
		if !ok {
			var err error
			if found, err = b.paces(ctx, wanted.expr, first, last); err != nil {
				return err
			}
			known[wanted] = found
		}
		paces := slices.Concat(kept, found)
		for i := range paces {
			paces[i].Dense = paces[i].Dense && len(m.Queries[0].Only) == 0 // a group may differ from the whole
		}
		l.SetPaces(paces)
	}
	return nil
}

// paces returns the paces of an expression in hours.
func (b *Reader) paces(ctx context.Context, expr string, first, last timeline.Minute) ([]gauges.Pace, error) {
	var out []gauges.Pace
	for hour := first; hour <= last; hour += gauges.Hourly {
		out = append(out, gauges.Pace{Hour: hour, Expr: expr})
	}
	if len(out) == 0 {
		return nil, nil
	}
	selectors := InstantSelectors(expr)
	usual := make([]map[string]int64, len(out)) // by the text of the selector
	for _, v := range selectors {
		text := slo.NewSelector(v.LabelMatchers...).String()
		found, err := b.usualOf(ctx, slo.NewSelector(v.LabelMatchers...), first, last)
		switch {
		case errors.Is(err, backend.ErrTooLarge), errors.Is(err, backend.ErrMemory):
			continue // so many samples don't come seldom
		case backend.Refused(err):
			return out, nil // the error of the next query is enough
		case err != nil:
			return nil, err
		}
		for i := range out {
			if usual[i] == nil {
				usual[i] = map[string]int64{}
			}
			usual[i][text] = found[i]
		}
	}
	more := HasRanges(expr, selectors)
	for i := range out {
		out[i].Dense = len(selectors) > 0
		if more {
			out[i].Often = gauges.Densest
		}
		for _, each := range usual[i] {
			out[i].Dense = out[i].Dense && each > 0 && each <= gauges.Densest
			if each > gauges.Densest {
				out[i].Usual = max(out[i].Usual, each)
			}
			if each > 0 && (out[i].Often == 0 || each < out[i].Often) {
				out[i].Often = each
			}
		}
		if out[i].Usual > 0 {
			out[i].Expr = lasting(expr, selectors, usual[i])
		}
	}
	return out, nil
}

// usualOf returns the usual time between samples of a selector's series in each hour, in
// milliseconds. It returns Densest for shorter times too, and 0 if it is unknown.
func (b *Reader) usualOf(ctx context.Context, s slo.Selector, first, last timeline.Minute) ([]int64, error) {
	out := make([]int64, (last-first)/gauges.Hourly+1)
	const taste = time.Duration(paceSample) * time.Minute
	most, err := b.QueryRange(ctx, "max(count_over_time("+s.Range(taste)+"))", first-paceDelay, last-paceDelay, gauges.Hourly)
	if err != nil {
		return nil, err
	}
	for _, v := range most {
		for _, x := range v.Samples {
			if i := (timeline.SlotEnd(x.T) + paceDelay - first) / gauges.Hourly; x.V > float64(taste.Milliseconds()/gauges.Densest+1) {
				out[i] = gauges.Densest
			}
		}
	}
	for from := 0; from < len(out); from++ {
		if out[from] != 0 {
			continue
		}
		to := from + 1 // end of the hours in a row without many samples
		for to < len(out) && out[to] == 0 {
			to++
		}
		at := first + timeline.Minute(from)*gauges.Hourly - paceDelay
		length := paceLength + timeline.Minute(to-1-from)*gauges.Hourly
		series, err := b.Query(ctx, s.Range(time.Duration(length)*time.Minute), (at - paceLength + length).Time())
		if err != nil {
			return nil, err
		}
		for ; from < to; from, at = from+1, at+gauges.Hourly {
			out[from] = usualIn(series, (at - paceLength).Millis(), at.Millis())
		}
	}
	return out, nil
}

// usualIn returns the usual time between two samples in (from, to], of the series with
// the most samples; 0 for fewer than three. Times over a minute are rounded to minutes,
// so that a late sample changes nothing. Hourly samples have jitter too.
func usualIn(series []backend.Series, from, to int64) int64 {
	least, most := int64(0), 2
	for _, v := range series {
		samples := backend.Between(v.Samples, from, to)
		if len(samples) < max(most, 3) {
			continue
		}
		usual := UsualGap(samples)
		if len(samples) > most || usual < least {
			least, most = usual, len(samples)
		}
	}
	if least > 60_000 {
		least = (least + 30_000) / 60_000 * 60_000
	}
	if least > counting.MaxPush+counting.MaxPush/10 {
		return 0
	}
	return min(least, counting.MaxPush)
}

// UsualGap returns the median of the times between samples, in milliseconds; of two in
// the middle the shorter one.
func UsualGap(samples []backend.Sample) int64 {
	gaps := make([]int64, len(samples)-1)
	for i := range gaps {
		gaps[i] = samples[i+1].T - samples[i].T
	}
	slices.Sort(gaps)
	return gaps[(len(gaps)-1)/2]
}

// InstantSelectors returns the selectors of an expression whose newest values are used,
// but not those whose timestamps are.
func InstantSelectors(expr string) []*parser.VectorSelector {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil // MetricsQL only
	}
	var out []*parser.VectorSelector
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && !slices.ContainsFunc(path, func(above parser.Node) bool {
			_, ranges := above.(*parser.MatrixSelector)
			call, calls := above.(*parser.Call)
			return ranges || calls && call.Func.Name == "timestamp"
		}) {
			out = append(out, v)
		}
		return nil
	})
	return out
}

// HasRanges reports whether an expression has other selectors, such as rate(x[5m]), whose
// values are new in each slot.
func HasRanges(expr string, selectors []*parser.VectorSelector) bool {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	return err == nil && len(parser.ExtractSelectors(e)) > len(selectors)
}

// lasting returns an expression in which the values of selectors with seldom samples last
// twice the usual time.
func lasting(expr string, selectors []*parser.VectorSelector, usual map[string]int64) string {
	selectors = slices.SortedFunc(slices.Values(selectors), func(a, b *parser.VectorSelector) int {
		return cmp.Compare(b.PosRange.Start, a.PosRange.Start)
	})
	for _, v := range selectors {
		each := usual[slo.NewSelector(v.LabelMatchers...).String()]
		if each <= gauges.Densest {
			continue
		}
		long := &parser.MatrixSelector{VectorSelector: v, Range: (time.Duration(timeline.TwoIntervals(each)) * time.Millisecond).Round(time.Second)}
		expr = expr[:v.PosRange.Start] + "last_over_time(" + long.String() + ")" + expr[v.PosRange.End:]
	}
	return expr
}

// values queries the values of an expression at the ends of slots, at each step, by its
// paces.
func (b *Reader) values(ctx context.Context, q plan.Query, from, to, step timeline.Minute) ([]backend.Series, error) {
	var out []backend.Series
	at := map[string]int{} // index of each series
	for from <= to {
		expr, end := q.ExprAt(from), from
		for end+step <= to && q.ExprAt(end+step) == expr {
			end += step
		}
		answer, err := b.QueryRange(ctx, expr, from, end, step)
		if err != nil {
			return nil, err
		}
		if end+step > to && out == nil {
			return answer, nil
		}
		for _, v := range answer {
			key := labels.FromMap(v.Labels).String()
			i, ok := at[key]
			if !ok {
				i, at[key] = len(out), len(out)
				out = append(out, backend.Series{Labels: v.Labels})
			}
			out[i].Samples, out[i].NaNs = append(out[i].Samples, v.Samples...), append(out[i].NaNs, v.NaNs...)
		}
		from = end + step
	}
	return out, nil
}
