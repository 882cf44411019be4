package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting/rules"
)

func newGenerateTests(s streams) *cobra.Command {
	var f rulesFlags
	c := &cobra.Command{
		Use:   "tests PATH... -o DIR",
		Short: "Write tests of the rules, for promtool test rules",
		Long: "Write the rule file of each SLO file and a test beside it, by which promtool proves\n" +
			"that each alert fires when all events are bad, is over when they are good again, and\n" +
			"keeps quiet when nothing happens. What can't be tested is named.",
		Example:           "  slowburn generate tests slos/ -o rule-tests && promtool test rules rule-tests/*.test.yaml",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return generateTests(cmd.Context(), s, args, f) },
	}
	f.registerConfig(c, "the service's own `FILE`, for SLO sources, alert policies and target labels")
	c.Flags().StringVarP(&f.output, "output", "o", "", "`DIR` to write to, not that of the rules")
	_ = c.MarkFlagDirname("output")
	f.registerNaming(c, "test rules that have the names of another `TOOL` too: sloth or pyrra")
	return c
}

func generateTests(ctx context.Context, s streams, paths []string, f rulesFlags) error {
	if f.output == "" || f.output == "-" {
		return usage("where to? Give -o DIR")
	}
	naming := rules.Naming(f.naming)
	if !naming.Valid() {
		return usage("--naming is sloth or pyrra, not %q", f.naming)
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return err
	}
	set, err := load(ctx, s, paths, cfg)
	if err != nil {
		return err
	}
	if refused := refusals(set.SLOs, rules.Options{Naming: naming}); len(refused) > 0 {
		printFindings(s.err, refused)
		return codeError{code: exitFindings}
	}
	o := rules.Options{Alerts: true, Policies: policiesOf(cfg), Naming: naming}
	if len(cfg.Backends) > 0 {
		o.TargetLabels = cfg.Backends[0].TargetLabels
	}
	parts := byFile(set.SLOs)
	files, err := ruleFiles(parts, o, rules.Format{})
	if err != nil {
		return failure("%w", err)
	}
	tested := 0
	for _, part := range parts {
		name := ruleName(part[0].Origin)
		text, without := rules.Tests(name, part, o)
		if text != nil {
			files[name+".test.yaml"] = text
			tested++
		}
		for _, what := range without {
			fmt.Fprintf(s.err, "not tested: %s\n", what)
		}
	}
	if err := rules.WriteFiles(f.output, files, rules.Marker); err != nil {
		return failure("%w", err)
	}
	fmt.Fprintf(s.err, "%s in %s for %s\n", plural(tested, "test file"), f.output, plural(len(parts), "rule file"))
	return nil
}
