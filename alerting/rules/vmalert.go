package rules

import (
	"bytes"
	"hash/fnv"
	"time"
)

// vmalert asks a datasource and writes what rules record seconds later, so that a
// rule does not see what those above it have just recorded. What reads others is in
// a group of its own, which is evaluated some seconds later (eval_offset). Its
// instants are kept, whatever the load, so that each slot is counted once.

const vmalertTimes = `These are rules for vmalert from v1.113 on, which evaluates each group at its
# second of the minute, when what it reads of the groups before it is written.
# VictoriaMetrics needs -dedup.minScrapeInterval=1ms, or more, where two vmalerts
# evaluate them.
#
# Windows of up to 6 h end with the newest slot. Longer ones are made of whole
# quarters of an hour and lag by 22 minutes at most.`

// maxExpr is how long an expression may be, in bytes: VictoriaMetrics'
// -search.maxQueryLen.
const maxExpr = 16 << 10

// phase orders the rules of a minute. A rule may read records of the same minute from
// earlier phases only.
type phase int

// The phases of a minute.
const (
	memoryPhase phase = iota
	eventPhase
	badPhase
	minutePhase // of what slots are made of
	slotPhase
	sumPhase
	ratePhase
	tierPhase
	alertPhase
	phaseCount
)

// phases are the texts of the rules by their phases.
type phases [phaseCount]bytes.Buffer

func (s phase) String() string {
	return [phaseCount]string{"memory", "slots", "bad", "minutes", "derived", "sums", "rates", "tiers", "alerts"}[s]
}

const (
	// firstOffset is when in the minute the first phase is evaluated, at the earliest.
	// Slots are those that ended at least 30 s ago, and clocks are not exact.
	firstOffset = 35 * time.Second
	// mostGap is between a phase and the next: a derived slot is read from three before.
	mostGap = 9 * time.Second
	// alertGap is between the tiers, whose series begin when they fire, and the alerts.
	// VictoriaMetrics finds a new series up to 11 s after it has it, and what is of a
	// known one within 2 s; vmalert writes each 2 s.
	alertGap = 20 * time.Second
)

// at makes the rules that follow part of a phase. To Prometheus there are none.
func (w *ruleWriter) at(s phase) {
	if w.phases != nil {
		w.b = &w.phases[s]
	}
}

// staged writes the groups of a minute. The last one is over before the first of the
// next minute begins, and less than 30 s are between a group and what it reads. They
// are some seconds later for some SLOs, so that those of all don't come at once. The
// long windows are summed together with slots, so that what is known of them stays
// the same until the alerts.
func (w *ruleWriter) staged(prefix string, o Options) error {
	out := w.b
	err := w.minuteRules(o)
	w.b = out
	var used []phase
	for p := range phaseCount {
		if w.phases[p].Len() > 0 {
			used = append(used, p)
		}
	}
	gap := min(mostGap, (time.Minute-alertGap)/time.Duration(len(used)-1)).Truncate(time.Second)
	at := firstOffset + w.spread(gap)
	w.longOffset = at + w.spread(4*time.Minute).Truncate(time.Minute)
	for _, p := range used {
		if p == alertPhase {
			at += alertGap - gap
		}
		w.group(prefix+p.String(), time.Minute, at)
		w.b.Write(w.phases[p].Bytes())
		switch {
		case p < tierPhase:
			w.aliasOffset = at + gap
		case p == tierPhase:
			w.aliasOffset = at
		}
		at += gap
	}
	return err
}

// spread is a number of whole seconds below most, another for each SLO.
func (w *ruleWriter) spread(most time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.s.ID()))
	return time.Duration(h.Sum32()) * time.Second % most
}

// now returns the record of an earlier phase, as an instant selector does. That of
// VictoriaMetrics looks as far back as flags of vmalert say.
func (w *ruleWriter) now(name, matchers string) expr {
	if w.phases == nil {
		return w.selector(name, matchers, "")
	}
	return recent(name, w.sel+matchers)
}

// selector selects a record of the SLO, a long one over lines.
func (w *ruleWriter) selector(name, matchers, span string) expr {
	if matchers == "" || len(w.sel) < width/2 {
		return raw(name + "{" + w.sel + matchers + "}" + span)
	}
	return enclosed(name+"{", []expr{raw(w.sel), raw(matchers[1:])}, "}"+span)
}

// atQuarter returns the value of a selector in the minute before a quarter of an hour, in a
// subquery of quarters. An instant selector in VictoriaMetrics looks back for as long
// as the step.
func (w *ruleWriter) atQuarter(selector string) string {
	if w.phases == nil {
		return selector
	}
	return "last_over_time(" + selector + "[1m])"
}
