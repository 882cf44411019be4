package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
	"github.com/slowburn-slo/slowburn/slo/spec"
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
	if web := cfg.Web.ConfigFile; web != "" && !yamlfile.HasErrors(findings) {
		if err := checkWeb(web); err != nil {
			findings = append(findings, yamlfile.Finding{
				File: web, Severity: yamlfile.Error, Message: err.Error(), Hint: "the file is a web configuration of Prometheus exporters; users have bcrypt hashes, not passwords",
			})
		}
	}
	set := &spec.Set{}
	if len(paths) > 0 || !yamlfile.HasErrors(findings) {
		if set, err = read(ctx, s, paths, cfg); err != nil {
			printFindings(s.out, findings)
			return err
		}
	}
	set.Add(append(unknownBackends(cfg, set.SLOs), plannedObjectives(set.SLOs, time.Now())...)...)
	if !yamlfile.HasErrors(findings) {
		f.checkPolicies(set, cfg)
	}
	findings = append(findings, set.Findings...)
	if err := f.write(s, set, findings); err != nil {
		return failure("writing: %w", err)
	}
	return verdict(s, len(set.SLOs), findings, f.strict)
}

// unknownBackends returns findings for SLOs with a backend that the configuration lacks.
func unknownBackends(cfg *config.Config, slos []*slo.SLO) []slo.Finding {
	var names []string
	for _, b := range cfg.Backends {
		names = append(names, b.Name)
	}
	var out []slo.Finding
	for _, o := range slos {
		if o.Backend != "" && len(names) > 0 && !slices.Contains(names, o.Backend) {
			out = append(out, slo.Finding{
				SLO: o, Field: "backend", Wrong: true, Message: fmt.Sprintf("there is no backend %s", o.Backend),
				Hint: "the service's own file has: " + strings.Join(names, ", "),
			})
		}
	}
	return out
}

// plannedObjectives returns findings for past objectives that still hold.
func plannedObjectives(slos []*slo.SLO, now time.Time) []slo.Finding {
	var out []slo.Finding
	for _, o := range slos {
		for _, p := range o.PastObjectives {
			if p.Until.After(now) {
				out = append(out, slo.Finding{
					SLO: o, Field: "objective_history", Message: fmt.Sprintf("until %s is in the future: the objective is still %s, and not yet %s", p.Until.UTC().Format(time.RFC3339), o.ObjectiveAt(now).Percent(), o.Objective.Percent()),
				})
				break
			}
		}
	}
	return out
}

// verdict prints the number of findings, and returns an error if there are errors.
func verdict(s streams, slos int, findings []yamlfile.Finding, strict bool) error {
	errs, warnings := yamlfile.Count(findings)
	if errs > 0 || strict && warnings > 0 {
		fmt.Fprintf(s.err, "%s, %s\n", humanize.Plural(errs, "error"), humanize.Plural(warnings, "warning"))
		return codeError{code: exitFindings}
	}
	fmt.Fprintf(s.err, "%s fine, %s\n", humanize.Plural(slos, "SLO"), humanize.Plural(warnings, "warning"))
	return nil
}

// write prints the findings or, with --expand and without errors, the SLOs.
func (f validateFlags) write(s streams, set *spec.Set, findings []yamlfile.Finding) error {
	if !f.expand || yamlfile.HasErrors(findings) {
		return writeFindings(s, findings, f.output)
	}
	printFindings(s.err, findings)
	text, err := spec.Expand(set.SLOs)
	if err == nil {
		_, err = s.out.Write(text)
	}
	return err
}

// writeFindings prints findings, as text or as JSON in the form of the API.
func writeFindings(s streams, findings []yamlfile.Finding, format string) error {
	if format == "json" {
		return writeJSON(s.out, struct {
			Format   int                 `json:"format"` // 1
			Problems []evaluator.Problem `json:"problems"`
		}{1, reload.Problems(findings)})
	}
	printFindings(s.out, findings)
	return nil
}
