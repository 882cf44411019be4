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

// split is what tells groups apart.
type split struct {
	labels []string // sorted; none where there are no groups
	slots  string   // selects the recorded slots of all groups
}

// by is what an aggregation keeps.
func (p split) by() string {
	if len(p.labels) == 0 {
		return ""
	}
	return " by (" + slo.LabelList(p.labels...) + ") "
}

// on matches the series of one group with each other.
func (p split) on() string { return "on (" + slo.LabelList(p.labels...) + ")" }

// slot evaluates an expression of one value, or of one for each group, at the
// newest end of a slot that is at least 30 s ago: the steps of a subquery are
// multiples of its resolution, however Prometheus shifts the rule group within
// its interval.
//
// Where the shift is exactly 30 s, Prometheus 2 evaluates the slot before as
// well. last_over_time takes the newer, and NaN keeps its place where the
// expression is absent, until the comparison removes it. Groups can be absent
// that were recorded half a minute before.
func (p split) slot(expr string) string {
	absent := "vector(NaN)"
	if len(p.labels) > 0 {
		absent = "NaN * max" + p.by() + "(last_over_time(" + p.slots + "[1m]))"
	}
	return "last_over_time((\n" + expr + "\nor " + absent + "\n)[1m:1m] offset 30s) > -Inf"
}

// newGroupWriter makes the writer of the rules of an SLO's groups.
func newGroupWriter(b *bytes.Buffer, s *slo.SLO, options Options) *ruleWriter {
	w := newRuleWriter(b, s, options)
	whole := w.sel
	names := "slo_service=" + strconv.Quote(s.Service) + ",slo=" + strconv.Quote(s.Name)
	w.labels = "slo_service: " + strconv.Quote(s.Service) + ", slo: " + strconv.Quote(s.Name)
	w.sel = names + ",slo_id!" + strings.TrimPrefix(whole, "slo_id")
	w.split = split{slices.Sorted(slices.Values(s.Groups.By)), eventsOf("slot") + "{" + w.sel + "}"}
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
func (w *ruleWriter) byObjective(expr func(p *ruleWriter) string) string {
	if len(w.parts) == 0 {
		return expr(w)
	}
	all := make([]string, len(w.parts))
	for i, p := range w.parts {
		all[i] = expr(p)
	}
	return strings.Join(all, "\nor ")
}

// constant is a number for the SLO, or for each of its groups.
func (w *ruleWriter) constant(text string) string {
	if len(w.split.labels) == 0 {
		return "vector(" + text + ")"
	}
	return "0 * (" + w.present() + ") + " + text
}

// present are the groups of which a slot is known that the SLO's window holds,
// or will hold as soon as it is summed.
func (w *ruleWriter) present() string {
	if win := w.s.Window.Length; win <= longestDirect {
		return w.over("count", eventsOf("slot"), win)
	}
	return w.sums(w.s.Window.Length).coverage + " or " + w.over("count", eventsOf("slot"), slo.Window(time.Hour))
}

// plain are values that stand in an slo_id as they are: strconv.Quote, which
// writes these, escapes nothing.
const plain = `((?:[^"\\\pC\pZ]| )+)`

// identified gives the series of groups their ids. A series is in no group where
// it lacks one of the labels or has a value that is not plain.
func (w *ruleWriter) identified(expr string) string {
	by := w.split.labels
	if len(by) == 0 {
		return expr
	}
	var names strings.Builder
	for _, name := range by {
		names.WriteString(", " + strconv.Quote(name))
	}
	// The values are joined with what none of them holds.
	joined := `label_join(` + "(\n" + expr + "\n" + `), "__slo_values", "\""` + names.String() + `)`
	values := make([]labels.Label, len(by))
	for i, name := range by {
		values[i] = labels.Label{Name: name, Value: "$" + strconv.Itoa(i+1)}
	}
	id := w.s.ID() + labels.New(values...).String()
	pattern := strings.TrimSuffix(strings.Repeat(plain+`"`, len(by)), `"`)
	return "label_replace(label_replace(" + joined + ", \"slo_id\", " + strconv.Quote(id) + `, "__slo_values", ` +
		strconv.Quote(pattern) + `), "__slo_values", "", "", "") unless on (slo_id) vector(0)`
}
