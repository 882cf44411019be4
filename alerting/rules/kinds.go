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
		return countCounters(m, isLatency, sel, o, by)
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
func slotEnd() expr { return raw("scalar(last_over_time(vector(time())[1m:1m] offset 30s))") }

// atSlotEnd evaluates an expression at the newest end of a slot that is at least 30 s
// ago: the steps of a subquery are multiples of its resolution, however Prometheus
// shifts the rule group within its interval.
func atSlotEnd(e expr) expr {
	return enclosed("last_over_time((", []expr{e}, ")[1m:1m] offset 30s)").above("-Inf")
}

// each evaluates an expression as slot does, and keeps its labels. Where
// Prometheus 2 evaluates the slot before as well, series that are gone since
// stay a slot longer.
func each(e expr) expr { return atSlotEnd(e) }

// memory is a recorded series that reads itself, so that it stays when its source is gone.
// Its values are times. It ends when they are long ago.
type memory struct {
	now  expr // what there is to remember now
	keep time.Duration
	one  bool // of the SLO or of each group, not of each series
}

// The series that hold memories: of what is measured, and of whether a slot of
// the SLO was known.
const (
	remembered = "slo:remembered:timestamp"
	lastKnown  = "slo:known:timestamp"
)

// unidentified matches series with recorded ones of the SLO.
const unidentified = "ignoring (slo_id, slo_service, slo, slo_part)"

// expr is the rule of a recorded series of this SLO, that sel selects.
func (m memory) expr(name, sel string, by split) expr {
	return m.now.orOn(unidentified, m.before(name, sel, by))
}

// before returns the memory of the last evaluation. An hour without evaluations forgets all. Where the SLO
// was split by other labels before, what was remembered then is not remembered beside
// the same of now.
func (m memory) before(name, sel string, by split) expr {
	last := overTime("last", name+"{"+sel+"}", "1h").is(">=", slotEnd().minus(raw(seconds(m.keep))))
	switch {
	case len(by.labels) == 0:
	case m.one:
		last = by.aggregate("max", last)
	default:
		last = call("max without (slo_id) ", last)
	}
	return last
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// recent are the samples that this evaluation of the group recorded.
func recent(name, sel string) expr { return overTime("last", name+"{"+sel+"}", "30s") }

// values are an expression as PromQL reads it: a vector without values that are
// no numbers. Only MetricsQL may read it, which is that of vmalert's datasource.
func (o Options) values(query string) (expr, error) {
	anyNumber := func(e expr) expr { return e.is(">=", raw("-Inf")) }
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	switch {
	case err != nil && o.VMAlert:
		return anyNumber(enclosed("(", []expr{raw(query + "\n")}, ")")), nil // after a comment that may end it
	case err != nil:
		return expr{}, fmt.Errorf("only VictoriaMetrics reads its query (PromQL says: %w)", err)
	}
	own := e.String()
	if len(own) > width {
		own = parser.Prettify(e)
	}
	in := "("
	if e.Type() == parser.ValueTypeScalar {
		in = "vector("
	}
	return anyNumber(enclosed(in, []expr{raw(own)}, ")")), nil
}

// apart keeps series apart that differ only in their name, which a recorded
// series does not have.
func apart(e expr) expr { return relabelled(e, "slo_metric", "$1", "__name__", "(.+)") }

// goneAfter is how old the newest sample of a gauge is before it can be gone:
// two scrapes a minute apart.
const goneAfter = 2 * time.Minute

// countStates has for each series one event in each slot with samples. Slots
// between two samples are known, as those of counters are.
func countStates(m slo.States, sel string, by split) counting {
	gauge, inSlot := raw(m.Gauge.String()), m.Gauge.Range(time.Minute)
	samples := call("last_over_time", raw(inSlot))
	bad := call("min_over_time", raw(inSlot)).is("==", raw("0"))
	c := counting{
		total: by.slot(or(by.aggregate("count", samples), by.aggregate("count", gauge.and(raw(m.Gauge.Offset(time.Minute)))).zero())),
		other: by.slot(by.aggregate("count", bad)),
	}
	if m.Absent {
		c.memory = memory{each(call("timestamp", gauge)), slo.Remembrance, false}
		old := recent(remembered, sel).is("<", slotEnd().minus(raw(seconds(goneAfter))))
		gone := by.aggregate("count", old.unlessOn(unidentified, each(gauge)))
		more := func(n expr) expr {
			if len(by.labels) > 0 {
				return by.summed([]expr{n, gone})
			}
			return or(n.plus(or(gone, raw("vector(0)"))), gone)
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
	form := func(c counter) expr {
		inSlot := raw(c.selector.Range(slotSamples))
		events := call("sum_over_time", inSlot)
		if m.PerSecond {
			events = raw("60").times(or(call("avg_over_time", inSlot), raw(c.text)))
		}
		return events.notNegative().times(raw(floatText(c.weight)))
	}
	sum := func(lists ...[]counter) expr {
		var terms []expr
		for _, c := range slices.Concat(lists...) {
			terms = append(terms, form(c))
		}
		return by.summed(terms)
	}
	// all are 0 in a slot between two samples.
	all := func(lists ...[]counter) expr {
		return by.slot(or(sum(lists...), by.aggregate("count", there(slices.Concat(lists...))).zero()))
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

// oneEvent is at most one event.
func oneEvent(e expr) expr { return e.atMost("1") }

// countLevels has one event in each slot with values, a bad one unless all of
// them are good.
func countLevels(t slo.Levels, sel string, o Options, by split) (counting, error) {
	v, err := o.values(t.Query)
	if err != nil {
		return counting{}, err
	}
	all, none, now := by.aggregate("count", v), raw("vector(0)"), raw("vector(time())").andOn("on ()", v)
	if len(by.labels) > 0 {
		none = all.zero()
		now = none.plus(raw("time()"))
	}
	good := by.aggregate("count", v.is(t.Op, raw(floatText(t.Value))))
	c := counting{total: by.slot(oneEvent(all)), other: by.slot(oneEvent(all.minus(or(good, none))))}
	if t.Absent {
		c.memory = memory{by.slot(now), slo.Remembrance, true}
		c.total = oneEvent(by.aggregate("count", recent(remembered, sel)))
		c.other = or(c.other, c.total)
	}
	return c, nil
}

// countAges has one event in each slot, a bad one when any timestamp is too
// old. One that is gone goes on ageing.
func countAges(f slo.Levels, sel string, o Options, by split) (counting, error) {
	v, err := o.values(f.Query)
	last := recent(remembered, sel)
	return counting{
		memory: memory{each(apart(v)), f.MaxAge + slo.Remembrance, false},
		total:  oneEvent(by.aggregate("count", last)),
		other:  oneEvent(by.aggregate("count", slotEnd().minus(last).above(seconds(f.MaxAge)))),
	}, err
}

// justNow is how old the first success that is seen of a job may be for it to
// count as a run that was seen, in seconds.
const justNow = "300"

// countRuns has a good event for each new time of a success, and a bad one for
// each run after it that was due, at the end of its grace.
func countRuns(r slo.Runs, sel string, o Options, by split) (counting, error) {
	v, err := o.values(r.LastSuccess)
	if err != nil {
		return counting{}, err
	}
	last := recent(remembered, sel)
	before := call("last_over_time", raw(remembered+"{"+sel+"}[1h] offset 30s"))
	due := func(at expr) expr {
		late := at.minus(raw(seconds(r.Grace))).minus(last)
		return call("floor", late.dividedBy(raw(seconds(r.Every)))).notNegative()
	}
	missed := by.aggregate("sum", due(slotEnd()).minus(due(slotEnd().minus(raw("60")))))
	first := last.unless(before).and(last.is(">=", slotEnd().minus(raw(justNow))))
	succeeded := by.aggregate("count", or(last.is(">", before), first))
	none := raw("vector(0)")
	if len(by.labels) > 0 {
		none = missed.zero()
	}
	times := v.is(">=", raw("0")).is("<=", raw("1e11"))
	return counting{
		memory: memory{each(apart(times)), r.Every + r.Grace + slo.Remembrance, false},
		total:  missed.plus(or(succeeded, none)),
		other:  missed,
	}, nil
}

// countRates has the numbers of events that expressions give.
func countRates(r slo.Rates, o Options, by split) (counting, error) {
	var errs error
	value := func(x slo.Rate) expr {
		v, err := o.values(x.Query)
		if err != nil {
			errs = err
		}
		return v
	}
	sum := func(rates ...slo.Rate) expr {
		var terms []expr
		for _, x := range rates {
			terms = append(terms, value(x).notNegative().times(raw(floatText(x.Factor))))
		}
		return by.summed(terms)
	}
	// all is the sum of some rates, unknown while any of them or of others has no
	// finite number.
	all := func(rates, others []slo.Rate) expr {
		events := sum(rates...)
		for _, x := range slices.Concat(rates, others) {
			if strings.Contains(x.Query, "/") {
				events = events.unlessOn(by.on(), value(x).above(mostEvents))
			}
		}
		return by.slot(events)
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
