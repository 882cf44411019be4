// Package ruler evaluates rule files in an embedded Prometheus. It is for tests: what it is
// made of brings the clients of all clouds along, which the program has no use for.
package ruler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

const (
	// ruleFile is the name under which rules are loaded. Each group's shift
	// within its interval is a hash of this name and its own.
	ruleFile = "rules.yml"
	// defaultRuleInterval is that of groups without one.
	defaultRuleInterval = time.Minute
)

// Eval evaluates the groups of a rule file over [from, to] as a Prometheus
// would have that had loaded it as "rules.yml": each group at its interval,
// shifted within it by the hash of the file's and the group's name, never at
// round times. Groups that fall on one instant go in the order of the file.
//
// Results, ALERTS and stale markers are written to db, so what one group
// records the next ones read. Nothing is carried from one call to the next: a
// pending alert begins again. The error joins the first one of each rule that
// didn't evaluate or whose results were refused; the other rules go on.
func Eval(ctx context.Context, db *memprom.DB, rulesYAML []byte, from, to time.Time) error {
	groups, err := ruleGroups(ctx, db, rulesYAML)
	if err != nil {
		return err
	}
	next := make([]time.Time, len(groups))
	for i, g := range groups {
		next[i] = g.EvalTimestamp(from.UnixNano())
		if next[i].Before(from) {
			next[i] = next[i].Add(g.Interval())
		}
	}
	var errs []error
	failed := map[rules.Rule]bool{}
	for ctx.Err() == nil {
		first := -1
		for i, t := range next {
			if !t.After(to) && (first < 0 || t.Before(next[first])) {
				first = i
			}
		}
		if first < 0 {
			return errors.Join(errs...)
		}
		g, at := groups[first], next[first]
		next[first] = at.Add(g.Interval())
		g.Eval(ctx, at)
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil && !failed[r] {
				failed[r] = true
				errs = append(errs, fmt.Errorf("evaluating %s of group %s at %s: %w",
					r.Name(), g.Name(), at.Format(time.RFC3339Nano), err))
			}
		}
	}
	return ctx.Err()
}

// ruleGroups loads a rule file's groups in its order.
func ruleGroups(ctx context.Context, db *memprom.DB, rulesYAML []byte) ([]*rules.Group, error) {
	p := parser.NewParser(parser.Options{})
	text := ruleText{rulesYAML, p}
	file, errs := text.Load(ruleFile, false, model.UTF8Validation)
	if len(errs) > 0 {
		return nil, fmt.Errorf("loading rules: %w", errors.Join(errs...))
	}
	// Its logger stays silent: what it would say is in the rules' errors.
	m := rules.NewManager(&rules.ManagerOptions{
		Context:     ctx,
		QueryFunc:   rules.EngineQueryFunc(db.Engine(), db.Queryable()),
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {},
		Appendable:  db,
		Queryable:   db.Queryable(),
		GroupLoader: text,
		Parser:      p,
	})
	byKey, errs := m.LoadGroups(defaultRuleInterval, labels.EmptyLabels(), "", nil, false, ruleFile)
	if len(errs) > 0 {
		return nil, fmt.Errorf("loading rules: %w", errors.Join(errs...))
	}
	groups := make([]*rules.Group, 0, len(file.Groups))
	for _, spec := range file.Groups {
		g := byKey[rules.GroupKey(ruleFile, spec.Name)]
		for _, r := range g.AlertingRules() {
			r.SetRestored(true) // else it waits for an earlier run's state before it writes ALERTS
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// ruleText is a rule file in memory, as a rules.GroupLoader.
type ruleText struct {
	text   []byte
	parser parser.Parser
}

// Load implements rules.GroupLoader.
func (r ruleText) Load(_ string, unknown bool, names model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	return rulefmt.Parse(r.text, unknown, names, r.parser, slog.New(slog.DiscardHandler))
}

// Parse implements rules.GroupLoader.
func (r ruleText) Parse(query string) (parser.Expr, error) { return r.parser.ParseExpr(query) }
