package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

type checkFlags struct {
	inputs
	output string
	strict bool
}

func newCheck(s streams) *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check PATH... --backend URL",
		Short: "Check SLO files against the data of a backend",
		Long: "Check SLO files as validate does, and against the data of the backend: whether series,\n" +
			"buckets and groups exist, how far back they go, and how often they are scraped.\n\n" +
			"PATH is a file, a directory, or - for standard input; without PATH, the SLO files are\n" +
			"those in --config.\n\n" +
			"Findings are on standard output. Errors exit with 1, warnings only with --strict.",
		Example: "  slowburn check slos/ --backend http://prometheus:9090\n" +
			"  slowburn check --config slowburn.yaml --strict -o json | jq -r '.problems[].message'",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return check(cmd.Context(), s, args, f) },
	}
	f.registerOnce(c)
	registerOutput(c, &f.output, "text", "json")
	c.Flags().BoolVar(&f.strict, "strict", false, "exit with 1 on warnings too")
	return c
}

func check(ctx context.Context, s streams, paths []string, f checkFlags) error {
	if err := checkOutput(f.output, "text", "json"); err != nil {
		return err
	}
	cfg, findings, err := f.parse()
	if err != nil {
		return err
	}
	set := &spec.Set{}
	var unread error
	if !yamlfile.HasErrors(findings) {
		if set, unread, err = f.inspect(ctx, s, paths, cfg); err != nil {
			return err
		}
	}
	findings = worstOfEachPlace(append(findings, set.Findings...))
	slices.SortStableFunc(findings, func(a, b yamlfile.Finding) int { return cmp.Compare(a.Severity, b.Severity) }) // errors first
	if err := writeFindings(s, findings, f.output); err != nil {
		return failure("writing: %w", err)
	}
	if unread != nil {
		return failure("%w", unread)
	}
	return verdict(s, len(set.SLOs), findings, f.strict)
}

// worstOfEachPlace removes warnings from places with an error. For a query that only
// VictoriaMetrics can parse, the error of another backend is enough.
func worstOfEachPlace(findings []yamlfile.Finding) []yamlfile.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f yamlfile.Finding) bool {
		return f.Severity == yamlfile.Warning && slices.ContainsFunc(findings, func(e yamlfile.Finding) bool {
			return e.Severity == yamlfile.Error && e.Source == f.Source && e.File == f.File && e.Line == f.Line && e.Column == f.Column
		})
	})
}

// oncePerCause joins findings with one cause, such as a backend that keeps too little history
// for any of the SLOs: warnings of a field with the same hint, and equal errors.
func oncePerCause(findings []slo.Finding) []slo.Finding {
	type cause struct {
		wrong                bool
		field, message, hint string
	}
	slos := map[cause]map[*slo.SLO]bool{}
	first := map[cause]int{}
	var out []slo.Finding
	for _, r := range findings {
		c := cause{r.Wrong, r.Field, r.Message, r.Hint}
		if !r.Wrong && r.Hint != "" {
			c.message = ""
		}
		if slos[c] == nil {
			slos[c], first[c] = map[*slo.SLO]bool{}, len(out)
			out = append(out, r)
		}
		slos[c][r.SLO] = true
	}
	for c, of := range slos {
		if more := len(of) - 1; more > 0 {
			out[first[c]].Message += fmt.Sprintf(" (and %s)", humanize.Plural(more, "more SLO"))
		}
	}
	return out
}

// inspect reads SLO files and adds the findings of the backends. unread is the error of a
// backend that can't be read.
func (f *checkFlags) inspect(ctx context.Context, s streams, paths []string, cfg *config.Config) (set *spec.Set, unread, err error) {
	options, err := f.evaluatorOptions(cfg)
	if err != nil {
		return nil, nil, err
	}
	if set, err = read(ctx, s, paths, cfg); err != nil {
		return nil, nil, err
	}
	f.checkPolicies(set, cfg)
	elsewhere := map[*slo.SLO]bool{}
	if f.configFile != "" { // with --backend, the names of backends in SLO files are ignored
		unknown := unknownBackends(cfg, set.SLOs)
		for _, r := range unknown {
			elsewhere[r.SLO] = true
		}
		set.Add(unknown...)
	}
	var here []*slo.SLO
	for _, o := range set.SLOs {
		if !elsewhere[o] {
			here = append(here, o)
		}
	}
	findings, unread := loop.New(options).Inspect(ctx, here)
	if f.output == "text" {
		findings = oncePerCause(findings)
	}
	set.Add(findings...)
	set.Add(plannedObjectives(set.SLOs, time.Now())...)
	return set, unread, nil
}
