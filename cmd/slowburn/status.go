package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/dashboards/terminal"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo/humanize"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

type statusFlags struct {
	inputs
	at, output       string
	noColor, history bool
}

func newStatus(s streams) *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status PATH... --backend URL",
		Short: "Show budgets and burn rates, now or at a past instant",
		Long: "Count the events of SLOs in a backend and show their error budgets, without a\n" +
			"service running. PATH is a file, a directory, or - for standard input; without PATH,\n" +
			"the SLO files are those in --config.\n\n" +
			"The worst SLOs come first: ! marks a firing page or a spent budget, ~ a firing ticket,\n" +
			"? unknown numbers. BURN 1h is the burn rate over the last hour, or over the shortest\n" +
			"alert window of an hour or more. The ten worst groups of an SLO are below it. Before\n" +
			"an SLI, * means that less than 90 % of the window is known, ≈ that the SLI is\n" +
			"estimated, and † that it may be wrong, for the reasons below the table. Times are UTC.\n\n" +
			"--history also shows the earlier periods of calendar windows, such as past months, as\n" +
			"far back as the backend has data.\n\n" +
			"If an SLO can't be evaluated, the exit code is 3. The others are still shown.",
		Example: "  slowburn status slos/ --backend http://prometheus:9090\n" +
			"  slowburn status --config slowburn.yaml --at 2026-11-22T06:00:00Z\n" +
			"  slowburn status slos/ --backend http://prometheus:9090 -o json | jq '.slos[].budget.remaining'",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return status(cmd.Context(), s, args, f) },
	}
	f.register(c)
	f.registerNoCache(c)
	c.Flags().BoolVar(&f.history, "history", false, "also show the calendar periods that ended")
	return c
}

func (f *statusFlags) register(c *cobra.Command) {
	f.registerOnce(c)
	c.Flags().StringVar(&f.at, "at", "", "a past `TIME`, as RFC 3339 or Unix seconds (default now)")
	_ = c.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	registerOutput(c, &f.output, "table", "json")
	c.Flags().BoolVar(&f.noColor, "no-color", false, "don't colour the table; NO_COLOR does the same")
}

// prepare returns an evaluator for the flags, the SLOs, and the instant to evaluate.
func (f *statusFlags) prepare(ctx context.Context, s streams, paths []string) (*loop.Loop, *spec.Set, time.Time, error) {
	at, err := f.instant()
	if err != nil {
		return nil, nil, at, err
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return nil, nil, at, err
	}
	options, err := f.evaluatorOptions(cfg)
	if err != nil {
		return nil, nil, at, err
	}
	options.Cache = cacheOf(cfg)
	set, err := load(ctx, s, paths, cfg)
	if err != nil {
		return nil, nil, at, err
	}
	return loop.New(options), set, at, nil
}

// instant returns the instant to evaluate. It checks the output flag too.
func (f *statusFlags) instant() (time.Time, error) {
	now := time.Now()
	if err := checkOutput(f.output, "table", "json"); err != nil || f.at == "" {
		return now, err
	}
	at, err := humanize.ParseTime(f.at)
	switch {
	case err != nil:
		return now, usage("--at: %w", err)
	case at.After(now):
		return now, usage("--at: %s is in the future", at.UTC().Format(time.RFC3339))
	}
	return at, nil
}

func status(ctx context.Context, s streams, paths []string, f statusFlags) error {
	e, set, at, err := f.prepare(ctx, s, paths)
	if err != nil {
		return err
	}
	stop := terminal.Progress(s.err, e.Progress)
	evaluate := e.EvaluateAt
	if f.history {
		evaluate = e.HistoryAt
	}
	result, unread := evaluate(ctx, set.SLOs, at)
	stop()
	if result == nil {
		return failure("%w", unread)
	}
	report := *result
	report.Problems = append(reload.Problems(set.Findings), result.Problems...) // of groups that are left out
	if f.output == "json" {
		err = writeJSON(s.out, report)
	} else {
		sc := terminal.NewScreen(s.out, f.noColor)
		if err = terminal.Table(s.out, &report, sc); err == nil && f.history {
			err = terminal.Periods(s.out, &report, sc)
		}
	}
	switch {
	case err != nil:
		return failure("writing: %w", err)
	case unread != nil:
		return failure("%w", unread)
	}
	return failed(&report)
}

// failed returns an error if SLOs could not be evaluated, so that scripts don't take the
// numbers for complete.
func failed(r *evaluator.Report) error {
	var without []withoutResult
	for _, s := range r.SLOs {
		if s.State == evaluator.StateQueryFailed {
			without = append(without, withoutResult{s.ID, s.StateReason})
		}
	}
	outages := summary.Outages(r)
	for _, o := range outages {
		if n := len(without); len(outages) == 1 && o.SLOs == n {
			return failure("%d of %d SLOs can't be evaluated: backend %s can't be read: %s", n, len(r.SLOs), o.Backend, o.Reason)
		}
	}
	return incomplete("evaluated", without, len(r.SLOs))
}

// withoutResult is an SLO for which a command has no results.
type withoutResult struct{ id, reason string }

// incomplete returns the error of a command that has no results for some of all SLOs, nil if
// it has all.
func incomplete(what string, without []withoutResult, all int) error {
	switch n := len(without); n {
	case 0:
		return nil
	case 1:
		return failure("%s can't be %s: %s", without[0].id, what, without[0].reason)
	default:
		return failure("%d of %d SLOs can't be %s, such as %s: %s", n, all, what, without[0].id, without[0].reason)
	}
}
