package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

func newValidate(s streams) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "validate PATH...",
		Short: "Check SLO files, without a backend",
		Long:  "Check SLO files and list everything found in them, each with its place and a hint.\nPATH is a file, a directory, or - for standard input. Errors exit with 1.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd.Context(), s, args, strict)
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 on warnings too")
	return c
}

func validate(ctx context.Context, s streams, paths []string, strict bool) error {
	set, err := read(ctx, s, paths, config.Default())
	if err != nil {
		return err
	}
	printFindings(s.out, set.Findings)
	errs, warnings := 0, 0
	for _, f := range set.Findings {
		if f.Severity == yamlfile.Error {
			errs++
		} else {
			warnings++
		}
	}
	if errs > 0 || strict && warnings > 0 {
		fmt.Fprintf(s.err, "%s, %s\n", plural(errs, "error"), plural(warnings, "warning"))
		return codeError{code: exitFindings}
	}
	fmt.Fprintf(s.err, "%s fine, %s\n", plural(len(set.SLOs), "SLO"), plural(warnings, "warning"))
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
