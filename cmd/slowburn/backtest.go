package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/backtest"
	"github.com/slowburn-slo/slowburn/dashboards/terminal"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

type backtestFlags struct {
	inputs
	from, to, output     string
	objectives, policies []string
	noColor              bool
}

// backtestSpan is the length of a backtest without --from.
const backtestSpan = 90 * 24 * time.Hour

func newBacktest(s streams) *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{
		Use:   "backtest PATH... --backend URL",
		Short: "Show which alerts would have fired over past data",
		Long: "Replay alert policies over the data of a backend, with the code that runs live. It\n" +
			"shows which pages and tickets would have fired, how soon, how much budget was spent\n" +
			"by then, which incidents would have been missed, and which objective the history\n" +
			"supports. PATH is a file, a directory, or - for standard input; without PATH, the SLO\n" +
			"files are those in --config.\n\n" +
			"Each objective is tried with each policy, on the same counts. An incident is a time\n" +
			"that took at least 1 % of the budget, with more failures than chance explains. For\n" +
			"jobs it is any bad run. An incident is missed if it ended without an alert, and an\n" +
			"alert without an incident is false. Unknown time counts neither as quiet nor as good.\n" +
			"Times are UTC.\n\n" +
			"If an SLO can't be tested, the exit code is 3. The others are still shown.",
		Example: "  slowburn backtest slos/ --backend http://prometheus:9090\n" +
			"  slowburn backtest slos/checkout.yaml --backend http://prometheus:9090 --objectives 99,99.5,99.9 --policies default,classic\n" +
			"  slowburn backtest --config slowburn.yaml --from 2026-08-01T00:00:00Z --to 2026-11-01T00:00:00Z -o markdown",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return runBacktest(cmd.Context(), s, args, f) },
	}
	f.registerOnce(c)
	c.Flags().StringVar(&f.from, "from", "", "begin at a past `TIME`, as RFC 3339 or Unix seconds (default 90 days before --to)")
	c.Flags().StringVar(&f.to, "to", "", "end at a past `TIME` (default now)")
	c.Flags().StringSliceVar(&f.objectives, "objectives", nil, "try these `PERCENTAGES`, such as 99,99.5,99.9 (default that of each SLO)")
	c.Flags().StringSliceVar(&f.policies, "policies", nil, "try these alert `POLICIES`, such as default,classic (default that of each SLO)")
	for _, name := range []string{"from", "to", "objectives"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = c.RegisterFlagCompletionFunc("policies", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return strings.Split(alerting.BuiltIn().Names(), ", "), cobra.ShellCompDirectiveNoFileComp
	})
	registerOutput(c, &f.output, "table", "json", "markdown")
	c.Flags().BoolVar(&f.noColor, "no-color", false, "don't colour the table; NO_COLOR does the same")
	return c
}

// test makes a backtest of the flags. settled is the newest minute that is final.
func (f *backtestFlags) test(policies alerting.Policies, settled timeline.Minute, now time.Time) (*backtest.Replay, error) {
	to := settled.Time()
	var err error
	if f.to != "" {
		if to, err = humanize.ParseTime(f.to); err != nil {
			return nil, usage("--to: %w", err)
		}
		if to.After(now) {
			return nil, usage("--to: %s is in the future", to.UTC().Format(time.RFC3339))
		}
	}
	from := to.Add(-backtestSpan)
	if f.from != "" {
		if from, err = humanize.ParseTime(f.from); err != nil {
			return nil, usage("--from: %w", err)
		}
	}
	b := &backtest.Replay{Policies: policies, From: timeline.MinuteOf(from), To: min(timeline.MinuteOf(to), settled)}
	if b.From >= b.To {
		return nil, usage("--from: %s is not before %s, where the backtest ends", from.UTC().Format(time.RFC3339), b.To.Time().Format(time.RFC3339))
	}
	for _, text := range f.objectives {
		o, err := slo.ParseObjective(text)
		if err != nil {
			return nil, usage("--objectives: %w", err)
		}
		if !slices.ContainsFunc(b.Objectives, func(known slo.Objective) bool { return known.RatioText() == o.RatioText() }) {
			b.Objectives = append(b.Objectives, o)
		}
	}
	for _, name := range f.policies {
		if _, known := policies[name]; !known {
			return nil, usage("--policies: there is no policy %q, only %s", name, policies.Names())
		}
		if !slices.Contains(b.Names, name) {
			b.Names = append(b.Names, name)
		}
	}
	return b, nil
}

func runBacktest(ctx context.Context, s streams, paths []string, f backtestFlags) error {
	if err := checkOutput(f.output, "table", "json", "markdown"); err != nil {
		return err
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return err
	}
	options, err := f.evaluatorOptions(cfg)
	if err != nil {
		return err
	}
	e := loop.New(options)
	b, err := f.test(cfg.Policies, e.Settled(), time.Now())
	if err != nil {
		return err
	}
	e.Lookback = b.Lookback
	set, err := load(ctx, s, paths, cfg)
	if err != nil {
		return err
	}
	stop := terminal.Progress(s.err, e.Progress)
	report, err := b.Run(ctx, e, set.SLOs)
	stop()
	if err != nil {
		return failure("%w", err)
	}
	switch f.output {
	case "json":
		err = writeJSON(s.out, report)
	case "markdown":
		err = terminal.BacktestMarkdown(s.out, report)
	default:
		err = terminal.Backtest(s.out, report, terminal.NewScreen(s.out, f.noColor))
	}
	if err != nil {
		return failure("writing: %w", err)
	}
	return untested(report)
}

// untested returns an error if SLOs could not be tested.
func untested(r *backtest.Report) error {
	var without []withoutResult
	for _, s := range r.SLOs {
		if s.Error != "" {
			without = append(without, withoutResult{s.ID, s.Error})
		}
	}
	return incomplete("tested", without, len(r.SLOs))
}
