package rules

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// Naming is the tool whose names are recorded beside slowburn's own, and whose
// labels alerts have too: "" for none.
type Naming string

// The tools whose names are known. What stands behind them is what slowburn counts.
const (
	Sloth Naming = "sloth"
	Pyrra Naming = "pyrra"
)

// names are what a tool calls what rules know of an SLO.
type names interface {
	// tool is what people call it.
	tool() string
	// identity is by what it tells SLOs apart.
	identity(s *slo.SLO) string
	// of is an SLO with the severities that the tool's alerts have.
	of(s *slo.SLO) *slo.SLO
	// windows are those that names end in, where the SLO's own is as long.
	windows(s *slo.SLO) []slo.Window
	// record writes the recording rules.
	record(w *ruleWriter)
	// alerts are the tiers of a severity, by alerts.
	alerts(tiers []firingTier) [][]firingTier
	// alertLabels are the labels of the alert of some of these.
	alertLabels(s *slo.SLO, tiers []firingTier) map[string]string
	// annotations are those of the alert beside slowburn's.
	annotations(s *slo.SLO, tiers []firingTier) [][2]string
}

// names are nil where there is no such tool.
func (n Naming) names() names {
	switch n {
	case Sloth:
		return slothNames{}
	case Pyrra:
		return pyrraNames{}
	}
	return nil
}

// Valid reports whether the names are known.
func (n Naming) Valid() bool { return n == "" || n.names() != nil }

// Refusals say why such rules can't carry SLOs, "" for those that they can.
func (o Options) Refusals(slos []*slo.SLO) []string {
	out, called := make([]string, len(slos)), map[string]*slo.SLO{}
	for i, s := range slos {
		var why []string
		if reason := o.refusal(s); reason != "" {
			why = append(why, reason)
		}
		if as := o.Naming.names(); as != nil {
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

// rename makes w write the names of a tool too.
func (w *ruleWriter) rename(n Naming) {
	if w.names = n.names(); w.names != nil {
		w.s = w.names.of(w.s)
	}
}

// alertsOf are the tiers of a severity, by alerts: one, unless another tool has more.
func (w *ruleWriter) alertsOf(tiers []firingTier) [][]firingTier {
	if w.names == nil {
		return [][]firingTier{tiers}
	}
	return w.names.alerts(tiers)
}

// nameAlert adds the labels of another tool to those of an alert.
func (w *ruleWriter) nameAlert(own map[string]string, tiers []firingTier) {
	if w.names != nil {
		maps.Copy(own, w.names.alertLabels(w.s, tiers))
	}
}

// notOf matches the windows over 6 h but one and others.
func notOf(one slo.Window, others []slo.Window) string {
	if others = slices.DeleteFunc(others, func(win slo.Window) bool { return win <= longestDirect }); len(others) == 0 {
		return ",window!=" + strconv.Quote(one.String())
	}
	all := []string{one.String()}
	for _, win := range others {
		all = append(all, win.String())
	}
	return ",window!~" + strconv.Quote(strings.Join(all, "|"))
}

// moreWindows are the windows of names that are not those of the policy, ascending.
func (w *ruleWriter) moreWindows() []slo.Window {
	if w.names == nil {
		return nil
	}
	known := alerting.Windows(w.tiers, w.s.Window.Length)
	return slices.DeleteFunc(w.namedWindows(), func(win slo.Window) bool { return slices.Contains(known, win) })
}

// namedWindows are all windows of names, ascending, of which none is longer than
// the SLO's own.
func (w *ruleWriter) namedWindows() []slo.Window {
	out := slices.DeleteFunc(w.names.windows(w.s), func(win slo.Window) bool { return win <= 0 || win > w.s.Window.Length })
	slices.Sort(out)
	return slices.Compact(out)
}

// beside are labels, each over those before, without what w has in all its rules.
func (w *ruleWriter) beside(lists ...map[string]string) []string {
	out := map[string]string{}
	for _, l := range lists {
		maps.Copy(out, l)
	}
	for _, name := range []string{"slo_id", "slo_service", "slo"} {
		delete(out, name)
	}
	return sortedPairs(out)
}

// windowName is a window in the names of both tools: 28 d is "4w".
func windowName(w slo.Window) string { return model.Duration(w).String() }

type slothNames struct{}

func (slothNames) tool() string               { return "Sloth" }
func (slothNames) identity(s *slo.SLO) string { return s.Service + "-" + s.Name }
func (slothNames) of(s *slo.SLO) *slo.SLO     { return s }

func (slothNames) windows(s *slo.SLO) []slo.Window {
	const minute, hour = slo.Window(time.Minute), slo.Window(time.Hour)
	return []slo.Window{5 * minute, 30 * minute, hour, 2 * hour, 6 * hour, 24 * hour, 72 * hour, s.Window.Length}
}

func (n slothNames) ids(s *slo.SLO) map[string]string {
	return map[string]string{"sloth_id": n.identity(s), "sloth_service": s.Service, "sloth_slo": s.Name}
}

// specLabels are the labels of all that Sloth writes for a spec. Its specs name the
// owner by a label, which here is a field.
func (n slothNames) specLabels(s *slo.SLO) map[string]string {
	out := n.ids(s)
	if s.Owner != "" {
		out["owner"] = s.Owner
	}
	return out
}

func (n slothNames) record(w *ruleWriter) {
	s, spec := w.s, n.specLabels(w.s)
	over := func(win slo.Window) []string {
		return w.beside(s.Labels, spec, map[string]string{"sloth_window": windowName(win)})
	}
	for _, win := range w.namedWindows() {
		w.record("slo:sli_error:ratio_rate"+windowName(win), w.sums(win).badShare(), over(win)...)
	}
	const newest = slo.Window(5 * time.Minute)
	now, remaining := w.sums(newest), w.now("slo_error_budget_remaining_ratio", "")
	for _, r := range []struct {
		name, expr string
		labels     []string
	}{
		{"slo:objective:ratio", "vector(" + s.Objective.RatioText() + ")", w.beside(s.Labels, spec)},
		{"slo:error_budget:ratio", "vector(" + s.Objective.BudgetText() + ")", w.beside(s.Labels, spec)},
		{"slo:time_period:days", "vector(" + floatText(s.Window.Length.Duration().Hours()/24) + ")", w.beside(s.Labels, spec)},
		{"slo:current_burn_rate:ratio", now.badShare() + " / " + s.Objective.BudgetText() + "\nor " + now.total + " == 0", over(newest)},
		{"slo:period_burn_rate:ratio", "1 - " + remaining, over(s.Window.Length)},
		{"slo:period_error_budget_remaining:ratio", remaining, over(s.Window.Length)},
	} {
		w.record(r.name, r.expr, r.labels...)
	}
	w.record("sloth_slo_info", "vector(1)", w.beside(s.Labels, spec, map[string]string{
		"sloth_version": "slowburn", "sloth_mode": "slowburn", "sloth_spec": "slowburn/v1", "sloth_objective": s.Objective.Percent(),
	})...)
}

func (slothNames) alerts(tiers []firingTier) [][]firingTier { return [][]firingTier{tiers} }

func (n slothNames) alertLabels(s *slo.SLO, tiers []firingTier) map[string]string {
	out := n.specLabels(s)
	out["sloth_severity"] = tiers[0].Severity
	return out
}

func (slothNames) annotations(s *slo.SLO, tiers []firingTier) [][2]string {
	return [][2]string{{"title", literal("(" + tiers[0].Severity + ") " + s.Service + " " + s.Name + " SLO error budget burn rate is too fast.")}}
}

type pyrraNames struct{}

func (pyrraNames) tool() string               { return "Pyrra" }
func (pyrraNames) identity(s *slo.SLO) string { return s.Name }

// of calls the severities critical and warning, where the SLO file does not name
// them.
func (pyrraNames) of(s *slo.SLO) *slo.SLO {
	if s.Alerting.Page.Label != "" || s.Alerting.Ticket.Label != "" {
		return s
	}
	out := *s
	out.Alerting.Page.Label, out.Alerting.Ticket.Label = "critical", "warning"
	return &out
}

// windows are parts of the SLO's own, as long as they are of 28 d, rounded to whole
// minutes. Some are none for SLOs over a day or two.
func (pyrraNames) windows(s *slo.SLO) []slo.Window {
	const of = 28 * 24 * 60
	length := int64(s.Window.Length.Duration() / time.Minute)
	var out []slo.Window
	for _, minutes := range []int64{5, 30, 60, 2 * 60, 6 * 60, 24 * 60, 4 * 24 * 60} {
		out = append(out, slo.Window((minutes*length+of/2)/of)*slo.Window(time.Minute))
	}
	return out
}

func (pyrraNames) record(w *ruleWriter) {
	s := w.s
	perSecond := func(of string) string { return w.over("avg", of, slo.Window(5*time.Minute)) + " / 60" }
	for _, r := range [][2]string{
		{"pyrra_objective", "vector(" + s.Objective.RatioText() + ")"},
		{"pyrra_window", "vector(" + floatText(s.Window.Length.Duration().Seconds()) + ")"},
		{"pyrra_availability", w.now("slo_sli_ratio", "")},
		{"pyrra_requests:rate5m", perSecond(eventsOf("slot"))},
		{"pyrra_errors:rate5m", "clamp_min(" + perSecond(badOf("slot")) + ", 0)"},
	} {
		w.record(r[0], r[1], w.beside(s.Labels)...)
	}
	metric := totalOf(s)
	if metric.IsZero() {
		return
	}
	for _, win := range w.namedWindows() {
		w.record(base(metric.Name())+":burnrate"+windowName(win), w.sums(win).badShare(), w.beside(s.Labels, equalities(metric))...)
	}
	n := w.sums(s.Window.Length)
	switch m := s.Indicator.Measure().(type) {
	case slo.Counters:
		w.increases(m, n)
	case slo.States:
		name := base(metric.Name())
		w.record(name+":count"+windowName(s.Window.Length), n.total, w.beside(s.Labels, equalities(metric))...)
		w.record(name+":sum"+windowName(s.Window.Length), n.total+" - "+n.bad, w.beside(s.Labels, equalities(metric))...)
	}
}

// increases writes the increase of each counter over the SLO's window. One series
// stands for all that a pattern matches. There are none where counters have weights,
// or two series would have one name.
func (w *ruleWriter) increases(c slo.Counters, n sums) {
	rules, exprs := [][]string{}, map[string]string{}
	for _, r := range risingOf(c, nil) {
		expr := map[[2]float64]string{{1, 1}: n.total, {1, 0}: n.total + " - " + n.bad, {0, 1}: n.bad}[[2]float64{r.perGood, r.perBad}]
		of := necessary(c, r.labels).Map()
		name := base(of[model.MetricNameLabel]) + ":increase" + windowName(w.s.Window.Length)
		delete(of, model.MetricNameLabel)
		rule := append([]string{name}, w.beside(w.s.Labels, of)...)
		key := strings.Join(rule, "\xff")
		if expr == "" || exprs[key] != "" {
			return
		}
		exprs[key] = expr
		rules = append(rules, rule)
	}
	for _, rule := range rules {
		w.record(rule[0], exprs[strings.Join(rule, "\xff")], rule[1:]...)
	}
}

// necessary are the labels of a series without which counters would count it
// otherwise.
func necessary(c slo.Counters, l labels.Labels) labels.Labels {
	lists := []slo.Counter{c.Good, c.Bad, c.Total}
	for _, name := range slices.Sorted(maps.Keys(l.Map())) {
		less := labels.NewBuilder(l).Del(name).Labels()
		if !slices.ContainsFunc(lists, func(of slo.Counter) bool { return weightOf(of, less) != weightOf(of, l) }) {
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

// alerts are one of each tier.
func (pyrraNames) alerts(tiers []firingTier) [][]firingTier {
	out := make([][]firingTier, len(tiers))
	for i := range tiers {
		out[i] = tiers[i : i+1]
	}
	return out
}

func (pyrraNames) annotations(*slo.SLO, []firingTier) [][2]string { return nil }

func (pyrraNames) alertLabels(s *slo.SLO, tiers []firingTier) map[string]string {
	t := tiers[0]
	exhaustion := time.Duration(float64(s.Window.Length) / t.Factor).Round(time.Minute)
	out := equalities(totalOf(s))
	maps.Copy(out, map[string]string{"short": windowName(t.Short), "long": windowName(t.Long), "exhaustion": model.Duration(exhaustion).String()})
	return out
}
