package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/alerting/rules/ruletest"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

func newGenerateTests(s streams) *cobra.Command {
	var f rulesFlags
	c := &cobra.Command{
		Use:   "tests PATH... -o DIR",
		Short: "Write tests of the rules, for promtool test rules",
		Long: "Write a rule file for each SLO and a test next to it. With it, promtool proves that each\n" +
			"alert fires when all events are bad, resolves when they are good again, and stays\n" +
			"silent when nothing happens. Alerts that can't be tested are listed with the reason.",
		Example:           "  slowburn generate tests slos/ -o rule-tests && promtool test rules rule-tests/*.test.yaml",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return generateTests(cmd.Context(), s, args, f) },
	}
	f.registerConfig(c, "the service's own `FILE`, for SLO sources, alert policies and target labels")
	c.Flags().StringVarP(&f.output, "output", "o", "", "`DIR` to write to; not the directory of the rules")
	_ = c.MarkFlagDirname("output")
	f.registerSkip(c)
	f.registerNaming(c, "test rules that have the names of another `TOOL` too: sloth or pyrra")
	return c
}

func generateTests(ctx context.Context, s streams, paths []string, f rulesFlags) error {
	if f.output == "" || f.output == "-" {
		return usage("-o DIR is required")
	}
	slos, _, o, err := f.prepare(ctx, s, paths, rules.Options{Alerts: true})
	if err != nil {
		return err
	}
	// promtool evaluates all rules of a file for each test, so each SLO has its own.
	var each [][]*slo.SLO
	for _, one := range slos {
		each = append(each, []*slo.SLO{one})
	}
	texts, err := rules.Files(each, o)
	if err != nil {
		return failure("%w", err)
	}
	files, tested := map[string][]byte{}, 0
	for i, one := range slos {
		name := ruleName(one.Origin) + "." + one.Service + "." + one.Name // as unique as the id
		ruleFile, testFile := name+".rules.yaml", name+".test.yaml"
		files[ruleFile] = texts[i]
		text, without := ruletest.File(ruleFile, one, o)
		if text != nil {
			files[testFile] = text
			tested++
		}
		for _, what := range without {
			fmt.Fprintf(s.err, "not tested: %s\n", what)
		}
	}
	if err := writeFiles(f.output, files, rules.Marker); err != nil {
		return failure("%w", err)
	}
	fmt.Fprintf(s.err, "%s in %s for %s\n", humanize.Plural(tested, "test file"), f.output, humanize.Plural(len(slos), "SLO"))
	return nil
}
