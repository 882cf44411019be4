package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestCountsWithWhatIsNotShown: validate counts all findings, and shows 100 of a file.
func TestCountsWithWhatIsNotShown(t *testing.T) {
	t.Parallel()
	text := "apiVersion: slowburn/v1\nservice: s\nslos:\n" + strings.Repeat("  - {name: a, objective: 99, sli: {probe: {metric: up}}}\n", 300)
	set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(text)}})
	require.Len(t, set.Findings, yamlfile.MaxFindings+1)
	var out strings.Builder
	err := verdict(streams{err: &out}, 0, set.Findings, false)
	require.Error(t, err)
	require.Equal(t, "299 errors, 0 warnings\n", out.String())
}

// TestLimitsOfTheConfiguration hold for serve and for validate.
func TestLimitsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "slos/a.yaml", checkout("99"))
	file := write(t, dir, "slowburn.yaml", "specs: [{directory: slos}]\nbackends: [{url: http://127.0.0.1:1}]\nlimits: {labels: 1}\n")
	write(t, dir, "slos/b.yaml", "labels: {a: b, c: d}\n"+other("other", "99"))
	var out strings.Builder
	require.Error(t, validate(t.Context(), streams{out: &out, err: &out}, nil, validateFlags{inputs: inputs{configFile: file}, output: "text"}))
	require.Contains(t, out.String(), "b.yaml:1:9: labels has 2 entries, more than 1")
}

// TestNestedJourneys: SLOs of SLOs of others are checked by as much work as they are many.
func TestNestedJourneys(t *testing.T) { // allocations of tests beside it would count
	nested := func(n int) []*slo.SLO {
		text := "apiVersion: slowburn/v1\nservice: s\nslos:\n"
		for i := range n {
			what := "sli: {probe: {metric: up}}"
			if i > 1 {
				what = fmt.Sprintf("worst_of: [s/j%d, s/j%d]", i-1, i-2)
			}
			text += fmt.Sprintf("  - {name: j%d, objective: 99, %s}\n", i, what)
		}
		set := spec.Load([]spec.File{{Name: "a.yaml", Text: []byte(text)}})
		require.Empty(t, set.Findings)
		return set.SLOs
	}
	allocations := func(slos []*slo.SLO) float64 {
		return testing.AllocsPerRun(3, func() { require.Empty(t, alerting.BuiltIn().Check(slos)) })
	}
	once, twice := allocations(nested(200)), allocations(nested(400))
	require.LessOrEqual(t, twice, 2.5*once)
}
