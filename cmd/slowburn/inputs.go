package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// inputs contains the flags for the sources of SLOs and numbers.
type inputs struct {
	configFile string
	backend    string
	retry      time.Duration
	noCache    bool
}

func (in *inputs) register(c *cobra.Command) {
	in.registerConfig(c, "the service's own `FILE`, for backends and SLO sources")
	c.Flags().StringVar(&in.backend, "backend", "", "`URL` of a Prometheus-compatible backend, without --config")
	_ = c.RegisterFlagCompletionFunc("backend", cobra.NoFileCompletions)
}

// registerNoCache registers the flag of a command that can use the cache.
func (in *inputs) registerNoCache(c *cobra.Command) {
	c.Flags().BoolVar(&in.noCache, "no-cache", false, "read all history, without the cache of --config")
}

// registerOnce registers the flags of a command that reads backends once.
func (in *inputs) registerOnce(c *cobra.Command) {
	in.register(c)
	c.Flags().DurationVar(&in.retry, "retry", defaultRetry, "`DURATION` of retries while a backend is overloaded or restarts")
	_ = c.RegisterFlagCompletionFunc("retry", cobra.NoFileCompletions)
}

// defaultRetry is as long as a server takes to restart.
const defaultRetry = 30 * time.Second

// evaluatorOptions returns the options of a command that reads backends once. It logs nothing.
func (in *inputs) evaluatorOptions(cfg *config.Config) (loop.Options, error) {
	options, err := evaluatorOptions(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	options.Retry = in.retry
	return options, err
}

func (in *inputs) registerConfig(c *cobra.Command, usage string) {
	c.Flags().StringVar(&in.configFile, "config", "", usage)
	_ = c.MarkFlagFilename("config", "yaml", "yml")
}

// completePaths completes the names of SLO files and of directories.
func completePaths(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// configuration returns the configuration of the file, or of the flags alone.
func (in *inputs) configuration(s streams) (*config.Config, error) {
	cfg, findings, err := in.parse()
	if err != nil {
		return nil, err
	}
	printFindings(s.err, findings)
	if yamlfile.HasErrors(findings) {
		return nil, codeError{code: exitFindings}
	}
	return cfg, nil
}

// checkPolicies adds findings about the alert policies of SLOs. Without the service's own
// file, other policies may exist.
func (in *inputs) checkPolicies(set *spec.Set, cfg *config.Config) {
	findings := cfg.Policies.Check(set.SLOs)
	for i := range findings {
		if f := &findings[i]; in.configFile == "" && f.Wrong {
			f.Wrong = false
			f.Hint = "give the service's own file with --config; without one " + f.Hint
		}
	}
	set.Add(findings...)
}

func (in *inputs) parse() (*config.Config, []yamlfile.Finding, error) {
	switch {
	case in.configFile != "" && in.backend != "":
		return nil, nil, usage("give --backend or --config, not both: the configuration has backends of its own")
	case in.configFile != "":
		text, err := os.ReadFile(in.configFile)
		if err != nil {
			return nil, nil, failure("reading the configuration: %w", err)
		}
		cfg, findings := config.Parse(in.configFile, text)
		if in.noCache {
			cfg.Cache.Directory = ""
		}
		return cfg, findings, nil
	}
	cfg := config.Default()
	if in.backend != "" {
		b, err := config.NewBackend("default", in.backend)
		if err != nil {
			return nil, nil, usage("--backend: %w", err)
		}
		cfg.Backends = []config.Backend{b}
	}
	return cfg, nil, nil
}

// load reads the SLO files of paths ("-" is standard input) or, without paths, of the
// configured sources. It prints findings on standard error, and returns an error if one is.
func load(ctx context.Context, s streams, paths []string, cfg *config.Config) (*spec.Set, error) {
	set, err := read(ctx, s, paths, cfg)
	if err != nil {
		return nil, err
	}
	set.Add(cfg.Policies.Check(set.SLOs)...)
	return fine(s, set)
}

// fine prints the findings of a set, and returns it if none is an error.
func fine(s streams, set *spec.Set) (*spec.Set, error) {
	printFindings(s.err, set.Findings)
	if yamlfile.HasErrors(set.Findings) {
		return nil, codeError{code: exitFindings}
	}
	return set, nil
}

// read parses the SLO files of paths, or those of the configured sources. It is an error if
// there are none: otherwise a wrong path would remove all rules and pass every check.
func read(ctx context.Context, s streams, paths []string, cfg *config.Config) (*spec.Set, error) {
	sources := cfg.Sources()
	if len(paths) > 0 {
		sources = nil
	}
	var files []spec.File
	for i, path := range paths {
		switch {
		case path != "-":
			sources = append(sources, source.NewDirectory(path, nil))
		case slices.Contains(paths[:i], "-"):
			return nil, usage("standard input can be read only once")
		default:
			text, err := readAll(ctx, s.in)
			if err != nil {
				return nil, failure("reading standard input: %w", err)
			}
			files = append(files, spec.File{Name: stdinName, Text: text, Source: "-"})
		}
	}
	if len(sources) == 0 && len(files) == 0 {
		return nil, usage("which SLO files? Name files or directories, or give --config FILE")
	}
	seen := map[string]bool{} // paths may overlap
	for _, source := range sources {
		tree, err := source.Read(ctx)
		if err != nil {
			return nil, codeError{exitFailure, err} // names the source
		}
		if len(tree.Files) == 0 && len(paths) > 0 {
			return nil, failure("there is no SLO file in %s (*.yaml or *.yml)", source.Name())
		}
		for _, f := range reload.Files(tree) {
			path, err := filepath.Abs(f.Name)
			if f.Revision == "" && err == nil && seen[path] {
				continue
			}
			seen[path] = true
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, failure("there is no SLO file in any of the configured places")
	}
	return cfg.Limits.Load(files), nil
}

// stdinName is the name of standard input in findings.
const stdinName = "<stdin>"

// maxInput is the size of standard input in bytes, that of an SLO file.
const maxInput = 1 << 20

// readAll reads standard input until it or ctx ends. Reading from a terminal can't be
// interrupted, so it goes on in a goroutine of its own.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		if len(text) > maxInput {
			err = fmt.Errorf("it is larger than %d MiB", maxInput>>20)
		}
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		return r.text, r.err
	}
}

func printFindings(w io.Writer, findings []yamlfile.Finding) {
	for _, f := range findings {
		fmt.Fprint(w, f.Text())
	}
}
