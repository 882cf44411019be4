package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// The rules of a plain SLO are reviewed by people, so they are this short.
const (
	longestLine    = 200
	largestEvents  = 12 << 10
	largestLatency = 15_600
)

// TestRulesAreReadable holds the length of all lines, and the size of the rules of an SLO
// over 30 d with the default policy.
func TestRulesAreReadable(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(text)
	}
	for sli, largest := range map[string]int{
		`{events: {bad: 'http_requests_total{job="checkout",code=~"5.."}', total: 'http_requests_total{job="checkout"}'}}`: largestEvents,
		`{latency: {histogram: 'http_request_duration_seconds{job="checkout"}', threshold: 300ms}}`:                        largestLatency,
	} {
		set := spec.Load([]spec.File{{Name: "a.yaml", Text: fmt.Appendf(nil,
			"apiVersion: slowburn/v1\nservice: checkout\nowner: team-payments\nslos:\n  - {name: answers, objective: 99.9, window: 30d, sli: %s}\n", sli)}})
		require.Empty(t, set.Findings)
		text, err := File("a.yaml", set.SLOs, Options{Alerts: true, Policies: alerting.BuiltIn()})
		require.NoError(t, err)
		require.LessOrEqual(t, len(text), largest, sli)
		texts[sli] = string(text)
	}
	for name, text := range texts {
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len(line), longestLine+len("\n"), "%s: %s", name, line)
		}
	}
}
