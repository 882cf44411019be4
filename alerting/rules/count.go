package rules

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/slo"
)

// counting are the expressions that count the events of a slot.
type counting struct {
	memory memory // what they look back to; the zero value for nothing
	total  string // the events of the slot; absent when the slot is unknown
	other  string // the events of the slot among the bad or the good ones
	good   bool   // other are the good ones
}

// countCounters fails unless exactly two counters are set.
func countCounters(c slo.Counters, isLatency bool, targetLabels []string, by split) (counting, error) {
	good, bad, total := newCounters(c.Good), newCounters(c.Bad), newCounters(c.Total)
	if isLatency {
		total[0].bucket = good[0].text
	}
	same := slices.Clone(targetLabels)
	for _, name := range by.labels {
		if !slices.Contains(same, name) {
			same = append(same, name)
		}
	}
	t := target{"on (" + slo.LabelList(same...) + ")", siblings(total, good, bad), total, by}
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
func (c counting) bad(events, on string) string {
	other := "(\n" + c.other + "\nor " + on + " 0 * " + events + "\n)"
	if c.good {
		return events + " - " + on + " " + other
	}
	return other + " and " + on + " " + events
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
//   - A series that was absent at the start of the slot counts from zero on
//     evidence and when its target restarted in the last half hour. (This is a
//     label set's return after a restart.)
//   - A series that fell within the slot counts from its value at the start of it to
//     where it fell, and then from zero: its process restarted.
//   - A series counts from its last value of the last half hour.
//   - A series that fell since counts from zero.
//   - A new series counts from zero on evidence. Otherwise what it counted may be
//     old.
func (t target) growth(c counter) string {
	newest, highest, last := c.newest(), c.highest(), c.last()
	return "  " + newest + " unless " + c.before() +
		" and " + t.on + " " + t.evidence() +
		" and " + t.on + " " + t.restarted() +
		"\n  or (" + newest + " < " + highest + ") + clamp_min(" + highest + " - " + c.before() + ", 0)" +
		"\n  or " + newest + " - " + last + " >= 0" +
		"\n  or " + newest + " < " + last +
		"\n  or " + newest + " and " + t.on + " " + t.evidence()
}

// delta is how much all series of counters grew in the slot, each weighted.
func (t target) delta(counters []counter) string {
	var terms []string
	for _, c := range counters {
		term := t.growth(c)
		if c.weight != 1 {
			term = "  (\n" + term + "\n  ) * " + floatText(c.weight)
		}
		terms = append(terms, term)
	}
	return t.split.summed(terms)
}

// summed is the sum of all series of vectors, for each group. One of these may be missing, and a
// label tells their series apart.
func (p split) summed(terms []string) string {
	if len(terms) == 1 {
		return "sum" + p.by() + "(\n" + terms[0] + "\n)"
	}
	labelled := make([]string, len(terms))
	for i, term := range terms {
		labelled[i] = "  label_replace((\n" + term + "\n  ), \"slo_counter\", \"" + strconv.Itoa(i) + "\", \"\", \"\")"
	}
	return "sum" + p.by() + "(\n" + strings.Join(labelled, "\n  or\n") + "\n)"
}

func floatText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// all are all events of the slot. They are 0 where no series grew and there
// were samples at the start and at the end of the slot.
func (t target) all() string {
	return t.delta(t.clock) + "\nor 0 * count" + t.split.by() + "(" + joined(t.clock, func(c counter) string { return c.bucketed(c.now() + " and " + c.before()) }) + ")"
}

// there are the series with samples at both ends of the slot.
func there(counters []counter) string {
	return joined(counters, func(c counter) string { return c.now() + " and " + c.before() })
}

// joined are the series of any of the counters, in a form.
func joined(counters []counter, form func(counter) string) string {
	parts := make([]string, 0, len(counters))
	for _, c := range counters {
		parts = append(parts, form(c))
	}
	return strings.Join(parts, " or ")
}

// evidence are series of targets that restarted in the slot, or that were there
// at both ends of it while none of their series ended: what is new in these has
// counted from zero.
func (t target) evidence() string {
	ended := joined(t.siblings, func(c counter) string { return c.before() + " unless " + c.now() })
	fell := joined(t.siblings, func(c counter) string { return c.now() + " < " + c.before() })
	return "((" + there(t.siblings) + ") unless " + t.on + " (" + ended + ") or " + fell + ")"
}

// restarted are series that fell in the slot or in the half hour before it.
func (t target) restarted() string {
	return "(" + joined(t.clock, func(c counter) string { return c.resets() + " > 0" }) + ")"
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
func (c counter) now() string { return c.distinct(c.text) }

// before are the series at the start of the slot.
func (c counter) before() string { return c.distinct(c.text + " offset 1m") }

// newest are the last samples in the slot. Prometheus 2 also takes one exactly
// at its start, which adds 0.
func (c counter) newest() string { return c.distinct(c.bucketed("last_over_time(" + c.text + "[1m])")) }

// highest are the highest samples in the slot, of those each 10 s where names
// have to be told apart.
func (c counter) highest() string {
	if c.named {
		return c.distinct("max_over_time(" + c.text + "[1m])")
	}
	return "max_over_time(" + c.now() + "[1m:10s])"
}

// bucketed leaves out the observations of histograms that lack the bucket at
// the threshold: nobody knows how many of them were slow.
func (c counter) bucketed(expr string) string {
	if c.bucket == "" {
		return expr
	}
	return "(" + expr + " and ignoring (le) last_over_time(" + c.bucket + "[1m]))"
}

// last are the last samples before the slot, of series that may have ended. Of a
// bucket whose bound was written in another way before, they are those of now.
func (c counter) last() string {
	last := c.distinct("last_over_time(" + c.text + "[" + gap + "] offset 1m)")
	if c.once {
		return "(" + c.before() + " or " + last + ")"
	}
	return last
}

// resets are how often the series fell in the slot and the half hour before.
func (c counter) resets() string {
	if c.named {
		return "resets(" + c.text + "[" + gapAndSlot + "])"
	}
	return "resets(" + c.now() + "[" + gapAndSlot + ":1m])"
}

// distinct keeps series apart that differ only in their name, which
// arithmetic, functions and set operators drop or overlook, and makes one of those
// that are one bucket.
func (c counter) distinct(expr string) string {
	switch {
	case c.named && c.once:
		return "max without (le) (" + expr + ")"
	case c.named:
		return expr
	}
	return `label_replace(` + expr + `, "slo_metric", "$1", "__name__", "(.+)")`
}

// within reports whether all series of c are series of d, as far as their
// matchers tell.
func (c counter) within(d counter) bool {
	_, ok := d.selector.More(c.selector)
	return ok
}
