package inspect

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/audit"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

const (
	// countedSamples is about the number of samples that are counted to find undecided
	// events.
	countedSamples = 50_000
	// shortestCounted is the shortest time that is counted, for an SLO of many series.
	shortestCounted = time.Hour
)

// trialLength is the length of the newest data that a trial counts.
const trialLength = 10 * time.Minute

// trial counts the newest slots as the service does. If the service would refuse to, that
// is a finding, unless another one explains it.
func (x *inspector) trial(ctx context.Context) {
	if x.failed() {
		return
	}
	p := plan.New(x.slo, plan.Options{Settle: timeline.Minutes(x.Settle), History: trialLength})
	e := &history.Read{Record: history.NewRecord(p, x.End-timeline.Minutes(trialLength), 0)}
	x.Advance(ctx, []*history.Read{e}, x.End, false)
	field := "sli." + x.slo.Indicator.Kind()
	switch x.slo.Indicator.(type) {
	case slo.Latency:
		field += ".threshold"
	case *slo.WorstOf:
		field = "worst_of"
	}
	x.err = e.Err
	x.refused(field)
}

// failed reports whether an error was found.
func (x *inspector) failed() bool {
	return x.err != nil || slices.ContainsFunc(x.findings, func(c slo.Finding) bool { return c.Wrong })
}

// undecided counts the newest part of an SLO's counters, up to a day, as the service
// does. Undecided events are a finding.
func (x *inspector) undecided(ctx context.Context) {
	if _, counters := x.slo.Indicator.Measure().(slo.Counters); !counters || x.failed() {
		return
	}
	m := plan.NewInput(x.slo.Indicator)
	series := 0.0
	for _, q := range m.Queries {
		n, _ := x.number(ctx, "count("+q.Text()+")")
		if x.err != nil {
			x.refused(x.fieldFor(q.Role))
			return
		}
		series += n
	}
	enough := time.Duration(countedSamples/(2*max(series, 1))) * time.Minute // two scrapes a minute
	length := min(24*time.Hour, max(enough, shortestCounted)).Truncate(time.Hour)
	whole := *x.slo
	whole.Groups = nil
	whole.Slice = nil
	whole.NoDataBad = false
	p := plan.New(&whole, plan.Options{Settle: timeline.Minutes(x.Settle), History: length})
	e := &history.Read{Record: history.NewRecord(p, x.End.Add(-length), plan.ShortLeadIn)}
	x.Advance(ctx, []*history.Read{e}, x.End, false)
	if x.err = e.Err; x.err != nil {
		x.refused("sli." + x.slo.Indicator.Kind())
		return
	}
	x.audited(ctx, e.Record)
	if text := e.Record.Impossible(x.End); text != "" {
		x.concern(false, "sli."+x.slo.Indicator.Kind(), "find out who writes them", "%s", text)
	}
	sum := e.Record.Timeline.Sum(e.Record.Timeline.Start(), x.End)
	all := e.Record.Undecided.Plus(e.Record.Unsettled)
	for _, kind := range []counting.FindingKind{counting.FindRebirth, counting.FindReset} {
		var events counting.Undecided
		for _, slot := range all {
			if slot.Kind == kind {
				events = append(events, slot)
			}
		}
		left, _ := events.Sum(e.Record.Timeline, sum.Start, sum.End)
		if _, _, tooMuch := left.Share(sum); tooMuch {
			x.leftUndecided(kind, left, m, length)
		}
	}
}

// leftUndecided adds the finding about counters that restarted or lost a part.
func (x *inspector) leftUndecided(kind counting.FindingKind, left counting.UndecidedSlot, m *plan.Input, length time.Duration) {
	r := counting.RoleBad
	if left.Total > 0 {
		r = counting.RoleTotal
		if m.Counted&counting.RoleTotal == 0 {
			r = counting.RoleGood
		}
	}
	field, last := x.fieldFor(r), slo.Window(length)
	if kind == counting.FindRebirth {
		x.concern(false, field, "let the application set the counter to 0 when it starts, or lengthen the ttl after which its exporter drops it",
			"counters expired and came back %s in the last %s while their exporter went on; nothing proves that they began from zero, so %s events are not counted",
			humanize.Times(left.Counters), last, humanize.Decimal(max(left.Total, left.Bad)))
		return
	}
	x.concern(false, field, "count by the counters of each process instead of a sum of them, or let the process say when it began by process_start_time_seconds",
		"counters fell %s in the last %s to more than they can have counted since, as sums that lose a part and restored states do; what they counted in these scrapes is not known",
		humanize.Times(left.Counters), last)
}

// pushed finds counters that come through a Pushgateway without the start time of the
// process that pushed them. Each run of a batch begins at zero, but that is not visible
// if the next run counts at least as much.
func (x *inspector) pushed(ctx context.Context, s subject) {
	on := " on (" + slo.LabelList(x.TargetLabels...) + ") "
	n, found := x.number(ctx, "count("+s.Text()+" and"+on+"changes(push_time_seconds[1d]) > 0 unless"+on+"process_start_time_seconds)")
	if !found {
		return
	}
	x.concern(false, s.field, "push process_start_time_seconds with them, or let one process count for all runs",
		"%.0f series of %s are pushed to a Pushgateway without process_start_time_seconds: a run that counts as much as the one before is not seen, and of one that counts more only the rest is",
		n, s.Text())
}

// audited audits the last two hours. It is a finding if both differ.
func (x *inspector) audited(ctx context.Context, record *history.Record) {
	due := audit.Log(nil).Due(record)
	audit.Run(ctx, x.Reader, due)
	id, _ := x.Identity()
	var r audit.Result
	for i := range due {
		r, _ = due[i].Result(id.Kind)
		if !due[i].Done || r.Differs == "" {
			return
		}
	}
	if len(due) == audit.Differing {
		x.concern(false, "sli."+x.slo.Indicator.Kind(), "slowburn explain shows what differs; please report it", "%s", r.Differs)
	}
}

// excess finds more bad or good events in a day than all events in that day and the one
// before. Some events may be counted before they are judged.
func (x *inspector) excess(ctx context.Context, m *plan.Input) {
	part, code := counting.RoleBad, "bad"
	switch m.Counted {
	case counting.RoleGood | counting.RoleTotal:
		part, code = counting.RoleGood, "good"
	case counting.RoleBad | counting.RoleTotal:
	default:
		return
	}
	grown := func(r counting.Role, length timeline.Minute) (string, bool) {
		var terms []string
		for _, q := range m.Queries {
			if q.Role != r {
				continue
			}
			if q.Way != plan.RawSamples || q.Weight != 1 {
				return "", false
			}
			terms = append(terms, "("+x.Increase(q.Selector, length)+" or vector(0))")
		}
		return strings.Join(terms, " + "), len(terms) > 0
	}
	const day = 24 * 60
	some, one := grown(part, day)
	all, two := grown(counting.RoleTotal, 2*day)
	if m.NewMethod != nil || !one || !two {
		return
	}
	events, _ := x.number(ctx, some)
	if !evaluator.Exceeds(events, 0) {
		return
	}
	total, _ := x.number(ctx, all)
	if !evaluator.Exceeds(events, total) {
		return
	}
	x.concern(false, x.fieldFor(counting.RoleTotal), "it must count all events, the bad ones among them; or give good and bad",
		"there were %s %s events in the last day, and %s events in the last two: the total leaves some out", humanize.Decimal(math.Round(events)), code, humanize.Decimal(math.Round(total)))
}

// twins checks whether a backend has several copies of each counter.
func (x *inspector) twins(ctx context.Context, s subject) {
	n, _ := x.number(ctx, "count("+s.Text()+")")
	if n < 2 {
		return
	}
	var label string
	if n > history.MostTwins {
		label, x.err = x.TargetTwinLabel(ctx, s.Selector, x.End)
	} else {
		label = x.TwinLabel(x.RawSeries(x.ask(ctx, s.Selector.Range(history.TwinsLength))))
	}
	if label != "" {
		x.concern(false, s.field, fmt.Sprintf("write replica_labels: [%s] in the configuration of the backend, so that one of them counts", label),
			"%s has each counter more than once, as replicas see it, which differ in the label %s", s.Selector, label)
	}
}
