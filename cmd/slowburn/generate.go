package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/dashboards/grafana"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

func newGenerate(s streams) *cobra.Command {
	c := &cobra.Command{Use: "generate", Short: "Write rules and their tests, dashboards, an Alertmanager configuration or JSON Schemas", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("generate what? rules, tests, dashboards, alertmanager or schema")
		}}
	c.AddCommand(newGenerateRules(s), newGenerateTests(s), newGenerateDashboards(s), newGenerateAlertmanager(s), newGenerateSchema(s))
	return c
}

type rulesFlags struct {
	inputs
	output string
	format string
	naming string
	alerts bool
	skip   bool // SLOs that rules can't carry
}

func newGenerateRules(s streams) *cobra.Command {
	var f rulesFlags
	c := &cobra.Command{
		Use:   "rules PATH... -o DIR|-",
		Short: "Write Prometheus rule files that record and alert like the evaluator",
		Long: "Write a Prometheus rule file for each SLO file. Rule files of an earlier run whose SLO\n" +
			"file is gone are removed. Other files are not touched.",
		Example:           "  slowburn generate rules slos/ -o /etc/prometheus/rules\n  slowburn generate rules slos/ -o - | promtool check rules /dev/stdin",
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, args []string) error { return generateRules(cmd.Context(), s, args, f) },
	}
	f.registerConfig(c, "the service's own `FILE`, for SLO sources, alert policies and target labels")
	c.Flags().StringVarP(&f.output, "output", "o", "", "`DIR` to write to, or - for standard output")
	c.Flags().StringVar(&f.format, "format", "prometheus", "`FORMAT` of the files: prometheus or vmalert, or objects of Kubernetes, prometheusrule or vmrule")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"prometheus", "vmalert", "prometheusrule", "vmrule"}, cobra.ShellCompDirectiveNoFileComp))
	f.registerNaming(c, "record and alert under the names of another `TOOL` too: sloth or pyrra")
	f.registerSkip(c)
	c.Flags().BoolVar(&f.alerts, "alerts", true, "write alerts by the policies of the SLOs; with --alerts=false the evaluator alerts")
	_ = c.MarkFlagDirname("output")
	return c
}

func (f *rulesFlags) registerSkip(c *cobra.Command) {
	c.Flags().BoolVar(&f.skip, "skip-unsupported", false, "skip SLOs that rules can't carry, and list them; without it nothing is written")
}

func (f *rulesFlags) registerNaming(c *cobra.Command, usage string) {
	c.Flags().StringVar(&f.naming, "naming", "", usage)
	_ = c.RegisterFlagCompletionFunc("naming", cobra.FixedCompletions([]string{"sloth", "pyrra"}, cobra.ShellCompDirectiveNoFileComp))
}

func generateRules(ctx context.Context, s streams, paths []string, f rulesFlags) error {
	if f.output == "" {
		return usage("-o DIR is required, or -o - for standard output")
	}
	format, ok := rules.FormatOf(f.format)
	if !ok {
		return usage("--format is prometheus, vmalert, prometheusrule or vmrule, not %q", f.format)
	}
	// A process that ends soon gains little by collecting its garbage.
	debug.SetGCPercent(300)
	slos, skipped, options, err := f.prepare(ctx, s, paths, rules.Options{Alerts: f.alerts, VMAlert: format.VMAlert})
	if err != nil {
		return err
	}
	if f.output == "-" {
		return generateOne(s, slos, options, format)
	}
	files, err := ruleFiles(byFile(slos), options, format)
	if err != nil {
		return failure("%w", err)
	}
	if err := writeFiles(f.output, files, rules.Marker); err != nil {
		return failure("%w", err)
	}
	without := ""
	if skipped > 0 {
		without = fmt.Sprintf(", without %s that rules can't carry", humanize.Plural(skipped, "SLO"))
	}
	fmt.Fprintf(s.err, "%s in %s for %s%s\n", humanize.Plural(len(files), "rule file"), f.output, humanize.Plural(len(slos), "SLO"), without)
	return nil
}

// prepare returns the SLOs that rules can carry, how many others it skipped, and the options
// of the rules with all that the flags and the configuration choose.
func (f *rulesFlags) prepare(ctx context.Context, s streams, paths []string, o rules.Options) (slos []*slo.SLO, skipped int, full rules.Options, err error) {
	o.Naming = rules.Naming(f.naming)
	if !o.Naming.Valid() {
		return nil, 0, o, usage("--naming is sloth or pyrra, not %q", f.naming)
	}
	cfg, err := f.configuration(s)
	if err != nil {
		return nil, 0, o, err
	}
	set, err := load(ctx, s, paths, cfg)
	if err != nil {
		return nil, 0, o, err
	}
	o.Policies = cfg.Policies
	if len(cfg.Backends) > 0 {
		o.TargetLabels = cfg.Backends[0].TargetLabels
	}
	slos, err = f.supported(s, set.SLOs, o)
	return slos, len(set.SLOs) - len(slos), o, err
}

// ruleFiles returns a rule file for each SLO file, by name.
func ruleFiles(parts [][]*slo.SLO, o rules.Options, format rules.Format) (map[string][]byte, error) {
	texts, err := rules.Files(parts, o)
	if err != nil {
		return nil, err
	}
	files, from := map[string][]byte{}, map[string]string{}
	for i, part := range parts {
		base, file := ruleName(part[0].Origin), part[0].Origin.File
		name, object := base+".rules.yaml", rules.ObjectName(base)
		for _, taken := range []string{name, object} {
			if from[taken] != "" {
				return nil, fmt.Errorf("%s and %s would both become %s; give one of them another name", from[taken], file, taken)
			}
			from[taken] = file
		}
		files[name] = format.Wrap(texts[i], object)
	}
	return files, nil
}

// supported returns the SLOs that such rules can carry, and lists the others. These are an
// error unless they are skipped and others remain.
func (f *rulesFlags) supported(s streams, slos []*slo.SLO, o rules.Options) ([]*slo.SLO, error) {
	severity, hint := yamlfile.Error, "evaluate it with `slowburn serve`, and generate rules with --skip-unsupported or from other files"
	if f.skip {
		severity, hint = yamlfile.Warning, "no rule is written for it; evaluate it with `slowburn serve`"
	}
	var refused []yamlfile.Finding
	var out []*slo.SLO
	reasons := o.Refusals(slos)
	for i, s := range slos {
		why := reasons[i]
		if why == "" {
			out = append(out, s)
			continue
		}
		refused = append(refused, yamlfile.Finding{
			Source: s.Origin.Source, File: s.Origin.File, Line: s.Origin.Line, Column: s.Origin.Column,
			Width: 1, Severity: severity, Message: s.ID() + ": " + why, Hint: hint,
		})
	}
	printFindings(s.err, yamlfile.Sort(refused))
	if len(refused) > 0 && (!f.skip || len(out) == 0) {
		return nil, codeError{code: exitFindings}
	}
	return out, nil
}

func generateOne(s streams, slos []*slo.SLO, o rules.Options, format rules.Format) error {
	text, err := rules.File("all SLO files given", slos, o)
	if err == nil {
		_, err = s.out.Write(format.Wrap(text, "slowburn"))
	}
	if err != nil {
		return failure("%w", err)
	}
	return nil
}

// byFile returns the SLOs of each file, sorted by their ids.
func byFile(slos []*slo.SLO) [][]*slo.SLO {
	at := map[[2]string]int{}
	var out [][]*slo.SLO
	for _, s := range slos {
		k := [2]string{s.Origin.Source, s.Origin.File}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], s)
	}
	return out
}

// ruleName returns the name of the files that are made from an SLO file: its path below its
// source, with directories joined by dashes, without its extension.
func ruleName(o slo.Origin) string {
	name := o.File
	if rel, err := filepath.Rel(o.Source, o.File); err == nil && filepath.IsLocal(rel) && rel != "." {
		name = rel
	} else if name == stdinName {
		name = "stdin"
	} else if rel == "." {
		name = filepath.Base(name)
	}
	name = strings.TrimSuffix(filepath.ToSlash(name), filepath.Ext(name))
	return strings.ReplaceAll(strings.TrimLeft(name, "./"), "/", "-")
}

func newGenerateDashboards(s streams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "dashboards -o DIR",
		Short: "Write Grafana dashboards: an overview and the detail of one SLO",
		Long: "Write an overview and a detail dashboard for Grafana, which work with the metrics\n" +
			"of the evaluator and of generated rules alike, and can be provisioned as they are.",
		Args: noArgs("dashboards are the same for all SLOs"),
		RunE: func(*cobra.Command, []string) error { return generateDashboards(s, output) },
	}
	c.Flags().StringVarP(&output, "output", "o", "", "`DIR` to write to")
	_ = c.MarkFlagDirname("output")
	return c
}

func generateDashboards(s streams, output string) error {
	switch output {
	case "":
		return usage("-o DIR is required")
	case "-":
		return usage("two dashboards can't go to standard output; give -o DIR")
	}
	if err := writeFiles(output, grafana.Dashboards(), grafana.Marker); err != nil {
		return failure("%w", err)
	}
	fmt.Fprintf(s.err, "2 dashboards in %s\n", output)
	return nil
}

func newGenerateAlertmanager(s streams) *cobra.Command {
	var output string
	var in inputs
	c := &cobra.Command{
		Use:   "alertmanager [PATH...]",
		Short: "Write an Alertmanager configuration with one notification per problem",
		Long: "Write an Alertmanager configuration that sends one notification per problem: inhibition\n" +
			"rules to copy, and a route and receivers to start from. The names of severities come\n" +
			"from the SLO files. Without files they are page and ticket.",
		Example:           "  slowburn generate alertmanager slos/ -o alertmanager.yml && amtool check-config alertmanager.yml",
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			return generateAlertmanager(cmd.Context(), s, args, in, output)
		},
	}
	in.registerConfig(c, "the service's own `FILE`, for SLO sources")
	c.Flags().StringVarP(&output, "output", "o", "-", "`FILE` to write to, or - for standard output")
	_ = c.MarkFlagFilename("output", "yaml", "yml")
	return c
}

func generateAlertmanager(ctx context.Context, s streams, paths []string, in inputs, output string) error {
	var slos []*slo.SLO
	if len(paths) > 0 || in.configFile != "" {
		cfg, err := in.configuration(s)
		if err != nil {
			return err
		}
		set, err := read(ctx, s, paths, cfg) // their policies don't matter here
		if err == nil {
			set, err = fine(s, set)
		}
		if err != nil {
			return err
		}
		slos = set.SLOs
	}
	text, err := notify.AlertmanagerConfig(slos)
	if err != nil {
		return failure("%w", err)
	}
	return writeText(s, text, output)
}
