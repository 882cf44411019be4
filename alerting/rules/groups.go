package rules

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// The groups of an SLO have rules of their own, that are the same for all of
// them: which groups there are is in the series. A slot is counted by the labels
// of the groups and gets the slo_id of each from their values, and so does what is
// remembered. What follows is computed series by series, and ends with the last slot
// of a group.

// split contains the labels in which groups differ.
type split struct {
	labels []string // sorted; none where there are no groups
	slots  string   // selects the recorded slots of all groups
}

// by returns the clause of an aggregation that keeps the groups.
func (p split) by() string {
	if len(p.labels) == 0 {
		return ""
	}
	return " by (" + slo.LabelList(p.labels...) + ") "
}

// on matches the series of one group with each other.
func (p split) on() string { return "on (" + slo.LabelList(p.labels...) + ")" }

// aggregate is an aggregation over the SLO, or over each group.
func (p split) aggregate(op string, e expr) expr { return call(op+p.by(), e) }

// slot evaluates an expression of one value, or of one for each group, at the end of
// a slot.
//
// Where a rule group is shifted by exactly 30 s, Prometheus 2 evaluates the slot
// before as well. last_over_time takes the newer, and NaN keeps its place where the
// expression is absent, until the comparison removes it. Groups can be absent
// that were recorded half a minute before.
func (p split) slot(e expr) expr {
	absent := raw("vector(NaN)")
	if len(p.labels) > 0 {
		absent = raw("NaN").times(p.aggregate("max", overTime("last", p.slots, "1m")))
	}
	return atSlotEnd(or(e, absent))
}

// newGroupWriter makes the writer of the rules of an SLO's groups.
func newGroupWriter(b *bytes.Buffer, s *slo.SLO, options Options) *ruleWriter {
	w := newRuleWriter(b, s, options)
	whole := w.sel
	names := "slo_service=" + strconv.Quote(s.Service) + ",slo=" + strconv.Quote(s.Name)
	w.labels = []string{"slo_service", s.Service, "slo", s.Name}
	w.sel = names + ",slo_id!" + strings.TrimPrefix(whole, "slo_id")
	w.split = split{slices.Sorted(slices.Values(s.Groups.By)), eventsOf("slot") + "{" + w.sel + totalOnly + "}"}
	own := map[slo.Objective][]string{} // by an objective, the patterns of the ids that have it
	others := []string{regexp.QuoteMeta(s.ID())}
	for key, o := range s.Groups.Objectives {
		if o != s.Objective {
			ids := patternsOf(s, s.Groups.By, key, map[string]string{})
			own[o], others = append(own[o], ids...), append(others, ids...)
		}
	}
	if len(own) == 0 {
		return w
	}
	part := func(o slo.Objective, op string, patterns []string) *ruleWriter {
		slices.Sort(patterns)
		one, out := *s, *w
		one.Objective = o
		out.s, out.tiers, out.parts = &one, options.Policies.Tiers(&one), nil
		out.sel = names + ",slo_id" + op + strconv.Quote(strings.Join(patterns, "|"))
		return &out
	}
	w.parts = []*ruleWriter{part(s.Objective, "!~", others)}
	for _, o := range slices.SortedFunc(maps.Keys(own), func(a, b slo.Objective) int { return strings.Compare(a.RatioText(), b.RatioText()) }) {
		w.parts = append(w.parts, part(o, "=~", own[o]))
	}
	return w
}

// patternsOf match the ids of the groups whose values, joined with commas, are
// key. There are several where a value may hold a comma.
func patternsOf(s *slo.SLO, by []string, key string, group map[string]string) []string {
	if len(by) == 1 {
		group[by[0]] = key
		one := slo.SLO{Service: s.Service, Name: s.Name, Group: group}
		return []string{regexp.QuoteMeta(one.ID())}
	}
	var out []string
	for i := range len(key) {
		if key[i] == ',' {
			group[by[0]] = key[:i]
			out = append(out, patternsOf(s, by[1:], key[i+1:], group)...)
		}
	}
	return out
}

// byObjective is an expression for all groups, made for those of each objective.
func (w *ruleWriter) byObjective(of func(p *ruleWriter) expr) expr {
	if len(w.parts) == 0 {
		return of(w)
	}
	parts := make([]expr, len(w.parts))
	for i, p := range w.parts {
		parts[i] = of(p)
	}
	return or(parts...)
}

// constant is a number for the SLO, or for each of its groups.
func (w *ruleWriter) constant(number string) expr {
	if len(w.split.labels) == 0 {
		return raw("vector(" + number + ")")
	}
	return w.present().zero().plus(raw(number))
}

// present are the groups of which a slot is known that the SLO's window holds,
// or will hold as soon as it is summed.
func (w *ruleWriter) present() expr {
	if win := w.s.Window.Length; win <= LongestDirect {
		return w.knownSlots(win)
	}
	return or(w.lastLong(longSlots), w.knownSlots(slo.Window(time.Hour)))
}

// plain are values that stand in an slo_id as they are: strconv.Quote, which
// writes these, escapes nothing.
const plain = `((?:[^"\\\pC\pZ]| )+)`

// identified gives the series of groups their ids. A series is in no group where
// it lacks one of the labels or has a value that is not plain.
func (w *ruleWriter) identified(e expr) expr {
	by := w.split.labels
	if len(by) == 0 {
		return e
	}
	// The values are joined with what none of them holds.
	const values = "__slo_values"
	args := []expr{e, quoted(values), quoted(`"`)}
	group := make([]labels.Label, len(by))
	for i, name := range by {
		args = append(args, quoted(name))
		group[i] = labels.Label{Name: name, Value: "$" + strconv.Itoa(i+1)}
	}
	id := w.s.ID() + labels.New(group...).String()
	pattern := strings.TrimSuffix(strings.Repeat(plain+`"`, len(by)), `"`)
	named := relabelled(call("label_join", args...), "slo_id", id, values, pattern)
	return relabelled(named, values, "", "", "").unlessOn("on (slo_id)", raw("vector(0)"))
}
