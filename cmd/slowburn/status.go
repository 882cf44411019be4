package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/evaluator"
)

type statusFlags struct {
	inputs
	at, output string
	noColor    bool
}

func newStatus(s streams) *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status PATH... --backend URL",
		Short: "Show budgets and burn rates, now or at a past instant",
		Long: "Count the events of SLOs in a backend and show their error budgets, without a\n" +
			"service running. PATH is a file, a directory, or - for standard input; without\n" +
			"PATH, --config says where the SLO files are.",
		RunE: func(cmd *cobra.Command, args []string) error { return status(cmd.Context(), s, args, f) },
	}
	f.register(c)
	c.Flags().StringVar(&f.at, "at", "", "a past instant, as RFC 3339 or Unix seconds (default now)")
	c.Flags().StringVarP(&f.output, "output", "o", "table", "`FORMAT`: table or json")
	c.Flags().BoolVar(&f.noColor, "no-color", false, "don't colour the table; NO_COLOR does the same")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func status(ctx context.Context, s streams, paths []string, f statusFlags) error {
	if f.output != "table" && f.output != "json" {
		return codeError{exitUsage, fmt.Errorf("--output %q is neither table nor json", f.output)}
	}
	at := time.Now()
	if f.at != "" {
		var err error
		if at, err = parseTime(f.at); err != nil {
			return codeError{exitUsage, fmt.Errorf("--at: %w", err)}
		}
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return err
	}
	options, err := evaluatorOptions(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	slos, err := load(ctx, s, paths, cfg)
	if err != nil {
		return err
	}
	report, err := evaluator.New(options).EvaluateAt(ctx, slos, at)
	if err != nil {
		return failure("%w", err)
	}
	if f.output == "json" {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = printTable(s.out, report, colours(s.out, f.noColor))
	}
	if err != nil {
		return failure("writing: %w", err)
	}
	return firstFailure(report)
}

// firstFailure is an error when an SLO could not be evaluated, so that scripts
// don't take the numbers for whole.
func firstFailure(r *evaluator.Report) error {
	i := slices.IndexFunc(r.SLOs, func(s evaluator.Status) bool { return s.State == evaluator.StateQueryFailed })
	if i < 0 {
		return nil
	}
	return failure("%s can't be evaluated: %s", r.SLOs[i].ID, r.SLOs[i].StateReason)
}
