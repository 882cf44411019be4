package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/dashboards/terminal"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

func newExplain(s streams) *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "explain SLO [PATH...] --backend URL",
		Short: "Prove the numbers of one SLO",
		Long: "Count the events of one SLO, as status does, and show how each number is calculated:\n" +
			"the slots that are summed, the resets and gaps in the samples, the queries that were\n" +
			"sent, and the arithmetic with its numbers. A direct query of increase(...) over the\n" +
			"whole window checks the counts, and the samples explain the difference.\n\n" +
			"SLO is an id such as checkout/availability, or of a group\n" +
			"'checkout/availability{tenant=\"acme\"}'. PATH is a file, a directory, or - for\n" +
			"standard input; without PATH, the SLO files are those in --config. Times are UTC.\n\n" +
			"If the SLO can't be evaluated, the exit code is 3.",
		Example: "  slowburn explain checkout/availability slos/ --backend http://prometheus:9090\n" +
			"  slowburn explain checkout/availability --config slowburn.yaml --at 2026-11-22T06:00:00Z\n" +
			"  slowburn explain checkout/availability --config slowburn.yaml -o json | jq '.findings.list[]'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("which SLO? Give its id, such as checkout/availability")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return completePaths(cmd, args, text)
			}
			return f.completeIDs(cmd.Context(), s)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExplain(cmd.Context(), s, args[0], args[1:], f)
		},
	}
	f.register(c)
	return c
}

func runExplain(ctx context.Context, s streams, id string, paths []string, f statusFlags) error {
	if err := misplaced(id, paths); err != nil {
		return err
	}
	e, set, at, err := f.prepare(ctx, s, paths)
	if err != nil {
		return err
	}
	o, err := find(set.SLOs, id)
	if err != nil {
		return err
	}
	stop := terminal.Progress(s.err, e.Progress)
	proof, err := e.Explain(ctx, o, at)
	stop()
	if err != nil {
		return failure("%w", err)
	}
	proof.Problems = reload.Problems(set.Findings)
	if f.output == "json" {
		err = writeJSON(s.out, proof)
	} else {
		err = terminal.Proof(s.out, proof, terminal.NewScreen(s.out, f.noColor))
	}
	if err != nil {
		return failure("writing: %w", err)
	}
	return failed(&evaluator.Report{SLOs: []evaluator.Status{proof.SLO}})
}

// misplaced returns an error if a path is in the place of the id, as other commands begin
// with a path.
func misplaced(id string, paths []string) error {
	if _, err := os.Stat(id); err != nil {
		return nil //nolint:nilerr // it is no path
	}
	for i, p := range paths {
		if _, err := os.Stat(p); err != nil && strings.Contains(p, "/") {
			rest := slices.Concat([]string{id}, paths[:i], paths[i+1:])
			return usage("%s is a path; the SLO comes first: slowburn explain %s %s", id, p, strings.Join(rest, " "))
		}
	}
	return usage("%s is a path; the id of an SLO comes first: slowburn explain checkout/availability %s", id, strings.Join(append([]string{id}, paths...), " "))
}

// find returns the SLO or the group with an id.
func find(slos []*slo.SLO, id string) (*slo.SLO, error) {
	name, rest, isGroup := strings.Cut(id, "{")
	i := slices.IndexFunc(slos, func(o *slo.SLO) bool { return o.ID() == name })
	switch {
	case i < 0:
		return nil, usage("there is no SLO %q%s", name, suggestions(name, slos))
	case !isGroup:
		return slos[i], nil
	case slos[i].Groups == nil:
		return nil, usage("%s is not split into groups", name)
	}
	by := slos[i].Groups.By
	metric, err := parser.NewParser(parser.Options{}).ParseMetric("{" + rest)
	if err != nil {
		return nil, usage("%q is not the id of a group: write %s", id, groupID(name, by))
	}
	group := metric.Map()
	if len(group) != len(by) || slices.ContainsFunc(by, func(l string) bool { return group[l] == "" }) {
		return nil, usage("%s is split by %s: write %s", name, slo.LabelList(by...), groupID(name, by))
	}
	return slos[i].Of(group), nil
}

// groupID returns the form of a group's id.
func groupID(name string, by []string) string {
	group := map[string]string{}
	for _, label := range by {
		group[label] = "..."
	}
	return "'" + name + labels.FromMap(group).String() + "'"
}

// maxSuggestions is how many ids a message lists.
const maxSuggestions = 8

// suggestions returns the ids that may be meant, or all ids, for the end of a message.
func suggestions(text string, slos []*slo.SLO) string {
	var ids []string
	for _, s := range slos {
		ids = append(ids, s.ID())
	}
	slices.Sort(ids)
	switch near := nearestIDs(strings.ToLower(text), ids); {
	case len(near) == 1:
		return "; did you mean " + near[0] + "?"
	case len(near) > 1:
		return "; did you mean " + oneOf(near) + "?"
	case len(ids) == 1:
		return ", there is only " + ids[0]
	case len(ids) > maxSuggestions:
		ids = append(ids[:maxSuggestions:maxSuggestions], "others")
	}
	return ", there are " + oneOf(ids)
}

// nearestIDs returns the ids that contain a text and the one with the most similar spelling,
// else those of its service, else those with an SLO of its name.
func nearestIDs(text string, ids []string) []string {
	var near []string
	add := func(chosen func(string) bool) {
		for _, id := range ids {
			if chosen(id) && len(near) < maxSuggestions {
				near = append(near, id)
			}
		}
	}
	add(func(id string) bool { return strings.Contains(id, text) })
	if best := yamlfile.Nearest(text, ids); best != "" && !slices.Contains(near, best) {
		near = append(near, best)
	}
	service, name, _ := strings.Cut(text, "/")
	if len(near) == 0 {
		add(func(id string) bool { return strings.HasPrefix(id, service+"/") })
	}
	if len(near) == 0 && name != "" {
		add(func(id string) bool { return strings.HasSuffix(id, "/"+name) })
	}
	return near
}

// completeIDs completes the ids of the SLOs in the configuration's directories.
// Git repositories are not read: a shell should not wait for them.
func (f *statusFlags) completeIDs(ctx context.Context, s streams) ([]cobra.Completion, cobra.ShellCompDirective) {
	cfg, _, err := f.parse()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var directories []string
	for _, spec := range cfg.Specs {
		if spec.Directory != "" {
			directories = append(directories, spec.Directory)
		}
	}
	if len(directories) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	set, err := read(ctx, s, directories, cfg)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []cobra.Completion
	for _, o := range set.SLOs {
		ids = append(ids, cobra.CompletionWithDesc(o.ID(), o.Description))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
