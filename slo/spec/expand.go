package spec

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"

	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
)

// Expand writes SLOs as an SLO file in which nothing is left to defaults, and
// which has the exclusions of files of their own. Load reads the same SLOs
// from it.
func Expand(slos []*slo.SLO) ([]byte, error) {
	var docs []*expandedFile
	for i, s := range slos {
		if i == 0 || !sameTop(slos[i-1], s) {
			docs = append(docs, &expandedFile{APIVersion: APIVersion, Service: s.Service, Description: s.About, Owner: s.Owner, Labels: s.Labels, Links: s.Links})
		}
		last := docs[len(docs)-1]
		last.SLOs = append(last.SLOs, expanded(s))
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return nil, fmt.Errorf("expanding %s: %w", d.Service, err)
		}
	}
	if len(docs) == 0 {
		return nil, nil
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("expanding SLOs: %w", err)
	}
	return out.Bytes(), nil
}

func sameTop(a, b *slo.SLO) bool {
	return a.Service == b.Service && a.About == b.About && a.Owner == b.Owner && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Links, b.Links)
}

type expandedFile struct {
	APIVersion  string            `yaml:"apiVersion"`
	Service     string            `yaml:"service"`
	Description string            `yaml:"description,omitempty"`
	Owner       string            `yaml:"owner,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Links       map[string]string `yaml:"links,omitempty"`
	SLOs        []expandedSLO     `yaml:"slos"`
}

type expandedSLO struct {
	Name             string              `yaml:"name"`
	Description      string              `yaml:"description,omitempty"`
	Objective        plain               `yaml:"objective"`
	SLI              any                 `yaml:"sli,omitempty"`
	WorstOf          []string            `yaml:"worst_of,omitempty"`
	Window           any                 `yaml:"window"`
	Budgeting        string              `yaml:"budgeting"`
	Slice            *expandedSlice      `yaml:"slice,omitempty"`
	GroupBy          []string            `yaml:"group_by,omitempty,flow"`
	Groups           *expandedGroups     `yaml:"groups,omitempty"`
	OnNoData         string              `yaml:"on_no_data"`
	Backend          string              `yaml:"backend,omitempty"`
	ObjectiveHistory []expandedPast      `yaml:"objective_history,omitempty"`
	BudgetPolicy     []expandedStep      `yaml:"budget_policy,omitempty"`
	Exclude          []expandedExclusion `yaml:"exclude,omitempty"`
	Alerting         expandedAlerting    `yaml:"alerting"`
}

type expandedAlerting struct {
	Policy      string            `yaml:"policy"`
	Name        string            `yaml:"name"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
	Severities  map[string]string `yaml:"severities,flow"`
	Page        expandedSeverity  `yaml:"page,flow"`
	Ticket      expandedSeverity  `yaml:"ticket,flow"`
	NoData      expandedNoData    `yaml:"no_data,flow"`
}

type expandedNoData struct {
	Severity string `yaml:"severity"`
	For      string `yaml:"for"`
}

type expandedSeverity struct {
	Disabled bool              `yaml:"disabled"`
	Labels   map[string]string `yaml:"labels,omitempty"`
}

type expandedSlice struct {
	Length string `yaml:"length"`
	Target plain  `yaml:"target"`
}

type expandedGroups struct {
	Limit      int              `yaml:"limit"`
	Objectives map[string]plain `yaml:"objectives,omitempty"`
}

type expandedPast struct {
	Until     string `yaml:"until"`
	Objective plain  `yaml:"objective"`
}

type expandedStep struct {
	RemainingBelow string   `yaml:"remaining_below"`
	Action         string   `yaml:"action"`
	Gate           slo.Gate `yaml:"gate,omitempty"`
}

type expandedExclusion struct {
	From           string                      `yaml:"from,omitempty"`
	To             string                      `yaml:"to,omitempty"`
	TimeIntervals  []timeinterval.TimeInterval `yaml:"time_intervals,omitempty"`
	OperatingHours []timeinterval.TimeInterval `yaml:"operating_hours,omitempty"`
	Reason         string                      `yaml:"reason"`
	Ticket         string                      `yaml:"ticket,omitempty"`
}

// plain is a number with the digits that it is written with.
type plain string

// MarshalYAML implements yaml.Marshaler.
func (p plain) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(p)}, nil
}

func expanded(s *slo.SLO) expandedSLO {
	x := expandedSLO{
		Name: s.Name, Description: s.Description, Objective: plain(s.Objective.Percent()),
		Window: s.Window.String(), Budgeting: "occurrences", OnNoData: "ignore", Backend: s.Backend,
	}
	if !s.Window.IsRolling() {
		x.Window = map[string]string{"calendar": string(s.Window.Calendar), "timezone": s.Window.Zone}
	}
	if s.Slice != nil {
		x.Budgeting, x.Slice = "timeslices", &expandedSlice{s.Slice.Length.String(), plain(s.Slice.Target.Percent())}
	}
	if g := s.Groups; g != nil {
		x.GroupBy, x.Groups = g.By, &expandedGroups{g.Limit, map[string]plain{}}
		for key, o := range g.Objectives {
			x.Groups.Objectives[key] = plain(o.Percent())
		}
	}
	if f, ok := s.Indicator.(slo.Forgiving); s.NoDataBad || ok && f.BadWithoutData() {
		x.OnNoData = "bad"
	}
	for _, p := range s.PastObjectives {
		x.ObjectiveHistory = append(x.ObjectiveHistory, expandedPast{p.Until.Format(time.RFC3339Nano), plain(p.Objective.Percent())})
	}
	for _, p := range s.BudgetPolicy {
		x.BudgetPolicy = append(x.BudgetPolicy, expandedStep{percent(p.Below), p.Action, p.Gate})
	}
	for _, e := range s.Exclusions {
		x.Exclude = append(x.Exclude, expandedOf(e))
	}
	a := s.Alerting
	x.Alerting = expandedAlerting{
		Policy: cmp.Or(a.Policy, s.UsualPolicy()), Name: a.AlertName(), Labels: a.Labels, Annotations: a.Annotations,
		Severities: map[string]string{slo.Page: a.Severity(slo.Page).Label, slo.Ticket: a.Severity(slo.Ticket).Label},
		Page:       expandedSeverity{a.Page.Disabled, a.Page.Labels}, Ticket: expandedSeverity{a.Ticket.Disabled, a.Ticket.Labels},
		NoData: expandedNoData{a.NoData.SeverityName(), model.Duration(a.NoData.After()).String()},
	}
	if w, ok := s.Indicator.(*slo.WorstOf); ok {
		x.WorstOf = w.Names
	} else {
		x.SLI = map[string]any{s.Indicator.Kind(): expandedIndicator(s.Indicator)}
	}
	return x
}

func expandedOf(e slo.Exclusion) expandedExclusion {
	x := expandedExclusion{Reason: e.Reason, Ticket: e.Ticket}
	switch {
	case e.OperatingHours:
		x.OperatingHours = e.Intervals
	case len(e.Intervals) > 0:
		x.TimeIntervals = e.Intervals
	default:
		x.From, x.To = e.From.Format(time.RFC3339Nano), e.To.Format(time.RFC3339Nano)
	}
	return x
}

// expandedIndicator is what an SLO file says of an indicator, in its order.
func expandedIndicator(i slo.Indicator) *yaml.Node {
	counters := map[string]slo.Counter{}
	if c, ok := i.Measure().(slo.Counters); ok { // increments are written as sums of selectors
		counters = map[string]slo.Counter{"good": c.Good, "succeeded": c.Good, "bad": c.Bad, "failed": c.Bad, "total": c.Total}
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range i.Fields() {
		value := &yaml.Node{Kind: yaml.ScalarNode}
		if c, ok := counters[f.Key]; ok {
			f.Text = expressionOf(c)
		}
		if f.Key == "value" {
			value.Value = f.Text
		} else {
			value.SetString(f.Text)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.Key}, value)
	}
	return n
}

// expressionOf is the counter as an SLO file has it: a selector, or an expression
// over $window.
func expressionOf(c slo.Counter) string {
	if s, ok := c.Plain(); ok {
		return s.String()
	}
	return c.Sum(func(s slo.Selector) string { return "sum(increase(" + s.String() + "[" + expr.WindowVariable + "]))" })
}

// percent is a ratio as a percentage with all its digits: "25%".
func percent(ratio float64) string {
	text := strconv.FormatFloat(math.Abs(ratio), 'f', -1, 64)
	whole, frac, _ := strings.Cut(text, ".")
	frac += "00"
	text = strings.TrimLeft(whole+frac[:2], "0")
	if text == "" {
		text = "0"
	}
	if rest := strings.TrimRight(frac[2:], "0"); rest != "" {
		text += "." + rest
	}
	if ratio < 0 {
		text = "-" + text
	}
	return text + "%"
}
