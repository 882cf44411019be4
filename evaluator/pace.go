package evaluator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/slo"
)

// pace is how often the samples come, in an hour, whose newest values an expression
// takes. A backend has the value of a sample for 5 minutes, or until a scrape finds its
// series gone. Of what may come later than that the last sample of twice the usual time
// is asked for, so that its value is there until the next one.
type pace struct {
	hour Minute // its beginning
	expr string // what is asked

	dense bool  // all of them come so often that what is not there is gone
	usual int64 // the longest usual time between samples that may come later, in milliseconds; 0 for none
	often int64 // the shortest usual time of all: how often the values are new, in milliseconds; 0 for unknown
}

// paceRange is what paces are asked of, and from which hour to which.
type paceRange struct {
	expr        string
	first, last Minute
}

const (
	hourly Minute = 60
	// paceOf is how long before its hour a pace is taken of.
	paceOf Minute = 4 * 60
	// paceLate is how long before the hour that ends, for samples that come late.
	paceLate Minute = 15
	// paceTaste is the last of that time, in which samples are counted first: where they
	// are many, nobody looks closer.
	paceTaste Minute = 24
	// densest is the longest usual time between samples of which two are within the
	// lookback, in milliseconds.
	densest = lookback * 10 / 21
)

// hourOf is the beginning of the hour of an instant.
func hourOf(m Minute) Minute { return m - (m%hourly+hourly)%hourly }

// paced reports whether a meter takes what is there at the ends of slots.
func (m *meter) paced() bool {
	l, is := m.indicator.Measure().(slo.Levels)
	return is && l.Remember == 0
}

// pace finds the paces of what is read next of an entry. Those that were asked for
// others, such as groups of the same SLO, are known.
func (b *reader) pace(ctx context.Context, e *entry, from, to Minute, known map[paceRange][]pace) error {
	for i, m := range e.book.plan.meters {
		if !m.paced() {
			continue
		}
		l := e.book.parts[i].accounts.(*levels)
		first, last := hourOf(from+1), hourOf(to)
		kept := slices.DeleteFunc(slices.Clone(l.paces), func(p pace) bool { return p.hour < first || p.hour > last })
		if n := len(kept); n > 0 {
			first = kept[n-1].hour + hourly
		}
		of := paceRange{m.queries[0].expr, first, last}
		found, ok := known[of]
		if !ok {
			var err error
			if found, err = b.paces(ctx, of.expr, first, last); err != nil {
				return err
			}
			known[of] = found
		}
		l.paces = slices.Concat(kept, found)
		for i := range l.paces {
			l.paces[i].dense = l.paces[i].dense && len(m.queries[0].only) == 0 // of a group others may be
		}
	}
	return nil
}

// paces are the paces of an expression in hours.
func (b *reader) paces(ctx context.Context, expr string, first, last Minute) ([]pace, error) {
	var out []pace
	for hour := first; hour <= last; hour += hourly {
		out = append(out, pace{hour: hour, expr: expr})
	}
	if len(out) == 0 {
		return nil, nil
	}
	selectors := instants(expr)
	usual := make([]map[string]int64, len(out)) // of each selector, by its text
	for _, v := range selectors {
		text := slo.NewSelector(v.LabelMatchers...).String()
		found, err := b.usualOf(ctx, slo.NewSelector(v.LabelMatchers...), first, last)
		switch {
		case errors.Is(err, errTooLarge), errors.Is(err, errMemory):
			continue // so many do not come seldom
		case refused(err):
			return out, nil // what it is asked for will say so
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
	more := asksMore(expr, selectors)
	for i := range out {
		if out[i].dense = len(selectors) > 0; more {
			out[i].often = densest
		}
		for _, each := range usual[i] {
			out[i].dense = out[i].dense && each > 0 && each <= densest
			if each > densest {
				out[i].usual = max(out[i].usual, each)
			}
			if each > 0 && (out[i].often == 0 || each < out[i].often) {
				out[i].often = each
			}
		}
		if out[i].usual > 0 {
			out[i].expr = lasting(expr, selectors, usual[i])
		}
	}
	return out, nil
}

// usualOf is the usual time between samples of a selector's series in hours, in
// milliseconds: densest for what comes at least as often, 0 for what is unknown.
func (b *reader) usualOf(ctx context.Context, s slo.Selector, first, last Minute) ([]int64, error) {
	out := make([]int64, (last-first)/hourly+1)
	const taste = time.Duration(paceTaste) * time.Minute
	most, err := b.queryRange(ctx, "max(count_over_time("+s.Range(taste)+"))", first-paceLate, last-paceLate, hourly)
	if err != nil {
		return nil, err
	}
	for _, v := range most {
		for _, x := range v.samples {
			if i := (slotEnd(x.t) + paceLate - first) / hourly; x.v > float64(taste.Milliseconds()/densest+1) {
				out[i] = densest
			}
		}
	}
	for from := 0; from < len(out); from++ {
		if out[from] != 0 {
			continue
		}
		to := from + 1 // of hours in a row without many
		for to < len(out) && out[to] == 0 {
			to++
		}
		at := first + Minute(from)*hourly - paceLate
		length := paceOf + Minute(to-1-from)*hourly
		series, err := b.query(ctx, s.Range(time.Duration(length)*time.Minute), (at - paceOf + length).Time())
		if err != nil {
			return nil, err
		}
		for ; from < to; from, at = from+1, at+hourly {
			out[from] = usualIn(series, (at - paceOf).millis(), at.millis())
		}
	}
	return out, nil
}

// usualIn is the usual time between two samples of a time, of the series that has the
// most; 0 for less than three. What is longer than a minute is rounded to minutes, so
// that a sample that comes late changes nothing. What comes each hour has jitter too.
func usualIn(series []vector, from, to int64) int64 {
	least, most := int64(0), 2
	for _, v := range series {
		samples := between(v.samples, from, to)
		if len(samples) < max(most, 3) {
			continue
		}
		usual := usualGap(samples)
		if len(samples) > most || usual < least {
			least, most = usual, len(samples)
		}
	}
	if least > 60_000 {
		least = (least + 30_000) / 60_000 * 60_000
	}
	if least > maxPush+maxPush/10 {
		return 0
	}
	return min(least, maxPush)
}

// usualGap is the median of the times between samples, in milliseconds; of two in the
// middle the shorter one.
func usualGap(samples []sample) int64 {
	gaps := make([]int64, len(samples)-1)
	for i := range gaps {
		gaps[i] = samples[i+1].t - samples[i].t
	}
	slices.Sort(gaps)
	return gaps[(len(gaps)-1)/2]
}

// instants are the selectors of an expression whose newest values count, but those
// whose time is asked for.
func instants(expr string) []*parser.VectorSelector {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil // MetricsQL's own
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

// asksMore reports whether an expression has other selectors, such as rate(x[5m]): their
// values are new with each slot.
func asksMore(expr string, selectors []*parser.VectorSelector) bool {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	return err == nil && len(parser.ExtractSelectors(e)) > len(selectors)
}

// lasting is an expression in which the values of selectors with long times between
// samples last until the next one is due twice over.
func lasting(expr string, selectors []*parser.VectorSelector, usual map[string]int64) string {
	selectors = slices.SortedFunc(slices.Values(selectors), func(a, b *parser.VectorSelector) int {
		return cmp.Compare(b.PosRange.Start, a.PosRange.Start)
	})
	for _, v := range selectors {
		each := usual[slo.NewSelector(v.LabelMatchers...).String()]
		if each <= densest {
			continue
		}
		long := &parser.MatrixSelector{VectorSelector: v, Range: (time.Duration(twice(each)) * time.Millisecond).Round(time.Second)}
		expr = expr[:v.PosRange.Start] + "last_over_time(" + long.String() + ")" + expr[v.PosRange.End:]
	}
	return expr
}

// values asks for the values of an expression at the ends of slots, each step, by its
// paces.
func (b *reader) values(ctx context.Context, q query, from, to, step Minute) ([]vector, error) {
	var out []vector
	at := map[string]int{} // where the series are
	for from <= to {
		expr, end := q.asked(from), from
		for end+step <= to && q.asked(end+step) == expr {
			end += step
		}
		answer, err := b.queryRange(ctx, expr, from, end, step)
		if err != nil {
			return nil, err
		}
		if end+step > to && out == nil {
			return answer, nil
		}
		for _, v := range answer {
			key := labels.FromMap(v.labels).String()
			i, ok := at[key]
			if !ok {
				i, at[key] = len(out), len(out)
				out = append(out, vector{labels: v.labels})
			}
			out[i].samples, out[i].nans = append(out[i].samples, v.samples...), append(out[i].nans, v.nans...)
		}
		from = end + step
	}
	return out, nil
}

// asked is what is asked for the slot that ends at an instant.
func (q *query) asked(end Minute) string {
	if p := paceAt(q.paces, end); p.expr != "" {
		return p.expr
	}
	return q.expr
}

// paceAt is the pace of the slot that ends at an instant, the zero pace where it is
// not known.
func paceAt(all []pace, end Minute) pace {
	i, found := slices.BinarySearchFunc(all, hourOf(end), func(p pace, hour Minute) int { return cmp.Compare(p.hour, hour) })
	if !found {
		return pace{}
	}
	return all[i]
}

// paceNote says how values last, by the newest of paces; "" where each is there for 5
// minutes.
func paceNote(paces []pace) string {
	if len(paces) == 0 || paces[len(paces)-1].usual == 0 {
		return ""
	}
	usual := paces[len(paces)-1].usual
	return fmt.Sprintf("samples come each %s: a value lasts until the next sample, for at most %s", minutesText(usual), minutesText(twice(usual)))
}

func minutesText(millis int64) string {
	return model.Duration((time.Duration(millis) * time.Millisecond).Round(time.Minute)).String()
}
