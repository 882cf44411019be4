package evaluator

import (
	"context"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// countedSamples is about how many samples are counted to find what no evidence can
	// decide.
	countedSamples = 50_000
	// shortestCounted is what is counted of an SLO of many series.
	shortestCounted = time.Hour
)

// trialLength is how much of the newest data a trial counts.
const trialLength = 10 * time.Minute

// trial counts the newest slots as the service does. That it refuses to is a
// concern, unless another says why.
func (x *inspector) trial(ctx context.Context) error {
	if slices.ContainsFunc(x.concerns, func(c Concern) bool { return c.Wrong }) {
		return nil
	}
	l := newPlan("", x.slo, minutes(x.Settle), trialLength)
	e := &entry{book: newBook(l, x.end-minutes(trialLength), 0)}
	x.advance(ctx, []*entry{e}, x.end, false)
	field := "sli." + x.slo.Indicator.Kind()
	switch x.slo.Indicator.(type) {
	case slo.Latency:
		field += ".threshold"
	case *slo.WorstOf:
		field = "worst_of"
	}
	return x.told(e.err, field)
}

// undecided counts the newest part of an SLO's counters, a day at most, as the service
// does. What it can't decide is a concern.
func (x *inspector) undecided(ctx context.Context) error {
	if _, counters := x.slo.Indicator.Measure().(slo.Counters); !counters || slices.ContainsFunc(x.concerns, func(c Concern) bool { return c.Wrong }) {
		return nil
	}
	m := newMeter(x.slo.Indicator)
	series := 0.0
	for _, q := range m.queries {
		n, _, err := x.number(ctx, "count("+q.text()+")", x.end)
		if err != nil {
			return x.told(err, fieldOf(x.slo.Indicator, q.role))
		}
		series += n
	}
	enough := time.Duration(countedSamples/(2*max(series, 1))) * time.Minute // two scrapes a minute
	length := min(24*time.Hour, max(enough, shortestCounted)).Truncate(time.Hour)
	whole := *x.slo
	whole.Groups, whole.Slice, whole.NoDataBad = nil, nil, false
	l := newPlan("", &whole, minutes(x.Settle), length)
	e := &entry{book: newBook(l, x.end.Add(-length), newestLeadIn)}
	x.advance(ctx, []*entry{e}, x.end, false)
	if e.err != nil {
		return x.told(e.err, "sli."+x.slo.Indicator.Kind())
	}
	x.audited(ctx, l, e.book)
	if text := e.book.impossible(x.end); text != "" {
		x.concern(false, "sli."+x.slo.Indicator.Kind(), "find out who writes them", "%s", text)
	}
	sum := e.book.timeline.Sum(e.book.timeline.Start(), x.end)
	all := e.book.undecided.with(e.book.unsettled)
	for _, kind := range []FindingKind{FindRebirth, FindReset} {
		var of undecided
		for _, l := range all {
			if l.kind == kind {
				of = append(of, l)
			}
		}
		left, _ := of.sum(e.book.timeline, sum.Start, sum.End)
		if _, _, tooMuch := left.share(sum); tooMuch {
			x.leftUndecided(kind, left, m, length)
		}
	}
	return nil
}

// leftUndecided is the concern about counters that began again or lost a part.
func (x *inspector) leftUndecided(kind FindingKind, left lot, m *meter, length time.Duration) {
	r := roleBad
	if left.total > 0 {
		if r = roleTotal; m.counted&roleTotal == 0 {
			r = roleGood
		}
	}
	field, last := fieldOf(x.slo.Indicator, r), slo.Window(length)
	if kind == FindRebirth {
		x.concern(false, field, "let the application set the counter to 0 when it starts, or lengthen the ttl after which its exporter drops it",
			"counters expired and came back %s in the last %s while their exporter went on; nothing proves that they began from zero, so %s events are not counted",
			times(left.counters), last, forPeople(max(left.total, left.bad)))
		return
	}
	x.concern(false, field, "count by the counters of each process instead of a sum of them, or let the process say when it began by process_start_time_seconds",
		"counters fell %s in the last %s to more than they can have counted since, as sums that lose a part and restored states do; what they counted in these scrapes is not known",
		times(left.counters), last)
}

// pushed asks whether counters come by a Pushgateway, without the time at which the
// process that pushed them began: each run of a batch begins at zero, and nothing says
// so of one that counts as much as the last one or more.
func (x *inspector) pushed(ctx context.Context, s subject) error {
	on := " on (" + slo.LabelList(x.TargetLabels...) + ") "
	n, found, err := x.number(ctx, "count("+s.text()+" and"+on+"changes(push_time_seconds[1d]) > 0 unless"+on+"process_start_time_seconds)", x.end)
	if err != nil || !found {
		return err
	}
	x.concern(false, s.field, "push process_start_time_seconds with them, or let one process count for all runs",
		"%.0f series of %s are pushed to a Pushgateway without process_start_time_seconds: a run that counts as much as the one before is not seen, and of one that counts more only the rest is",
		n, s.text())
	return nil
}

// audited audits the last two hours. That both differ is a concern.
func (x *inspector) audited(ctx context.Context, l *plan, k *book) {
	due := auditsOf{x.reader, auditLog(nil).due(k)}
	due.ask(ctx)
	id, _ := x.client.known()
	var r auditResult
	for i := range due.audits {
		if r, _ = due.audits[i].result(id.kind); !due.audits[i].done || r.differs == "" {
			return
		}
	}
	if len(due.audits) == differing {
		x.concern(false, "sli."+x.slo.Indicator.Kind(), "slowburn explain shows what differs; please report it", "%s", r.differs)
	}
}
