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

// backtestSpan is how much is looked at when nobody says from when on.
const backtestSpan = 90 * 24 * time.Hour

func newBacktest(s streams) *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{
		Use:   "backtest PATH... --backend URL",
		Short: "Show which alerts would have fired over past data",
		Long: "Replay alert policies over what a backend remembers, with the code that decides\n" +
			"live: which pages and tickets would have come, how soon, what had been spent by\n" +
			"then, what would have been missed, and which objective the history supports. PATH\n" +
			"is a file, a directory, or - for standard input; without PATH, --config says where\n" +
			"the SLO files are.\n\n" +
			"Each objective is tried with each policy, on the same counts. An incident is a\n" +
			"stretch of time that took 1 % of the budget or more, whatever the policy says of it;\n" +
			"it is missed when it is over and no alert was about it; an alert about none is false.\n" +
			"What is not known counts neither as quiet nor as good. Times are UTC.\n\n" +
			"An SLO of which nothing can be said makes the exit code 3; the others are shown all\n" +
			"the same.",
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

// untested is an error when nothing can be said of SLOs.
func untested(r *backtest.Report) error {
	var first *backtest.TestedSLO
	n := 0
	for i := range r.SLOs {
		if s := &r.SLOs[i]; s.Error != "" {
			if n++; first == nil {
				first = s
			}
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return failure("%s can't be tested: %s", first.ID, first.Error)
	}
	return failure("%d of %d SLOs can't be tested, such as %s: %s", n, len(r.SLOs), first.ID, first.Error)
}
