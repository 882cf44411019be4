package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/slo"
)

// newCounting makes the expressions for an indicator that is no worst_of, whose
// recorded series sel selects, of the SLO or by groups.
func newCounting(i slo.Indicator, sel string, o Options, by split) (counting, error) {
	switch m := i.Measure().(type) {
	case slo.Counters:
		_, isLatency := i.(slo.Latency)
		return countCounters(m, isLatency, o.TargetLabels, by)
	case slo.Increments:
		return countIncrements(m, by)
	case slo.States:
		return countStates(m, sel, by), nil
	case slo.Rates:
		return countRates(m, o, by)
	case slo.Runs:
		return countRuns(m, sel, o, by)
	case slo.Levels:
		if m.MaxAge > 0 {
			return countAges(m, sel, o, by)
		}
		return countLevels(m, sel, o, by)
	}
	return counting{}, fmt.Errorf("rules don't know the indicator %s", i.Kind())
}

// slotEnd is the time of the end of the slot that slot evaluates at, as a scalar.
const slotEnd = "scalar(last_over_time(vector(time())[1m:1m] offset 30s))"

// each evaluates an expression as slot does, and keeps its labels. Where
// Prometheus 2 evaluates the slot before as well, series that are gone since
// stay a slot longer.
func each(expr string) string {
	return "last_over_time((\n" + expr + "\n)[1m:1m] offset 30s) > -Inf"
}

// memory is what rules remember by a recorded series that goes on by itself. Its
// values are times; it is forgotten when they are long ago.
type memory struct {
	now  string // what there is to remember now
	keep time.Duration
	one  bool // of the SLO or of each group, not of each series
}

// The series that hold memories: of what is measured, and of whether a slot of
// the SLO was known.
const (
	remembered = "slo:remembered:timestamp"
	lastKnown  = "slo:known:timestamp"
)

// expr is the rule of a recorded series of this SLO, that sel selects. An hour
// without evaluations forgets all. Where the SLO was split by other labels before,
// what was remembered then is not remembered beside the same of now.
func (m memory) expr(name, sel string, by split) string {
	last := "last_over_time(" + name + "{" + sel + "}[1h]) >= " + slotEnd + " - " + seconds(m.keep)
	switch {
	case len(by.labels) == 0:
	case m.one:
		last = "max" + by.by() + "(" + last + ")"
	default:
		last = "max without (slo_id) (" + last + ")"
	}
	return m.now + "\nor ignoring (slo_id, slo_service, slo, slo_part)\n" + last
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// recent are the samples that this evaluation of the group recorded.
func recent(name, sel string) string { return "last_over_time(" + name + "{" + sel + "}[30s])" }

// values are an expression as PromQL reads it: a vector without values that are
// no numbers. Only MetricsQL may know it, which vmalert's datasource reads.
func (o Options) values(query string) (string, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	switch {
	case err != nil && o.VMAlert:
		return "(" + query + "\n) >= -Inf", nil // behind a comment that may end it
	case err != nil:
		return "", fmt.Errorf("only VictoriaMetrics reads its query (PromQL says: %w)", err)
	}
	text := "(" + e.String() + ")"
	if e.Type() == parser.ValueTypeScalar {
		text = "vector" + text
	}
	return text + " >= -Inf", nil
}

// apart keeps series apart that differ only in their name, which a recorded
// series does not have.
func apart(expr string) string {
	return `label_replace(` + expr + `, "slo_metric", "$1", "__name__", "(.+)")`
}

// goneAfter is how old the newest sample of a gauge is before it can be gone:
// two scrapes a minute apart.
const goneAfter = 2 * time.Minute

// countStates has for each series one event in each slot with samples. Slots
// between two samples are known, as those of counters are.
func countStates(m slo.States, sel string, by split) counting {
	gauge, slotOf := m.Gauge.String(), m.Gauge.Range(time.Minute)
	c := counting{
		total: by.slot("count" + by.by() + "(last_over_time(" + slotOf + "))\nor 0 * count" + by.by() + "(" + gauge + " and " + m.Gauge.Offset(time.Minute) + ")"),
		other: by.slot("count" + by.by() + "(min_over_time(" + slotOf + ") == 0)"),
	}
	if m.Absent {
		c.memory = memory{each("timestamp(" + gauge + ")"), slo.Remembrance, false}
		gone := "count" + by.by() + "(\n" + recent(remembered, sel) + " < " + slotEnd + " - " + seconds(goneAfter) +
			"\nunless ignoring (slo_id, slo_service, slo, slo_part)\n(" + each(gauge) + ")\n)"
		more := func(n string) string {
			if len(by.labels) > 0 {
				return by.summed([]string{n, gone})
			}
			return "(" + n + ") + (" + gone + " or vector(0))\nor " + gone
		}
		c.total, c.other = more(c.total), more(c.other)
	}
	return c
}

// slotSamples are the samples of a slot. A range is closed on the left in Prometheus 2
// and open in 3; this one holds no sample of two slots.
const slotSamples = time.Minute - time.Millisecond

// countIncrements adds up the samples of gauges. Those of events per second count for
// a minute: their average in the slot, or the last one before it.
func countIncrements(m slo.Increments, by split) (counting, error) {
	form := func(c counter) string {
		slot := c.selector.Range(slotSamples)
		text := "sum_over_time(" + slot + ")"
		if m.PerSecond {
			text = "60 * (avg_over_time(" + slot + ") or " + c.text + ")"
		}
		return "  clamp_min(" + text + ", 0) * " + floatText(c.weight)
	}
	sum := func(lists ...[]counter) string {
		var terms []string
		for _, c := range slices.Concat(lists...) {
			terms = append(terms, form(c))
		}
		return by.summed(terms)
	}
	// all are 0 in a slot between two samples.
	all := func(lists ...[]counter) string {
		return by.slot(sum(lists...) + "\nor 0 * count" + by.by() + "(" + there(slices.Concat(lists...)) + ")")
	}
	good, bad, total := newCounters(m.Good), newCounters(m.Bad), newCounters(m.Total)
	switch {
	case len(total) == 0:
		return counting{total: all(good, bad), other: by.slot(sum(bad))}, nil
	case len(good) == 0:
		return counting{total: all(total), other: by.slot(sum(bad))}, nil
	}
	return counting{total: all(total), other: by.slot(sum(good)), good: true}, nil
}

// countLevels has one event in each slot with values, a bad one unless all of
// them are good.
func countLevels(t slo.Levels, sel string, o Options, by split) (counting, error) {
	v, err := o.values(t.Query)
	all, none, now := "count"+by.by()+"("+v+")", "vector(0)", "vector(time()) and on () ("+v+")"
	if len(by.labels) > 0 {
		none = "0 * " + all
		now = none + " + time()"
	}
	bad := all + " - (count" + by.by() + "((" + v + ") " + t.Op + " " + floatText(t.Value) + ") or " + none + ")"
	c := counting{total: by.slot("clamp_max(" + all + ", 1)"), other: by.slot("clamp_max(" + bad + ", 1)")}
	if t.Absent {
		c.memory = memory{by.slot(now), slo.Remembrance, true}
		c.total = "clamp_max(count" + by.by() + "(" + recent(remembered, sel) + "), 1)"
		c.other += "\nor " + c.total
	}
	return c, err
}

// countAges has one event in each slot, a bad one when any timestamp is too
// old. One that is gone goes on ageing.
func countAges(f slo.Levels, sel string, o Options, by split) (counting, error) {
	v, err := o.values(f.Query)
	last := recent(remembered, sel)
	return counting{
		memory: memory{each(apart(v)), f.MaxAge + slo.Remembrance, false},
		total:  "clamp_max(count" + by.by() + "(" + last + "), 1)",
		other:  "clamp_max(count" + by.by() + "(" + slotEnd + " - " + last + " > " + seconds(f.MaxAge) + "), 1)",
	}, err
}

// justNow is how old the first success that is seen of a job may be for it to
// count as a run that was seen, in seconds.
const justNow = "300"

// countRuns has a good event for each new time of a success, and a bad one for
// each run after it that was due, at the end of its grace.
func countRuns(r slo.Runs, sel string, o Options, by split) (counting, error) {
	v, err := o.values(r.LastSuccess)
	last, before := recent(remembered, sel), "last_over_time("+remembered+"{"+sel+"}[1h] offset 30s)"
	due := func(before string) string {
		return "clamp_min(floor((" + slotEnd + before + " - " + seconds(r.Grace) + " - " + last + ") / " + seconds(r.Every) + "), 0)"
	}
	missed := "sum" + by.by() + "(\n" + due("") + "\n- " + due(" - 60") + "\n)"
	succeeded := "count" + by.by() + "(\n" + last + " > " + before +
		"\nor " + last + " unless " + before + " and " + last + " >= " + slotEnd + " - " + justNow + "\n)"
	none := "vector(0)"
	if len(by.labels) > 0 {
		none = "0 * " + missed
	}
	return counting{
		memory: memory{each(apart("(" + v + " >= 0) <= 1e11")), r.Every + r.Grace + slo.Remembrance, false},
		total:  missed + "\n+ (" + succeeded + " or " + none + ")",
		other:  missed,
	}, err
}

// countRates has the numbers of events that expressions give.
func countRates(r slo.Rates, o Options, by split) (counting, error) {
	var errs error
	form := func(x slo.Rate) string {
		v, err := o.values(x.Query)
		if err != nil {
			errs = err
		}
		return "  clamp_min(" + v + ", 0) * " + floatText(x.Factor)
	}
	sum := func(rates ...slo.Rate) string {
		var terms []string
		for _, x := range rates {
			terms = append(terms, form(x))
		}
		return by.summed(terms)
	}
	// all is the sum of some rates, unknown while any of them or of others has no
	// finite number.
	all := func(rates, others []slo.Rate) string {
		text := sum(rates...)
		for _, x := range slices.Concat(rates, others) {
			if strings.Contains(x.Query, "/") {
				v, _ := o.values(x.Query)
				text = "(" + text + ")\nunless " + by.on() + " (" + v + " > " + mostEvents + ")"
			}
		}
		return by.slot(text)
	}
	total, good, bad := []slo.Rate{r.Total}, []slo.Rate{r.Good}, []slo.Rate{r.Bad}
	switch {
	case r.Total.Query == "":
		return counting{total: all(slices.Concat(good, bad), nil), other: by.slot(sum(r.Bad))}, errs
	case r.Good.Query == "":
		return counting{total: all(total, bad), other: by.slot(sum(r.Bad))}, errs
	}
	return counting{total: all(total, good), other: by.slot(sum(r.Good)), good: true}, errs
}

// mostEvents is how many events can be counted in a slot, as the evaluator takes it.
const mostEvents = "1208925819614629174706176"
