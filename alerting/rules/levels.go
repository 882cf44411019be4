package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo"
)

// level is what a series does as long as nothing changes.
type level struct {
	kind levelKind
	n    float64 // the value of a gauge, what a counter rises by in a minute, what a clock counts in a second
}

type levelKind int

const (
	flat levelKind = iota
	rises
	ticks
)

// line is a level for some minutes.
type line struct {
	level
	minutes int
}

// drawn are lines one after the other, each as its first value, its rise and how
// often it rises.
func drawn(lines []line) [][3]float64 {
	out := make([][3]float64, 0, len(lines))
	minute, count := 0, 0.0
	for i, l := range lines {
		more := float64(l.minutes - 1)
		switch l.kind {
		case flat:
			out = append(out, [3]float64{l.n, 0, more})
		case ticks:
			out = append(out, [3]float64{float64(minute) * 60 * l.n, 60 * l.n, more})
		case rises:
			if i > 0 {
				count += l.n
			}
			out = append(out, [3]float64{count, l.n, more})
			count += l.n * more
		}
		minute += l.minutes
	}
	return out
}

// notation are lines as promtool reads them.
func notation(lines ...line) string {
	n := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	var out []string
	for _, d := range drawn(lines) {
		out = append(out, n(d[0])+"+"+n(d[1])+"x"+n(d[2]))
	}
	return strings.Join(out, " ")
}

// values are lines as they are minute by minute.
func values(lines ...line) []float64 {
	var out []float64
	for _, d := range drawn(lines) {
		for i := 0.0; i <= d[2]; i++ {
			out = append(out, d[0]+i*d[1])
		}
	}
	return out
}

// sought is what series should make of expressions.
type sought struct {
	queries []string
	more    map[string]string // labels of the series, and of what expressions give
	edge    float64           // a value that may tell good from bad
	levels  []level           // beside those of counters and gauges
	// events are the good and the bad ones of a slot that ends then, when these are
	// the values of the expressions.
	events func(at time.Time, values [][]memprom.Value) (good, bad float64)
	eval   evaluation
}

// evaluation evaluates an expression over series.
type evaluation func(query string, at time.Time, series []memprom.Series) ([]memprom.Value, error)

// found are series by which expressions are good, and bad.
type found struct {
	series    []labels.Labels
	good, bad []level
	events    [2]float64 // of a good slot, and of a bad one
	lag       int        // the minutes by which expressions look back
	badAlone  bool       // they are bad when nothing happens, too
}

const (
	// mostTries bounds the levels of series that are tried together, mostSamples what
	// that takes, and mostPairs the good and bad ones that are tried one after the other.
	mostTries, mostSamples, mostPairs = 4096, 10_000_000, 64
	// longestLag is how many minutes an expression may look back.
	longestLag = 3 * 24 * 60
	// mostCopies is how many series of a selector are tried.
	mostCopies = 20
)

// find looks for series, and for levels of these, by trying them.
func (q sought) find() (found, bool) {
	selectors, numbers, lag, err := reads(q.queries)
	if err != nil || lag > longestLag {
		return found{}, false
	}
	counters, gauges := []level{{rises, 0}, {rises, busy}}, around(1, q.edge)
	for _, copies := range []int{1, 1 + int(max(0, min(q.edge, mostCopies)))} {
		series := q.standIns(selectors, copies)
		for _, levels := range [][]level{counters, gauges, slices.Concat(q.levels, counters, gauges), slices.Concat(counters, around(numbers...))} {
			if f, ok := q.among(series, levels, lag); ok {
				return f, true
			}
		}
	}
	return found{}, false
}

// around are gauges of 0, of values, and a bit more and less.
func around(values ...float64) []level {
	out := []level{{flat, 0}}
	for _, v := range values {
		for _, l := range []level{{flat, v}, {flat, v - 1}, {flat, v + 1}} {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}

// reads are the selectors of expressions, the numbers in them, and how many minutes
// they look back.
func reads(queries []string) (selectors []slo.Selector, numbers []float64, minutes int, err error) {
	for _, text := range queries {
		e, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			return nil, nil, 0, err
		}
		back := time.Duration(0)
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				back += max(n.OriginalOffset, 0)
				selectors = append(selectors, slo.NewSelector(n.LabelMatchers...))
			case *parser.NumberLiteral:
				numbers = append(numbers, n.Val)
			case *parser.MatrixSelector:
				back += n.Range
			case *parser.SubqueryExpr:
				back += n.Range + max(n.OriginalOffset, 0)
			}
			return nil
		})
		minutes = max(minutes, int(math.Ceil(back.Minutes())))
	}
	return selectors, numbers, minutes, nil
}

// standIns are series that the selectors select, with copies of each. Of buckets
// they are one below the edge, one above it and that of all.
func (q sought) standIns(selectors []slo.Selector, copies int) [][]labels.Labels {
	var out [][]labels.Labels
	seen := map[string]bool{}
	for _, s := range selectors {
		l, ok := firstOf(s, q.more)
		if !ok {
			return nil
		}
		bounds := []string{l.Get(model.BucketLabel)}
		if strings.HasSuffix(l.Get(model.MetricNameLabel), "_bucket") && bounds[0] == "" {
			bounds = []string{floatText(max(q.edge, 0) / 10), floatText(max(q.edge, 0)*10 + 1), "+Inf"}
		}
		for _, bound := range bounds {
			first := labels.NewBuilder(l).Set(model.BucketLabel, bound).Labels()
			if seen[first.String()] {
				continue
			}
			seen[first.String()] = true
			same := []labels.Labels{first}
			for i := range copies - 1 {
				same = append(same, labels.NewBuilder(first).Set("copy", strconv.Itoa(i)).Labels())
			}
			out = append(out, same)
		}
	}
	return out
}

// among tries all combinations of levels: first each for itself, then the good ones
// with bad ones and good ones behind them.
func (q sought) among(series [][]labels.Labels, levels []level, lag int) (found, bool) {
	tries := math.Pow(float64(len(levels)), float64(len(series)))
	if len(series) == 0 || tries > mostTries || tries*float64(len(series)*len(series[0])*(lag+10)) > mostSamples {
		return found{}, false
	}
	var goods, bads []found
	for n := range int(tries) {
		f := found{lag: lag}
		for _, same := range series {
			for _, l := range same {
				f.series, f.good = append(f.series, l), append(f.good, levels[n%len(levels)])
			}
			n /= len(levels)
		}
		f.bad = f.good
		good, bad := q.at(f, lag+5, lag+10)
		switch f.events = [2]float64{good, bad}; {
		case good > 0 && bad == 0:
			goods = append(goods, f)
		case bad > 0 && good == 0:
			bads = append(bads, f)
		}
	}
	pairs := 0
	for _, f := range goods {
		for _, b := range bads {
			f.bad, f.events[1] = b.bad, b.events[1]
			if pairs++; pairs <= mostPairs && q.holds(f) {
				f.badAlone = q.badAlone(f)
				return f, true
			}
		}
	}
	return found{}, false
}

// holds reports whether the expressions are good, bad and good again in time, with
// as many events in each minute.
func (q sought) holds(f found) bool {
	for i := range f.series {
		if (f.good[i].kind == rises) != (f.bad[i].kind == rises) {
			return false // none is a counter and a gauge
		}
	}
	phase := f.lag + 10
	for i, bad := range []int{0, 1, 0} {
		for _, minute := range []int{f.lag + 5, phase - 1} {
			var got [2]float64
			got[0], got[1] = q.at(f, i*phase+minute, phase, phase, phase)
			if got[1-bad] != 0 || math.Abs(got[bad]-f.events[bad]) > 1e-6*f.events[bad] {
				return false
			}
		}
	}
	return true
}

// badAlone reports whether expressions are bad when nothing happens.
func (q sought) badAlone(f found) bool {
	alone := found{}
	if !slices.ContainsFunc(f.good, func(l level) bool { return l.kind != rises }) {
		alone.series, alone.good = f.series, make([]level, len(f.series))
	}
	_, bad := q.at(alone, f.lag+5, f.lag+10)
	return bad > 0
}

// at are the events of a minute when the series are good, bad and good again for
// so many minutes.
func (q sought) at(f found, minute int, phases ...int) (good, bad float64) {
	var data []memprom.Series
	for i, l := range f.series {
		var lines []line
		for n, minutes := range phases {
			if n%2 == 0 {
				lines = append(lines, line{f.good[i], minutes})
			} else {
				lines = append(lines, line{f.bad[i], minutes})
			}
		}
		data = append(data, memprom.Series{Labels: l, Values: values(lines...)})
	}
	now := time.Unix(int64(minute)*60, 0)
	var all [][]memprom.Value
	for _, query := range q.queries {
		v, err := q.eval(query, now, data)
		if err != nil || !q.labelled(v) {
			return 0, 0
		}
		all = append(all, v)
	}
	return q.events(now, all)
}

// labelled reports whether values have the labels of groups.
func (q sought) labelled(v []memprom.Value) bool {
	return !slices.ContainsFunc(v, func(s memprom.Value) bool {
		for name, value := range q.more {
			if s.Labels.Get(name) != value {
				return true
			}
		}
		return false
	})
}
