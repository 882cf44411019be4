package main

import (
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

func newGenerateSchema(s streams) *cobra.Command {
	var output string
	kinds := []string{"slo", "config"}
	c := &cobra.Command{
		Use:   "schema [slo|config]",
		Short: "Write the JSON Schema of SLO files, or of the service's own file",
		Long: "Write a JSON Schema (draft 2020-12), with which editors check, complete and explain SLO\n" +
			"files of every kind, or the service's own file. Only 'slowburn validate' checks queries\n" +
			"and references to other files.",
		Example:   "  slowburn generate schema -o slos/slo.schema.json\n  slowburn generate schema config > slowburn.schema.json",
		ValidArgs: kinds,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && !slices.Contains(kinds, args[0]) {
				return usage("which schema? %s", oneOf(kinds))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text := spec.Schema()
			if len(args) == 1 && args[0] == "config" {
				text = config.Schema()
			}
			return writeText(s, text, output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "-", "`FILE` to write to, or - for standard output")
	_ = c.MarkFlagFilename("output", "json")
	return c
}

// writeText writes to a file, or to standard output.
func writeText(s streams, text, output string) error {
	var err error
	if output == "-" {
		_, err = s.out.Write([]byte(text))
	} else {
		err = os.WriteFile(output, []byte(text), 0o644)
	}
	if err != nil {
		return failure("writing: %w", err)
	}
	return nil
}
