package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo"
)

// input is a series in three phases: good, bad, good.
type input struct {
	labels labels.Labels
	values func() string
	still  string // its values when nothing happens; none when it is not there
}

// groupOf are the labels of a group of an SLO: such as its selectors select.
func groupOf(s *slo.SLO) map[string]string {
	out := map[string]string{}
	if s.Groups == nil {
		return out
	}
	selectors := selectorsOf(s.Indicator.Measure())
	for _, name := range s.Groups.By {
		texts := []string{"example"}
		var matchers []*labels.Matcher
		for _, selector := range selectors {
			for _, m := range selector.Matchers() {
				if m.Name == name {
					matchers, texts = append(matchers, m), append(texts, samples(m.Value)...)
				}
			}
		}
		first := slices.IndexFunc(texts, func(text string) bool {
			return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(text) })
		})
		out[name] = texts[max(first, 0)]
	}
	return out
}

// selectorsOf are the selectors of what is measured.
func selectorsOf(m slo.Measure) (out []slo.Selector) {
	var queries []string
	switch m := m.(type) {
	case slo.Counters:
		for _, term := range slices.Concat(m.Good, m.Bad, m.Total) {
			out = append(out, term.Selector)
		}
	case slo.Increments:
		for _, term := range slices.Concat(m.Good, m.Bad, m.Total) {
			out = append(out, term.Selector)
		}
	case slo.States:
		out = []slo.Selector{m.Gauge}
	case slo.Levels:
		queries = []string{m.Query}
	case slo.Runs:
		queries = []string{m.LastSuccess}
	case slo.Rates:
		queries = queriesOf(m)
	}
	if len(queries) > 0 {
		out, _, _, _ = reads(queries)
	}
	return out
}

// inputsOf are the series of an indicator, none where none are found. Those of a job
// that does not fail are good in all phases.
func (p *proof) inputsOf(i slo.Indicator, more map[string]string, fails bool) []input {
	switch m := i.Measure().(type) {
	case slo.Counters:
		p.events, p.flood = [2]float64{busy, busy}, flood
		var out []input
		for _, r := range risingOf(m, more) {
			out = append(out, p.between(r.labels, level{rises, r.perGood * busy}, level{rises, r.perBad * busy}))
		}
		return out
	case slo.Increments:
		p.events = [2]float64{busy, busy}
		n := float64(busy)
		if m.PerSecond {
			n /= 60
		}
		var out []input
		for _, r := range risingOf(slo.Counters{Good: m.Good, Bad: m.Bad, Total: m.Total}, more) {
			in := p.between(r.labels, level{flat, r.perGood * n}, level{flat, r.perBad * n})
			in.still = "0x" + strconv.Itoa(quiet)
			out = append(out, in)
		}
		return out
	case slo.States:
		if l, ok := firstOf(m.Gauge, more); ok {
			return []input{p.between(l, level{flat, 1}, level{flat, 0})}
		}
	case slo.Runs:
		return p.runs(m, more, fails)
	case slo.Levels:
		q := sought{queries: []string{m.Query}, more: more, events: eventOf(m)}
		switch i := i.(type) {
		case slo.Threshold:
			q.edge, q.levels = i.Value, []level{{ticks, 1}, {flat, -2 * i.Value}, {flat, farOff}}
		case slo.Freshness: // promtool's time begins at 0, and what is older may be too old
			old := -2 * i.MaxAge.Seconds()
			q.levels = []level{{ticks, 1}, {ticks, 1000}, {flat, old}, {flat, 1000 * old}}
			q.events = successOr(func(at time.Time, v float64) bool { return !m.Good(at, v) })
		}
		return p.search(q)
	case slo.Rates:
		return p.search(sought{queries: queriesOf(m), more: more, events: ratesOf(m)})
	}
	return nil
}

// farOff is a time that is long after that of any test.
const farOff = 1e9

// queriesOf are the expressions that are set: of good, bad and total.
func queriesOf(m slo.Rates) []string {
	queries := []string{m.Good.Query, m.Bad.Query, m.Total.Query}
	return slices.DeleteFunc(queries, func(query string) bool { return query == "" })
}

// eventOf is the event of a slot with values of an expression: none without one, and
// a bad one unless all are good.
func eventOf(m slo.Levels) func(at time.Time, values [][]memprom.Value) (good, bad float64) {
	return func(at time.Time, values [][]memprom.Value) (good, bad float64) {
		for _, v := range values[0] {
			switch {
			case math.IsNaN(v.V):
				return 0, 0
			case m.Good(at, v.V):
				good = 1
			default:
				bad = 1
			}
		}
		if bad > 0 {
			good = 0
		}
		return good, bad
	}
}

// successOr is a good event when all times are now, and a bad one when all are bad.
func successOr(bad func(at time.Time, v float64) bool) func(at time.Time, values [][]memprom.Value) (good, bad float64) {
	return func(at time.Time, values [][]memprom.Value) (float64, float64) {
		now, then := 0.0, 0.0
		for _, v := range values[0] {
			switch {
			case v.V == float64(at.Unix()):
				now = 1
			case bad(at, v.V):
				then = 1
			default:
				return 0, 0
			}
		}
		if now == then {
			return 0, 0
		}
		return now, then
	}
}

// ratesOf are the events that expressions give; rounding makes none.
func ratesOf(m slo.Rates) func(at time.Time, values [][]memprom.Value) (good, bad float64) {
	return func(_ time.Time, values [][]memprom.Value) (good, bad float64) {
		number := func(r slo.Rate) float64 {
			if r.Query == "" {
				return 0
			}
			sum := 0.0
			for _, v := range values[0] {
				sum += max(v.V, 0) * r.Factor
			}
			values = values[1:]
			return sum
		}
		good, bad, total := number(m.Good), number(m.Bad), number(m.Total)
		switch {
		case m.Good.Query == "":
			good = total - bad
		case m.Bad.Query == "":
			bad = total - good
		}
		const rounding = 1e-9
		if none := rounding * max(good, bad); math.Abs(good) <= none {
			good = 0
		} else if math.Abs(bad) <= none {
			bad = 0
		}
		if !(good >= 0 && bad >= 0) || math.IsInf(good+bad, 0) {
			return 0, 0
		}
		return good, bad
	}
}

// search makes inputs of what is found.
func (p *proof) search(q sought) []input {
	q.eval = p.eval
	f, ok := q.find()
	if !ok {
		return nil
	}
	p.lag = max(p.lag, f.lag)
	p.events = f.events
	p.noData = p.noData || f.badAlone
	var out []input
	for i, l := range f.series {
		out = append(out, p.between(l, f.good[i], f.bad[i]))
	}
	return out
}

// between is a series that is good, bad and good again.
func (p *proof) between(l labels.Labels, good, bad level) input {
	in := input{labels: l, values: func() string {
		after := good
		if after.kind == rises {
			after.n *= p.flood
		}
		return notation(line{good, calm + 1}, line{bad, p.burst}, line{after, p.last() + 1})
	}}
	if good.kind == rises {
		in.still = "7x" + strconv.Itoa(quiet)
	}
	return in
}

// runs are the series of a job that succeeds each time, never unless it does not
// fail, and each time.
func (p *proof) runs(r slo.Runs, more map[string]string, fails bool) []input {
	q := sought{
		queries: []string{r.LastSuccess}, more: more, eval: p.eval, levels: []level{{ticks, 1}, {ticks, 1000}, {ticks, 0}},
		events: successOr(func(_ time.Time, v float64) bool { return v == 0 }),
	}
	f, ok := q.find()
	if !ok || r.Every%time.Minute != 0 {
		return nil
	}
	every := int(r.Every / time.Minute)
	if _, parts := p.s.Indicator.Measure().(slo.Parts); fails {
		p.lag = max(p.lag, f.lag+p.every+every+int((r.Grace+time.Minute-1)/time.Minute))
		p.misses = every
		if !parts && p.s.Slice == nil {
			p.every = every
		}
	}
	var out []input
	for i, l := range f.series {
		in := p.between(l, f.good[i], f.bad[i])
		if n := f.good[i].n; f.good[i].kind == ticks && n > 0 {
			in.values = func() string {
				if !fails {
					return successes(n, every, 0, calm+1+p.burst+p.last()+1)
				}
				return successes(n, every, 0, calm+1) + " " + notation(line{level{flat, n * float64(60*(calm/every)*every)}, p.burst}) + " " +
					successes(n, every, calm+1+p.burst, p.last()+1)
			}
		}
		out = append(out, in)
	}
	return out
}

// successes are the times of the last success of a job, by a clock that counts n in
// a second, in some minutes from one on, in which it succeeds.
func successes(n float64, every, from, minutes int) string {
	var out []string
	for ; minutes > 0; from, minutes = from+every, minutes-every {
		out = append(out, notation(line{level{flat, n * float64(60*from)}, min(minutes, every)}))
	}
	return strings.Join(out, " ")
}
