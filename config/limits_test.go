package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestLimits are whole numbers above 0; what is not there has its default.
func TestLimits(t *testing.T) {
	const rest = "specs: [{directory: slos}]\nbackends: [{url: http://prometheus:9090}]\n"
	cfg, found := Parse("c.yaml", []byte(rest+"limits: {slos_per_file: 1, slos_per_source: 2, parts: 3, labels: 4, exclusions: 5, group_objectives: 6, query_memory: 1GiB, git_size: 20MiB, git_files: 7}\n"))
	require.Empty(t, found)
	require.Equal(t, spec.Limits{SLOsPerFile: 1, SLOsPerSource: 2, Parts: 3, Labels: 4, Exclusions: 5, GroupObjectives: 6}, cfg.Limits)
	require.Equal(t, 1<<30, cfg.QueryMemory)
	require.Equal(t, 20<<20, cfg.GitSize)
	require.Equal(t, 7, cfg.GitFiles)
	cfg, found = Parse("c.yaml", []byte(rest))
	require.Empty(t, found)
	require.Equal(t, spec.Limits{}, cfg.Limits)
	_, found = Parse("c.yaml", []byte(rest+"limits: {parts: 0}\n"))
	require.Len(t, found, 1)
	require.Equal(t, "c.yaml:3:17: 0 is not a whole number of at least 1", found[0].String())
	_, found = Parse("c.yaml", []byte(rest+"limits: {query_memory: 512}\n"))
	require.Len(t, found, 1)
	require.Equal(t, `c.yaml:3:24: "512" is not a size of at least 32MiB`, found[0].String())
	_, found = Parse("c.yaml", []byte(rest+"limits: {git_size: 512KiB}\n"))
	require.Len(t, found, 1)
	require.Equal(t, `c.yaml:3:20: "512KiB" is not a size of at least 1MiB`, found[0].String())
	cfg, found = Parse("c.yaml", []byte(strings.Replace(rest, "directory: slos", "git: {url: /slos}", 1)+"limits: {git_size: 20MiB, git_files: 7}\n"))
	require.Empty(t, found)
	git := cfg.Sources()[0].(*source.Git)
	require.Equal(t, []int{20 << 20, 7}, []int{git.MaxSize, git.MaxFiles})
	_, found = Parse("c.yaml", []byte(rest+"limits: {part: 1}\n"))
	require.Len(t, found, 1)
	require.Contains(t, found[0].Hint, `did you mean "parts"?`)
}
