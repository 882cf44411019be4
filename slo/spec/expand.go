package spec

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Expand writes SLOs as an SLO file in which nothing is left to defaults, and
// which has the exclusions of files of their own. Load reads the same SLOs
// from it.
func Expand(slos []*slo.SLO) ([]byte, error) {
	if len(slos) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	for len(slos) > 0 {
		first := slos[0]
		n := slices.IndexFunc(slos, func(s *slo.SLO) bool { return !sameTop(first, s) })
		if n < 0 {
			n = len(slos)
		}
		if err := e.Encode(expandedFile(slos[:n])); err != nil {
			return nil, fmt.Errorf("expanding %s: %w", first.Service, err)
		}
		slos = slos[n:]
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("expanding SLOs: %w", err)
	}
	return out.Bytes(), nil
}

func sameTop(a, b *slo.SLO) bool {
	return a.Service == b.Service && a.About == b.About && a.Owner == b.Owner && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Links, b.Links)
}

// object contains keys and their values in turn, in the order of the file. It is written
// without the keys whose value is nil or an empty text, list or mapping.
type object []any

// MarshalYAML implements yaml.Marshaler.
func (o object) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for pair := range slices.Chunk(o, 2) {
		if isEmpty(pair[1]) {
			continue
		}
		for _, part := range pair {
			var child yaml.Node
			if err := child.Encode(part); err != nil {
				return nil, err
			}
			n.Content = append(n.Content, &child)
		}
	}
	return n, nil
}

func isEmpty(value any) bool {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return false
}

// inline is a value on one line.
type inline struct{ any }

// MarshalYAML implements yaml.Marshaler.
func (i inline) MarshalYAML() (any, error) {
	n := &yaml.Node{}
	err := n.Encode(i.any)
	n.Style = yaml.FlowStyle
	return n, err
}

// number is written with the digits that it has.
type number string

// MarshalYAML implements yaml.Marshaler.
func (n number) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(n)}, nil
}

func expandedFile(slos []*slo.SLO) object {
	var list []object
	for _, s := range slos {
		list = append(list, expanded(s))
	}
	s := slos[0]
	return object{
		"apiVersion", APIVersion, "service", s.Service, "description", s.About, "owner", s.Owner,
		"labels", s.Labels, "links", s.Links, "slos", list,
	}
}

func expanded(s *slo.SLO) object {
	out := object{"name", s.Name, "description", s.Description, "objective", percentage(s.Objective)}
	if w, ok := s.Indicator.(*slo.WorstOf); ok {
		out = append(out, "worst_of", w.Names)
	} else {
		out = append(out, "sli", object{s.Indicator.Kind(), expandedIndicator(s.Indicator)})
	}
	if s.Window.IsRolling() {
		out = append(out, "window", s.Window.String())
	} else {
		out = append(out, "window", object{"calendar", string(s.Window.Calendar), "timezone", s.Window.Zone})
	}
	if s.Slice == nil {
		out = append(out, "budgeting", "occurrences")
	} else {
		out = append(out, "budgeting", "timeslices",
			"slice", object{"length", s.Slice.Length.String(), "target", percentage(s.Slice.Target)})
	}
	if g := s.Groups; g != nil {
		objectives := map[string]number{}
		for key, o := range g.Objectives {
			objectives[key] = percentage(o)
		}
		out = append(out, "group_by", inline{g.By}, "groups", object{"limit", g.Limit, "objectives", objectives})
	}
	noData := "ignore"
	states, _ := s.Indicator.Measure().(slo.States)
	levels, _ := s.Indicator.Measure().(slo.Levels)
	if s.NoDataBad || states.Absent || levels.Absent {
		noData = "bad"
	}
	var past, steps, exclude []object
	for _, p := range s.PastObjectives {
		past = append(past, object{"until", p.Until.Format(time.RFC3339Nano), "objective", percentage(p.Objective)})
	}
	for _, p := range s.BudgetPolicy {
		below := humanize.Objective(p.Below) + "%"
		steps = append(steps, object{"remaining_below", below, "action", p.Action, "gate", string(p.Gate)})
	}
	for _, e := range s.Exclusions {
		exclude = append(exclude, expandedExclusion(e))
	}
	return append(out, "on_no_data", noData, "backend", s.Backend, "objective_history", past,
		"budget_policy", steps, "exclude", exclude, "alerting", expandedAlerting(s))
}

func percentage(o slo.Objective) number { return number(o.Percent()) }

func expandedAlerting(s *slo.SLO) object {
	a := s.Alerting
	severity := func(a slo.AlertSeverity) inline { return inline{object{"disabled", a.Disabled, "labels", a.Labels}} }
	return object{
		"policy", cmp.Or(a.Policy, s.UsualPolicy()), "name", a.AlertName(), "labels", a.Labels, "annotations", a.Annotations,
		"severities", inline{object{slo.Page, a.Severity(slo.Page).Label, slo.Ticket, a.Severity(slo.Ticket).Label}},
		slo.Page, severity(a.Page), slo.Ticket, severity(a.Ticket),
		"no_data", inline{object{"severity", a.NoData.SeverityName(), "for", model.Duration(a.NoData.After()).String()}},
	}
}

func expandedExclusion(e slo.Exclusion) object {
	about := object{"reason", e.Reason, "ticket", e.Ticket}
	switch {
	case e.OperatingHours:
		return append(object{"operating_hours", e.Intervals}, about...)
	case len(e.Intervals) > 0:
		return append(object{"time_intervals", e.Intervals}, about...)
	}
	return append(object{"from", e.From.Format(time.RFC3339Nano), "to", e.To.Format(time.RFC3339Nano)}, about...)
}

// expandedIndicator returns the keys of an indicator.
func expandedIndicator(i slo.Indicator) object {
	counters := map[string]slo.Counter{}
	if c, ok := i.Measure().(slo.Counters); ok { // increments are written as sums of selectors
		counters = map[string]slo.Counter{"good": c.Good, "succeeded": c.Good, "bad": c.Bad, "failed": c.Bad, "total": c.Total}
	}
	var out object
	for _, f := range i.Fields() {
		switch c, counted := counters[f.Key]; {
		case counted:
			out = append(out, f.Key, expressionOf(c))
		case f.Key == "value":
			out = append(out, f.Key, number(f.Text))
		default:
			out = append(out, f.Key, f.Text)
		}
	}
	return out
}

// expressionOf is the counter as an SLO file has it: a selector, or an expression
// over $window.
func expressionOf(c slo.Counter) string {
	if s, ok := c.Plain(); ok {
		return s.String()
	}
	return c.Sum(func(s slo.Selector) string { return "sum(increase(" + s.String() + "[" + expr.WindowVariable + "]))" })
}
