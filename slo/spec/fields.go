package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

var sloKeys = []string{
	"name", "description", "objective", "sli", "worst_of", "window", "budgeting", "slice", "group_by", "groups",
	"exclude", "objective_history", "backend", "on_no_data", "budget_policy", "alerting",
}

// sloMap is a mapping with the keys of an SLO.
func sloMap(v yamlfile.Value) yamlfile.Map {
	keys := sloKeys
	if v.Map().Has("labels") { // it has a finding of its own
		keys = append(slices.Clip(keys), "labels")
	}
	m := v.Map(keys...)
	checkSLOLabels(m)
	return m
}

// fields are mappings of which the first that has a key gives it: an SLO's own
// and those of defaults.
type fields []yamlfile.Map

func (f fields) get(key string) yamlfile.Value { return f.of(key).Get(key) }

func (f fields) of(key string) yamlfile.Map {
	for _, m := range f {
		if m.Has(key) {
			return m
		}
	}
	return f[0]
}

func (f fields) require(key string) yamlfile.Value {
	if v := f.get(key); v.Present() {
		return v
	}
	return f[0].Require(key)
}

// slo reads one SLO.
func (p *parsed) slo(v yamlfile.Value, defaults fields, s *slo.SLO) {
	own := sloMap(v)
	if len(own.Entries) == 0 {
		if v.IsMap() || !v.Present() {
			v.Errorf("", "the SLO is empty")
		}
		return
	}
	f := append(fields{own}, defaults...)
	p.said[s] = said{v, f}
	s.Name = own.Require("name").Name("name")
	if d := f.get("description"); d.Present() {
		s.Description = d.Text()
	}
	s.Window = p.parseWindow(f.get("window"))
	s.Objective = parseObjective(f.require("objective"))
	history, steps := f.get("objective_history"), f.get("budget_policy")
	s.PastObjectives = remembered(p.memo, memoKey{history, "history", ""}, func() []slo.PastObjective { return parseHistory(history) })
	s.Slice = parseSlice(f)
	s.Groups = p.parseGroups(f, s)
	s.Backend = p.backend(f.get("backend"))
	s.BudgetPolicy = remembered(p.memo, memoKey{steps, "policy", ""}, func() []slo.BudgetStep { return parsePolicy(steps) })
	s.Alerting = p.parseAlerting(f, s)
	s.Exclusions = p.parseExclusions(f.get("exclude"))
	p.indicator(f, s)
	s.Alerting.Policy = unless(s.UsualPolicy(), s.Alerting.Policy)
	parseNoData(f.get("on_no_data"), s)
	checkSense(v, f, s)
}

// indicator reads what an SLO is about: an indicator, or other SLOs.
func (p *parsed) indicator(f fields, s *slo.SLO) {
	own := f[0]
	if own.Has("worst_of") && own.Has("sli") {
		own.Key("worst_of").Errorf("make two SLOs of it", "an SLO has sli or worst_of, not both")
		return
	}
	if own.Has("worst_of") || f.of("worst_of").Has("worst_of") && !f.of("sli").Has("sli") {
		v := f.get("worst_of")
		parts := v.List()
		if len(parts) == 0 && (v.IsList() || !v.Present()) {
			f.of("worst_of").Key("worst_of").Errorf("write ids, such as checkout/availability", "worst_of is empty")
		}
		if s.Groups != nil {
			f.of("group_by").Key("group_by").Errorf("", "an SLO of other SLOs can't be split into groups")
		}
		if !within(v, "worst_of", p.limits.Parts, "parts") {
			parts = nil
		}
		p.journeys = append(p.journeys, &journey{slo: s, at: v, parts: parts})
		s.Indicator = &slo.WorstOf{}
		return
	}
	by := groupedBy(s)
	sli := f.require("sli")
	s.Indicator = p.bounds.Share(remembered(p.memo, memoKey{sli, "sli", strings.Join(by, "\n")}, func() slo.Indicator { return parseIndicator(sli, by) }))
}

// DefaultWindow is the window of an SLO that names none.
const DefaultWindow = 30 * slo.Day

func (p *parsed) parseWindow(v yamlfile.Value) slo.Period {
	if !v.Present() {
		return slo.Rolling(DefaultWindow)
	}
	if v.IsMap() {
		return p.parseCalendar(v)
	}
	w, err := slo.ParseWindow(v.Text())
	if err != nil {
		v.Errorf("a window is a duration from 1h to 1y, such as 30d, or a part of the calendar, as {calendar: month}", "%s", err)
	}
	return slo.Rolling(w)
}

func (p *parsed) parseCalendar(v yamlfile.Value) slo.Period {
	m := v.Map("calendar", "timezone")
	part := m.Require("calendar")
	c := slo.Calendar(part.OneOf("calendar", string(slo.Week), string(slo.Month), string(slo.Quarter), string(slo.Year)))
	zone := "UTC"
	if z := m.Get("timezone"); z.Present() {
		if !p.parseZone(z) {
			return slo.Rolling(DefaultWindow)
		}
		zone = z.Text()
	}
	period, err := slo.NewCalendar(c, zone)
	if err != nil {
		v.Errorf("", "%s", err) // no zones on this machine
	}
	return period
}

func parseObjective(v yamlfile.Value) slo.Objective {
	text := v.Number()
	if text == "" {
		return slo.Objective{}
	}
	o, err := slo.ParseObjective(text)
	switch {
	case err != nil && strings.HasSuffix(err.Error(), "decimals"):
		v.Errorf("99.999999999 allows 0.3 ms of full outage a year", "%s", err)
	case err != nil && strings.HasSuffix(err.Error(), "no error budget"):
		v.Errorf("an SLO needs room for failure; 99.99 allows 4 min 19 s of full outage in 30d", "%s", err)
	case err != nil:
		v.Errorf("write the percentage of good events, between 0 and 100, such as 99.9", "%s", err)
	case o.Ratio() < 0.01:
		v.Warnf("the objective is a percentage: 99.9, not 0.999", "objective %s is less than one percent", text)
	}
	return o
}

// parseHistory reads the objectives of the past, in the order of time.
func parseHistory(v yamlfile.Value) []slo.PastObjective {
	var out []slo.PastObjective
	if !within(v, "objective_history", maxPast, "") {
		return nil
	}
	for _, e := range v.List() {
		m := e.Map("until", "objective")
		if !e.IsMap() {
			continue
		}
		until := m.Require("until")
		p := slo.PastObjective{Until: parseTime(until), Objective: parseObjective(m.Require("objective"))}
		if _, err := time.Parse(time.DateOnly, until.Text()); err == nil && !p.Until.IsZero() {
			p.Until = p.Until.AddDate(0, 0, 1) // the end of the day, which can be the first instant of the year 2201
		}
		if n := len(out); n > 0 && !p.Until.IsZero() && !p.Until.After(out[n-1].Until) {
			until.Errorf("write the oldest first", "until %s is not later than the one before", until.Text())
		}
		out = append(out, p)
	}
	return out
}

// parseSlice reads how the budget is counted: nil is by occurrences.
func parseSlice(f fields) *slo.Slice {
	if f.get("budgeting").OneOf("budgeting", "occurrences", "timeslices") != "timeslices" {
		if f[0].Has("slice") && f.get("budgeting").Text() != "timeslices" {
			f[0].Key("slice").Errorf("write budgeting: timeslices", "slice is for time slices only")
		}
		return nil
	}
	v := f.get("slice")
	if !v.Present() {
		f.of("budgeting").Key("budgeting").Errorf("write slice: {length: 1m, target: 99}", "budgeting by time slices needs slice")
		return nil
	}
	m := v.Map("length", "target")
	if !v.IsMap() {
		return nil
	}
	s := &slo.Slice{Target: parseObjective(m.Require("target"))}
	length := m.Require("length")
	d := parseDuration(length, "length", time.Minute)
	if d >= time.Minute && (d > time.Hour || d%time.Minute != 0 || time.Hour%d != 0) {
		length.Errorf("write 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h", "length %s does not divide an hour into whole minutes", length.Text())
	}
	s.Length = slo.Window(d)
	return s
}

// DefaultGroups is how many groups an SLO may have without a limit of its own.
const DefaultGroups = 1000

// parseGroups reads what an SLO is split by; nil is by nothing.
func (p *parsed) parseGroups(f fields, s *slo.SLO) *slo.Groups {
	by := f.get("group_by")
	if !within(by, "group_by", p.limits.Labels, "labels") {
		return nil
	}
	names := by.List()
	if len(names) == 0 {
		if f[0].Has("groups") && !f.of("group_by").Has("group_by") {
			f[0].Key("groups").Errorf("write group_by: [tenant]", "groups needs group_by")
		}
		return nil
	}
	g := &slo.Groups{Limit: DefaultGroups}
	for _, n := range names {
		label := n.OneLine()
		switch {
		case label == "" && !n.IsScalar():
		case !checkLabel(n, model.UTF8Validation.IsValidLabelName):
		case slices.ContainsFunc(g.By, func(other string) bool { return slo.EscapedLabel(other) == slo.EscapedLabel(label) }):
			n.Errorf("", "label %s is named twice", label)
		case s.Labels[slo.EscapedLabel(label)] != "":
			n.Errorf("one of them needs another name", "label %s is one of the file's labels already", label)
		}
		g.By = append(g.By, label)
	}
	m := f.get("groups").Map("limit", "objectives")
	limit := m.Get("limit")
	if text := limit.Number(); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			limit.Errorf("", "limit %s is not a whole number of groups", text)
		}
		g.Limit = n
	}
	objectives, order := m.Get("objectives"), strings.Join(g.By, ",")
	if within(objectives, "objectives", p.limits.GroupObjectives, "group_objectives") {
		g.Objectives = remembered(p.memo, memoKey{objectives, "objectives", order}, func() map[string]slo.Objective { return groupObjectives(objectives, g.By) })
	}
	return g
}

// groupedBy are the labels that an SLO is split by.
func groupedBy(s *slo.SLO) []string {
	if s.Groups == nil {
		return nil
	}
	return s.Groups.By
}

// groupObjectives are the objectives of groups that have their own.
func groupObjectives(v yamlfile.Value, by []string) map[string]slo.Objective {
	out := map[string]slo.Objective{}
	for _, e := range v.Map().Entries {
		key := label(e.Key)
		if strings.Count(key, ",") < len(by)-1 {
			e.Key.Errorf("write the values of "+strings.Join(by, ",")+" in this order", "%q is not one value for each label of group_by", key)
		}
		out[key] = parseObjective(e.Value)
	}
	return out
}

// backend reads the name of a backend that the source may use.
func (p *parsed) backend(v yamlfile.Value) string {
	text := v.Filled("backend", "")
	v.OneLine()
	if text != "" && len(p.in.Backends) > 0 && !slices.Contains(p.in.Backends, text) {
		v.Errorf("the service's own file allows: "+strings.Join(p.in.Backends, ", "), "backend %s is not for SLOs of this source", text)
	}
	return text
}

// parsePolicy reads the steps of a budget policy, sorted from the mildest.
func parsePolicy(v yamlfile.Value) []slo.BudgetStep {
	var out []slo.BudgetStep
	if !within(v, "budget_policy", maxSteps, "") {
		return nil
	}
	for _, e := range v.List() {
		m := e.Map("remaining_below", "action", "gate")
		if !e.IsMap() {
			continue
		}
		at := m.Require("remaining_below")
		s := slo.BudgetStep{
			Below: parsePercent(at), Action: strings.TrimSpace(m.Require("action").Filled("action", "")),
			Gate: slo.Gate(m.Get("gate").OneOf("gate", string(slo.GateWarn), string(slo.GateBlock))),
		}
		if slices.ContainsFunc(out, func(o slo.BudgetStep) bool { return o.Below == s.Below }) {
			at.Errorf("", "remaining_below %s is there already", at.Text())
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b slo.BudgetStep) int { return cmp.Compare(b.Below, a.Below) })
	return out
}

// parsePercent reads a share of a budget such as 25%, as a ratio.
func parsePercent(v yamlfile.Value) float64 {
	text := v.Text()
	if text == "" {
		return 0
	}
	digits, is := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(digits+"e-2", 64) // which is rounded once
	switch {
	case !is || err != nil:
		v.Errorf("", "%q is not a percentage such as 25%%", text)
	case n > 1:
		v.Errorf("100% is a budget that is untouched", "%s is more than a whole budget", text)
	}
	return n
}

// parseNoData reads what time without data is.
func parseNoData(v yamlfile.Value, s *slo.SLO) {
	if v.OneOf("on_no_data", "ignore", "bad") != "bad" || s.Indicator == nil {
		return
	}
	_, isJourney := s.Indicator.(*slo.WorstOf)
	s.NoDataBad = s.Slice != nil || isJourney
	i, can := slo.WithoutData(s.Indicator)
	s.Indicator = i
	if can || s.NoDataBad {
		return
	}
	switch s.Indicator.Measure().(type) {
	case slo.Levels, slo.Runs:
		v.Errorf("remove on_no_data", "%s turns bad by itself without data: the last time goes on ageing", s.Indicator.Kind())
	default:
		v.Errorf("count time slices, as with budgeting: timeslices, or add a probe", "the number of events of a minute without data is unknown, so that it can't be bad")
	}
}
