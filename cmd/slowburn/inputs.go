package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// inputs are the flags that say where SLOs and numbers come from.
type inputs struct {
	configFile string
	backend    string
}

func (in *inputs) register(c *cobra.Command) {
	c.Flags().StringVar(&in.configFile, "config", "", "the service's own `FILE`, for backends and SLO sources")
	c.Flags().StringVar(&in.backend, "backend", "", "`URL` of a Prometheus-compatible backend")
	c.MarkFlagsMutuallyExclusive("config", "backend")
}

// configuration is that of the file, or of the flags alone.
func (in *inputs) configuration(s streams) (*config.Config, error) {
	if in.configFile != "" {
		text, err := os.ReadFile(in.configFile)
		if err != nil {
			return nil, failure("reading the configuration: %w", err)
		}
		cfg, findings := config.Parse(in.configFile, text)
		if yamlfile.HasErrors(findings) {
			printFindings(s.err, findings)
			return nil, codeError{code: exitFindings}
		}
		return cfg, nil
	}
	cfg := config.Default()
	if in.backend != "" {
		b, err := config.NewBackend("default", in.backend)
		if err != nil {
			return nil, codeError{exitUsage, fmt.Errorf("--backend: %w", err)}
		}
		cfg.Backends = []config.Backend{b}
	}
	return cfg, nil
}

// load reads SLO files of paths ("-" is standard input) or, without paths, of
// the configured sources. Findings go to standard error; errors end the
// command.
func load(ctx context.Context, s streams, paths []string, cfg *config.Config) ([]*slo.SLO, error) {
	set, err := read(ctx, s, paths, cfg)
	if err != nil {
		return nil, err
	}
	printFindings(s.err, set.Findings)
	if yamlfile.HasErrors(set.Findings) {
		return nil, codeError{code: exitFindings}
	}
	return set.SLOs, nil
}

func read(ctx context.Context, s streams, paths []string, cfg *config.Config) (*slo.Set, error) {
	var files []slo.File
	var sources []config.Source
	for _, path := range paths {
		if path == "-" {
			text, err := io.ReadAll(io.LimitReader(s.in, 1<<20))
			if err != nil {
				return nil, failure("reading standard input: %w", err)
			}
			files = append(files, slo.File{Name: "-", Text: text, Source: "-"})
			continue
		}
		sources = append(sources, config.NewDirectory(path, nil))
	}
	if len(paths) == 0 {
		sources = cfg.Sources()
	}
	if len(sources) == 0 && len(files) == 0 {
		return nil, codeError{exitUsage, fmt.Errorf("no SLO files are named")}
	}
	for _, source := range sources {
		tree, err := source.Read(ctx)
		if err != nil {
			return nil, failure("%w", err) // it names the source
		}
		files = append(files, filesOf(tree)...)
	}
	return slo.Load(files), nil
}

// filesOf are a source's files for the parser.
func filesOf(t config.Tree) []slo.File {
	files := make([]slo.File, len(t.Files))
	for i, f := range t.Files {
		files[i] = slo.File{Name: f.Name, Text: f.Text, Source: t.Source, Revision: t.Revision, Backends: t.Backends}
	}
	return files
}

func printFindings(w io.Writer, findings []yamlfile.Finding) {
	for _, f := range findings {
		fmt.Fprint(w, f.Text())
	}
}
