package rules

import (
	"errors"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/slo"
)

// counting are the expressions that count the events of a slot.
type counting struct {
	memory memory // what they look back to; the zero value for nothing
	growth expr   // of which total and other are sums; the zero value for nothing
	total  expr   // the events of the slot; absent when the slot is unknown
	other  expr   // the events of the slot among the bad or the good ones
	good   bool   // other are the good ones
}

// countCounters fails unless exactly two counters are set.
func countCounters(c slo.Counters, isLatency bool, sel string, o Options, by split) (counting, error) {
	good, bad, total := newCounters(c.Good), newCounters(c.Bad), newCounters(c.Total)
	if isLatency {
		total[0].bucket = good[0].text
	}
	same := slices.Clone(o.TargetLabels)
	for _, name := range by.labels {
		if !slices.Contains(same, name) {
			same = append(same, name)
		}
	}
	t := target{"on (" + slo.LabelList(same...) + ")", siblings(total, good, bad), total, by}
	if isLatency { // the buckets of a histogram come and go with its count
		t.siblings = total
	}
	if both, ok := t.shared(slices.Concat(good, bad), sel); ok && !o.VMAlert { // which finds new series too late
		both.good = len(good) > 0
		return both, nil
	}
	switch {
	case len(good) == 0 && len(bad) > 0 && len(total) > 0:
		return counting{total: by.slot(t.all()), other: by.slot(t.delta(bad))}, nil
	case len(good) > 0 && len(bad) == 0 && len(total) > 0:
		return counting{total: by.slot(t.all()), other: by.slot(t.delta(good)), good: true}, nil
	case len(good) > 0 && len(bad) > 0 && len(total) == 0:
		t.clock = slices.Concat(good, bad)
		return counting{total: by.slot(t.all()), other: by.slot(t.delta(bad))}, nil
	}
	return counting{}, errors.New("the indicator needs two of good, bad and total")
}

// bad is the expression of the slot's bad events, given that of the sample of
// all its events that was just recorded, and what matches them. Counters that are
// missing while there is traffic count nothing; with no sample at all the slot is
// unknown. Total minus good may be negative, so that what two counters say at
// different moments evens out over a window.
func (c counting) bad(events expr, on string) expr {
	other := c.other.orOn(on, events.zero())
	switch {
	case c.good:
		return infix(events, "- "+on, other)
	case c.growth.text != "": // of which bad events are a part
		return other
	}
	return other.andOn(on, events)
}

// grown are the series of what counters grew by in the newest slot, by the labels in which
// bad events differ from others.
const grown = "slo:slot:growth"

// shared counts all events and some of them by one reading, where the counter of those
// is that of all with more matchers.
func (t target) shared(some []counter, sel string) (counting, bool) {
	if len(t.clock) != 1 || len(some) != 1 || some[0].weight != t.clock[0].weight || some[0].once {
		return counting{}, false
	}
	more, ok := t.clock[0].selector.More(some[0].selector)
	total, by := t.split, slices.Clone(t.split.labels)
	part := sel
	for _, m := range more {
		ok = ok && !slices.Contains([]string{model.MetricNameLabel, "slo_id", "slo_service", "slo", "slo_part"}, m.Name)
		by, part = append(by, m.Name), part+","+m.String()
	}
	slices.Sort(by)
	t.split = split{slices.Compact(by), grown + "{" + sel + "}"}
	return counting{
		growth: t.split.slot(t.all()),
		total:  total.aggregate("sum", recent(grown, sel)),
		other:  total.aggregate("sum", recent(grown, part)),
	}, ok && len(more) > 0
}

// target says what is known about scraped processes: by which labels series
// belong to the same one, which series tell that it was there, and which count
// all events.
type target struct {
	on       string // "on (job, instance)", and the labels of groups
	siblings []counter
	clock    []counter // total, or good and bad
	split    split
}

// siblings are the counters to look at for evidence. A counter whose matchers
// include those of one before adds nothing.
func siblings(lists ...[]counter) []counter {
	var out []counter
	for _, c := range slices.Concat(lists...) {
		if !slices.ContainsFunc(out, c.within) {
			out = append(out, c)
		}
	}
	return out
}

// growth is how much each series of c grew in the slot: its last value in the
// slot minus the last value before it. Nothing is extrapolated, and consecutive
// slots leave nothing out. By the first rule that fits:
//
//   - On evidence, a series counts from zero on that was absent at the start of the
//     slot, unless it had a value in the last half hour and its target did not restart
//     since. (A label set returns after a restart.)
//   - A series that fell within the slot counts from its value at the start of it to
//     where it fell, and then from zero: its process restarted.
//   - A series counts from its last value of the last half hour.
//   - A series that fell since counts from zero.
//
// What a new series counted may be old where there is no evidence.
func (t target) growth(c counter) expr {
	newest, highest, before := c.newest(), c.highest(), c.before()
	last := c.last()
	known := or(before, c.lastSample().unlessOn(t.on, t.restarted()))
	return or(
		newest.unless(known).andOn(t.on, t.evidence()),
		newest.is("<", highest).plus(highest.minus(before).notNegative()),
		newest.minus(last).is(">=", raw("0")),
		newest.is("<", last))
}

// all are all events of the slot. They are 0 where no series grew and there were samples at
// the start and at the end of the slot.
func (t target) all() expr {
	return t.sum(t.clock, func(c counter) expr { return or(t.growth(c), c.now().and(c.before()).zero()) })
}

// delta is how much all series of counters grew in the slot.
func (t target) delta(counters []counter) expr { return t.sum(counters, t.growth) }

// sum adds up a form of counters, each weighted.
func (t target) sum(counters []counter, form func(counter) expr) expr {
	var terms []expr
	for _, c := range counters {
		term := c.bucketed(form(c))
		if c.weight != 1 {
			term = term.times(raw(floatText(c.weight)))
		}
		terms = append(terms, term)
	}
	return t.split.summed(terms)
}

// summed is the sum of all series of vectors, for each group. One of these may be
// missing, and a label distinguishes their series.
func (p split) summed(terms []expr) expr {
	if len(terms) == 1 {
		return p.aggregate("sum", terms[0])
	}
	labelled := make([]expr, len(terms))
	for i, term := range terms {
		labelled[i] = relabelled(term, "slo_counter", strconv.Itoa(i), "", "")
	}
	return p.aggregate("sum", or(labelled...))
}

// relabelled is label_replace.
func relabelled(e expr, name, replacement, source, pattern string) expr {
	return call("label_replace", e, quoted(name), quoted(replacement), quoted(source), quoted(pattern))
}

func floatText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// there are the series with samples at both ends of the slot.
func there(counters []counter) expr {
	return ofAny(counters, func(c counter) expr { return c.now().and(c.before()) })
}

// ofAny are the series of any of the counters, in a form.
func ofAny(counters []counter, form func(counter) expr) expr {
	parts := make([]expr, 0, len(counters))
	for _, c := range counters {
		parts = append(parts, form(c))
	}
	return or(parts...)
}

// evidence are series of targets that restarted in the slot, or that were there
// at both ends of it while none of their series ended: what is new in these has
// counted from zero.
func (t target) evidence() expr {
	ended := ofAny(t.siblings, func(c counter) expr { return c.before().unless(c.now()) })
	fell := ofAny(t.siblings, func(c counter) expr { return c.now().is("<", c.before()) })
	return or(there(t.siblings).unlessOn(t.on, ended), fell)
}

// restarted are series that fell in the slot or in the half hour before it.
func (t target) restarted() expr {
	return ofAny(t.clock, func(c counter) expr { return c.resets().above("0") })
}

const (
	// gap is for how long before the slot a series may be absent and still go
	// on from its last value.
	gap = "30m"
	// gapAndSlot is for how long before the end of the slot a restart matters:
	// it may have ended a series gap ago.
	gapAndSlot = "31m"
)

// counter prints a selector of counters in the forms that rules need.
type counter struct {
	named    bool // all series have one name
	weight   float64
	selector slo.Selector
	text     string
	once     bool   // series that differ in le only are one bucket, written in several ways
	bucket   string // selects the buckets at a threshold; "" unless c counts observations
}

func newCounters(c slo.Counter) []counter {
	var out []counter
	for _, t := range c {
		out = append(out, counter{t.Selector.Name() != "", t.Weight, t.Selector, t.Selector.String(), t.Selector.IsRespelled(), ""})
	}
	return out
}

// now are the series at the end of the slot.
func (c counter) now() expr { return c.distinct(raw(c.text)) }

// before are the series at the start of the slot.
func (c counter) before() expr { return c.distinct(raw(c.text + " offset 1m")) }

// newest are the last samples in the slot. Prometheus 2 also takes one exactly
// at its start, which adds 0.
func (c counter) newest() expr { return c.distinct(overTime("last", c.text, "1m")) }

// highest are the highest samples in the slot, of those each 10 s where names
// have to be distinguished.
func (c counter) highest() expr {
	if c.named {
		return c.distinct(overTime("max", c.text, "1m"))
	}
	return enclosed("max_over_time(", []expr{c.now()}, "[1m:10s])")
}

// bucketed leaves out the observations of histograms that lack the bucket at
// the threshold: how many of them were slow is unknown.
func (c counter) bucketed(e expr) expr {
	if c.bucket == "" {
		return e
	}
	return e.andOn("ignoring (le)", overTime("last", c.bucket, "1m"))
}

// lastSample are the last samples before the slot, of series that may have ended.
func (c counter) lastSample() expr {
	return c.distinct(call("last_over_time", raw(c.text+"["+gap+"] offset 1m")))
}

// last are the last samples before the slot. Of a bucket whose bound was written in
// another way before, they are those of now.
func (c counter) last() expr {
	if c.once {
		return or(c.before(), c.lastSample())
	}
	return c.lastSample()
}

// resets are how often the series fell in the slot and the half hour before.
func (c counter) resets() expr {
	if c.named {
		return call("resets", raw(c.text+"["+gapAndSlot+"]"))
	}
	return enclosed("resets(", []expr{c.now()}, "["+gapAndSlot+":1m])")
}

// distinct keeps series apart that differ only in their name, which
// arithmetic, functions and set operators drop or overlook, and makes one of those
// that are one bucket.
func (c counter) distinct(e expr) expr {
	switch {
	case c.named && c.once:
		return call("max without (le) ", e)
	case c.named:
		return e
	}
	return apart(e)
}

// within reports whether all series of c are series of d, as far as their
// matchers tell.
func (c counter) within(d counter) bool {
	_, ok := d.selector.More(c.selector)
	return ok
}
