package rules

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules/series"
	"github.com/slowburn-slo/slowburn/slo"
)

// Naming is the tool whose names are recorded beside slowburn's own, and whose
// labels alerts have too: "" for none.
type Naming string

// The tools whose names can be recorded. The numbers are slowburn's own.
const (
	Sloth Naming = "sloth"
	Pyrra Naming = "pyrra"
)

// naming are the names of a tool.
type naming interface {
	// tool returns the name that people use.
	tool() string
	// identity is by what the tool distinguishes SLOs.
	identity(s *slo.SLO) string
	// slo returns an SLO with what the tool's alerts have: severities, labels and
	// annotations.
	slo(s *slo.SLO) *slo.SLO
	// tierLabels are the labels of an alert of one tier; nil where the alerts of a
	// severity are one.
	tierLabels(s *slo.SLO) func(alerting.Tier) map[string]string
	// windows are those that names end in.
	windows(s *slo.SLO) []slo.Window
	// record writes the aliases of a minute, and share those of a window.
	record(p *plan)
	share(p *plan, win slo.Window, e expr)
}

// naming is nil where there is no such tool.
func (n Naming) naming() naming {
	switch n {
	case Sloth:
		return slothNaming{}
	case Pyrra:
		return pyrraNaming{}
	}
	return nil
}

// Valid reports whether the names are known.
func (n Naming) Valid() bool { return n == "" || n.naming() != nil }

// SLO returns an SLO with what its alerts have by the names.
func (n Naming) SLO(s *slo.SLO) *slo.SLO {
	if tool := n.naming(); tool != nil {
		return tool.slo(s)
	}
	return s
}

// Refusals say why such rules can't carry SLOs, "" for those that they can.
func (o Options) Refusals(slos []*slo.SLO) []string {
	out, called := make([]string, len(slos)), map[string]*slo.SLO{}
	for i, s := range slos {
		var why []string
		if reason := o.refusal(s); reason != "" {
			why = append(why, reason)
		}
		if as := o.Naming.naming(); as != nil {
			if s.Groups != nil {
				why = append(why, "it is split by group_by, and the names of "+as.tool()+" can't tell its groups apart")
			}
			id := as.identity(s)
			if other := called[id]; other != nil {
				why = append(why, as.tool()+" would call it "+id+", as it would "+other.ID())
			}
			called[id] = cmp.Or(called[id], s)
		}
		out[i] = strings.Join(why, "; ")
	}
	return out
}

// plan are the rules of an SLO as slowburn wrote them, from whose series aliases read.
type plan struct{ *ruleWriter }

// aliases writes the groups of another tool's names, which follow slowburn's own.
func (w *ruleWriter) aliases(n naming) {
	p := &plan{w}
	p.group("slots/"+strings.ToLower(n.tool()), time.Minute, w.aliasOffset)
	n.record(p)
	var long []slo.Window
	for _, win := range p.windowsOf(n) {
		if win > LongestDirect && !slices.Contains(alerting.Windows(w.tiers, w.s.Window.Length), win) {
			long = append(long, win)
			continue
		}
		n.share(p, win, unlabelled(w.sums(win).badShare()))
	}
	if len(long) == 0 {
		return
	}
	p.group("windows/"+strings.ToLower(n.tool()), aliasInterval, w.aliasOffset)
	for _, win := range long {
		n.share(p, win, newSums(func(result string) expr { return w.tiles(quarterEvents, result, win) }).badShare())
	}
}

// aliasInterval is how often the windows over 6 h are summed that only names have.
// Instant selectors look back for 5 minutes.
const aliasInterval = 4 * time.Minute

// windowsOf returns the windows of names, ascending, of which none is longer than the
// SLO's own.
func (p *plan) windowsOf(n naming) []slo.Window {
	out := slices.DeleteFunc(n.windows(p.s), func(win slo.Window) bool { return win <= 0 || win > p.s.Window.Length })
	slices.Sort(out)
	return slices.Compact(out)
}

// alias records a series with labels beside the SLO's own, each list over those before.
func (p *plan) alias(name string, e expr, lists ...map[string]string) {
	out := mergedLabels(lists...)
	for _, own := range []string{"slo_id", "slo_service", "slo"} {
		delete(out, own)
	}
	p.record(name, e, sortedPairs(out)...)
}

// windowName is a window in the names of both tools: 28 d is "4w".
func windowName(w slo.Window) string { return model.Duration(w).String() }

type slothNaming struct{}

func (slothNaming) tool() string                                              { return "Sloth" }
func (slothNaming) identity(s *slo.SLO) string                                { return s.Service + "-" + s.Name }
func (slothNaming) tierLabels(*slo.SLO) func(alerting.Tier) map[string]string { return nil }

// slo adds the labels of Sloth's alerts, and its title unless the SLO has one.
func (n slothNaming) slo(s *slo.SLO) *slo.SLO {
	out := *s
	for severity, of := range map[string]*slo.AlertSeverity{slo.Page: &out.Alerting.Page, slo.Ticket: &out.Alerting.Ticket} {
		of.Labels = mergedLabels(of.Labels, n.specLabels(s), map[string]string{"sloth_severity": severity})
	}
	const title = "({{ .Severity }}) {{ .Service }} {{ .SLO }} SLO error budget burn rate is too fast."
	out.Alerting.Annotations = mergedLabels(map[string]string{"title": title}, s.Alerting.Annotations)
	return &out
}

func (slothNaming) windows(s *slo.SLO) []slo.Window {
	const minute, hour = slo.Window(time.Minute), slo.Window(time.Hour)
	return []slo.Window{5 * minute, 30 * minute, hour, 2 * hour, 6 * hour, 24 * hour, 72 * hour, s.Window.Length}
}

// specLabels are the labels of all that Sloth writes for a spec. Its specs name the
// owner by a label, which here is a field.
func (n slothNaming) specLabels(s *slo.SLO) map[string]string {
	out := map[string]string{"sloth_id": n.identity(s), "sloth_service": s.Service, "sloth_slo": s.Name}
	if s.Owner != "" {
		out["owner"] = s.Owner
	}
	return out
}

func (n slothNaming) share(p *plan, win slo.Window, e expr) {
	p.alias("slo:sli_error:ratio_rate"+windowName(win), e, p.s.Labels, n.specLabels(p.s), slothWindow(win))
}

func slothWindow(win slo.Window) map[string]string {
	return map[string]string{"sloth_window": windowName(win)}
}

func (n slothNaming) record(p *plan) {
	s, spec := p.s, n.specLabels(p.s)
	const newest = slo.Window(5 * time.Minute)
	current, remaining := unlabelled(p.sums(newest).burn(s.Objective.BudgetText())), p.now("slo_error_budget_remaining_ratio", "")
	p.alias("slo:objective:ratio", p.constant(s.Objective.RatioText()), s.Labels, spec)
	p.alias("slo:error_budget:ratio", p.constant(s.Objective.BudgetText()), s.Labels, spec)
	p.alias("slo:time_period:days", p.constant(floatText(s.Window.Length.Duration().Hours()/24)), s.Labels, spec)
	p.alias("slo:current_burn_rate:ratio", current, s.Labels, spec, slothWindow(newest))
	p.alias("slo:period_burn_rate:ratio", raw("1").minus(remaining), s.Labels, spec, slothWindow(s.Window.Length))
	p.alias("slo:period_error_budget_remaining:ratio", remaining, s.Labels, spec, slothWindow(s.Window.Length))
	p.alias("sloth_slo_info", p.constant("1"), s.Labels, spec, map[string]string{
		"sloth_version": "slowburn", "sloth_mode": "slowburn", "sloth_spec": "slowburn/v1", "sloth_objective": s.Objective.Percent(),
	})
}

type pyrraNaming struct{}

func (pyrraNaming) tool() string               { return "Pyrra" }
func (pyrraNaming) identity(s *slo.SLO) string { return s.Name }

// slo calls the severities critical and warning, where the SLO file does not name
// them, and gives alerts the labels of the metric.
func (pyrraNaming) slo(s *slo.SLO) *slo.SLO {
	out := *s
	if s.Alerting.Page.Label == "" && s.Alerting.Ticket.Label == "" {
		out.Alerting.Page.Label, out.Alerting.Ticket.Label = "critical", "warning"
	}
	for _, of := range []*slo.AlertSeverity{&out.Alerting.Page, &out.Alerting.Ticket} {
		of.Labels = mergedLabels(of.Labels, equalities(totalOf(s)))
	}
	return &out
}

func (pyrraNaming) tierLabels(s *slo.SLO) func(alerting.Tier) map[string]string {
	return func(t alerting.Tier) map[string]string {
		exhaustion := time.Duration(float64(s.Window.Length) / t.Factor).Round(time.Minute)
		return map[string]string{"short": windowName(t.Short), "long": windowName(t.Long), "exhaustion": model.Duration(exhaustion).String()}
	}
}

// windows are parts of the SLO's own, as long as they are of 28 d, rounded to whole
// minutes. Some are none for SLOs over a day or two.
func (pyrraNaming) windows(s *slo.SLO) []slo.Window {
	const of = 28 * 24 * 60
	length := int64(s.Window.Length.Duration() / time.Minute)
	var out []slo.Window
	for _, minutes := range []int64{5, 30, 60, 2 * 60, 6 * 60, 24 * 60, 4 * 24 * 60} {
		out = append(out, slo.Window((minutes*length+of/2)/of)*slo.Window(time.Minute))
	}
	return out
}

func (pyrraNaming) share(p *plan, win slo.Window, e expr) {
	if metric := totalOf(p.s); !metric.IsZero() {
		p.alias(base(metric.Name())+":burnrate"+windowName(win), e, p.s.Labels, equalities(metric))
	}
}

func (pyrraNaming) record(p *plan) {
	s := p.s
	perSecond := func(matchers string) expr {
		return p.over("avg", eventsOf("slot"), matchers, slo.Window(5*time.Minute)).dividedBy(raw("60"))
	}
	p.alias("pyrra_objective", p.constant(s.Objective.RatioText()), s.Labels)
	p.alias("pyrra_window", p.constant(floatText(s.Window.Length.Duration().Seconds())), s.Labels)
	p.alias("pyrra_availability", p.now("slo_sli_ratio", ""), s.Labels)
	p.alias("pyrra_requests:rate5m", perSecond(totalOnly), s.Labels)
	p.alias("pyrra_errors:rate5m", bare(perSecond(badOnly)).notNegative(), s.Labels)
	metric := totalOf(s)
	if metric.IsZero() {
		return
	}
	n := p.sums(s.Window.Length)
	switch m := s.Indicator.Measure().(type) {
	case slo.Counters:
		p.increases(m, n)
	case slo.States:
		name := base(metric.Name())
		p.alias(name+":count"+windowName(s.Window.Length), unlabelled(n.total), s.Labels, equalities(metric))
		p.alias(name+":sum"+windowName(s.Window.Length), n.good(), s.Labels, equalities(metric))
	}
}

// increases writes the increase of each counter over the SLO's window. One series
// stands for all that a pattern matches. There are none where counters have weights,
// or two series would have one name.
func (p *plan) increases(c slo.Counters, n sums) {
	var rules []func()
	seen := map[string]bool{}
	for _, r := range series.OfCounters(c, nil) {
		events, ok := map[[2]float64]expr{{1, 1}: n.total, {1, 0}: n.good(), {0, 1}: n.bad}[[2]float64{r.PerGood, r.PerBad}]
		of := necessary(c, r.Labels)
		if !ok || seen[of.String()] {
			return
		}
		seen[of.String()] = true
		name := base(of.Get(model.MetricNameLabel)) + ":increase" + windowName(p.s.Window.Length)
		own := labels.NewBuilder(of).Del(model.MetricNameLabel).Labels().Map()
		rules = append(rules, func() { p.alias(name, bare(events), p.s.Labels, own) })
	}
	for _, write := range rules {
		write()
	}
}

// necessary are the labels of a series without which counters would count it
// otherwise.
func necessary(c slo.Counters, l labels.Labels) labels.Labels {
	lists := []slo.Counter{c.Good, c.Bad, c.Total}
	for _, name := range slices.Sorted(maps.Keys(l.Map())) {
		less := labels.NewBuilder(l).Del(name).Labels()
		if !slices.ContainsFunc(lists, func(of slo.Counter) bool { return series.Weight(of, less) != series.Weight(of, l) }) {
			l = less
		}
	}
	return l
}

// totalOf selects the metric after which Pyrra calls what it records: the counter of
// all events, or the gauge. It is zero where an SLO has none, or counts what is not
// in it.
func totalOf(s *slo.SLO) slo.Selector {
	var total slo.Selector
	switch m := s.Indicator.Measure().(type) {
	case slo.Counters:
		total, _ = m.Total.Plain()
	case slo.States:
		total = m.Gauge
	}
	if s.Slice != nil || total.IsZero() || total.Name() == "" {
		return slo.Selector{}
	}
	return total
}

// base is a metric's name without the suffixes of counters and histograms.
func base(name string) string {
	for _, suffix := range []string{"_total", "_count", "_bucket"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// equalities are the labels that all series of a selector have.
func equalities(s slo.Selector) map[string]string {
	out := map[string]string{}
	for _, m := range s.Matchers() {
		if m.Type == labels.MatchEqual && m.Name != model.MetricNameLabel && m.Value != "" {
			out[m.Name] = m.Value
		}
	}
	return out
}

// mergedLabels are labels, each list over those before.
func mergedLabels(lists ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, l := range lists {
		maps.Copy(out, l)
	}
	return out
}
