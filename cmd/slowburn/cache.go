package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/evaluator/cache"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

func newCache(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show or clear what serve keeps over a restart",
		Long: "Show or clear the directory in which serve keeps the history of SLOs, so that a restart\n" +
			"reads only the gap. It is cache.directory of the configuration. You can clear it at any\n" +
			"time: the next start then reads all history.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usage("info or clear?") },
	}
	for _, sub := range []struct {
		name, short string
		run         func(streams, *cache.Directory) error
	}{
		{"info", "Show what is in the cache", cacheInfo},
		{"clear", "Remove all that is in the cache", cacheClear},
	} {
		var in inputs
		child := &cobra.Command{
			Use: sub.name + " --config FILE", Short: sub.short, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				cfg, err := in.configuration(s)
				if err != nil {
					return err
				}
				d := cacheOf(cfg)
				if d == nil {
					return usage("which cache? Give --config FILE with cache.directory in it")
				}
				return sub.run(s, d)
			},
		}
		in.registerConfig(child, "the service's own `FILE`, for cache.directory")
		c.AddCommand(child)
	}
	return c
}

// cacheOf returns the configured cache, or nil. Only the same build reads what a build wrote,
// because another one may count in another way.
func cacheOf(cfg *config.Config) *cache.Directory {
	if cfg.Cache.Directory == "" {
		return nil
	}
	v, commit, _ := stamp()
	return cache.NewDirectory(cfg.Cache.Directory, int64(cfg.Cache.MaxSize), v+" "+commit)
}

func cacheInfo(s streams, d *cache.Directory) error {
	entries, err := d.Entries()
	if err != nil {
		return failure("reading the cache: %w", err)
	}
	var size int64
	for _, e := range entries {
		size += e.Size
		what := e.Name + ", until " + e.Until.UTC().Format(time.RFC3339)
		if e.Err != nil {
			what = e.Path + ": " + e.Err.Error()
		}
		fmt.Fprintf(s.out, "%9d KiB  %s\n", kib(e.Size), what)
	}
	fmt.Fprintf(s.out, "%9d KiB  in %s\n", kib(size), humanize.Plural(len(entries), "file"))
	return nil
}

func cacheClear(s streams, d *cache.Directory) error {
	n, size, err := d.Clear()
	fmt.Fprintf(s.out, "Removed %s, %d KiB.\n", humanize.Plural(n, "file"), kib(size))
	if err != nil {
		return failure("clearing the cache: %w", err)
	}
	return nil
}

// kib returns a number of bytes in KiB, rounded up.
func kib(bytes int64) int64 { return (bytes + 1023) / 1024 }
