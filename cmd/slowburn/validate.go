package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

type validateFlags struct {
	inputs
	output string
	strict bool
	expand bool
}

func newValidate(s streams) *cobra.Command {
	var f validateFlags
	c := &cobra.Command{
		Use:   "validate PATH...",
		Short: "Check SLO files, without a backend",
		Long: "Check SLO files and list everything found in them, each with its place and a hint.\n\n" +
			"PATH is a file, a directory, or - for standard input. With --config the service's\n" +
			"own file is checked too and, without PATH, the SLO files that it names.\n\n" +
			"Findings are on standard output. Errors exit with 1, warnings only with --strict.",
		Example:           "  slowburn validate slos/\n  slowburn validate --expand slos/\n  slowburn validate --strict -o json slos/ | jq -r '.problems[].message'\n  slowburn validate - < checkout.yaml",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return validate(cmd.Context(), s, args, f) },
	}
	f.registerConfig(c, "the service's own `FILE`, to be checked with the SLO files")
	registerOutput(c, &f.output, "text", "json")
	c.Flags().BoolVar(&f.strict, "strict", false, "exit with 1 on warnings too")
	c.Flags().BoolVar(&f.expand, "expand", false, "print the SLOs with all defaults and exclusions filled in, findings on standard error")
	return c
}

func validate(ctx context.Context, s streams, paths []string, f validateFlags) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	if f.expand && f.output != "text" {
		return usage("--expand prints YAML, and has no other output")
	}
	cfg, findings, err := f.parse()
	if err != nil {
		return err
	}
	set := &slo.Set{}
	if len(paths) > 0 || !yamlfile.HasErrors(findings) {
		if set, err = read(ctx, s, paths, cfg); err != nil {
			printFindings(s.out, findings)
			return err
		}
	}
	findings = append(findings, set.Findings...)
	if err := f.write(s, set, findings); err != nil {
		return failure("writing: %w", err)
	}
	errs, warnings := 0, 0
	for _, f := range findings {
		if f.Severity == yamlfile.Error {
			errs++
		} else {
			warnings++
		}
	}
	if errs > 0 || f.strict && warnings > 0 {
		fmt.Fprintf(s.err, "%s, %s\n", plural(errs, "error"), plural(warnings, "warning"))
		return codeError{code: exitFindings}
	}
	fmt.Fprintf(s.err, "%s fine, %s\n", plural(len(set.SLOs), "SLO"), plural(warnings, "warning"))
	return nil
}

// write prints the findings or, where nothing is wrong and it is asked for, the
// SLOs.
func (f validateFlags) write(s streams, set *slo.Set, findings []yamlfile.Finding) error {
	if !f.expand || yamlfile.HasErrors(findings) {
		return writeFindings(s, findings, f.output)
	}
	printFindings(s.err, findings)
	text, err := slo.Expand(set.SLOs)
	if err == nil {
		_, err = s.out.Write(text)
	}
	return err
}

// writeFindings prints findings, as JSON in the form that status and the API
// have for them.
func writeFindings(s streams, findings []yamlfile.Finding, format string) error {
	if format == "json" {
		return writeJSON(s.out, struct {
			Format   int                 `json:"format"` // 1
			Problems []evaluator.Problem `json:"problems"`
		}{1, problemsOf(findings)})
	}
	printFindings(s.out, findings)
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
