package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom/shop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

var everyRuleTest = flag.Bool("rule-tests", false, "run all tests of rules that are generated, which takes ten minutes")

// requireRuleTests generates tests of the rules of SLO files and has both promtools
// run a few of them, unless all are asked for.
func requireRuleTests(t *testing.T, slos, untested string, few []string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	code, _, stderr := command(t, append([]string{"generate", "tests", slos, "-o", dir}, args...)...)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, untested, strings.Join(regexp.MustCompile("(?m)^not tested: .*\n").FindAllString(stderr, -1), ""))
	files, err := filepath.Glob(dir + "/*.test.yaml")
	require.NoError(t, err)
	ran := 0
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if *everyRuleTest || slices.Contains(few, name) {
			ran++
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				servers.Promtool(t, "test", "rules", file)
			})
		}
	}
	require.GreaterOrEqual(t, ran, len(few))
}

// TestRuleTestsOfTheShop has the tests that are generated for the demo's SLO files
// pass, but for the files with SLOs that rules refuse.
func TestRuleTestsOfTheShop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range shop.Specs(time.Now()) {
		write(t, dir, name, string(text))
	}
	code, _, stderr := command(t, "generate", "tests", dir, "-o", dir+"/tests")
	require.Equal(t, exitFindings, code)
	var refused []string
	for _, found := range regexp.MustCompile(`(?m)^\S*/(\w+\.yaml):\d+:\d+: (\S+): it`).FindAllStringSubmatch(stderr, -1) {
		refused = append(refused, found[2])
		require.NoError(t, os.Remove(filepath.Join(dir, found[1])))
	}
	require.Equal(t, []string{"payments/monthly", "shipping/availability", "support/availability"}, refused)
	require.NoError(t, os.Remove(dir+"/corrections.yaml")) // of these
	few := []string{"accounts"}
	if !testing.Short() {
		few = append(few, "reports")
	}
	requireRuleTests(t, dir, "not tested: carriers/answers: no series by which it fails follow from its expressions\n", few)
}

// TestRuleTestsOfTheDocs does so for the examples of docs/reference/slo-file.md, over 30 d
// where they name no other window.
func TestRuleTestsOfTheDocs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused := regexp.MustCompile(`calendar: month|\n    exclude:|\n  exclude:|increase_pure|kind: Exclusion|^# `)
	for i, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(pages(t)["docs/reference/slo-file.md"], -1) {
		text, name := example[1], strconv.Itoa(i)
		if refused.MatchString(text) {
			continue
		}
		if found := regexp.MustCompile(`^- name: (\S+)`).FindStringSubmatch(text); found != nil {
			name, text = found[1], "apiVersion: slowburn/v1\nservice: checkout\nslos:\n"+text
		}
		write(t, dir, name+".yaml", text)
	}
	few, tools := []string{"woken"}, []string{"sloth"}
	if !testing.Short() {
		few, tools = append(few, "journey"), append(tools, "pyrra")
	}
	requireRuleTests(t, dir, "not tested: checkout/busiest: no series by which it fails follow from its expressions\n", few)
	for _, tool := range tools {
		requireRuleTests(t, dir+"/errors.yaml", "", []string{"errors"}, "--naming", tool)
	}
}

// TestRuleTestsOfOwnPolicies proves alerts of the policies of the service's file.
func TestRuleTestsOfOwnPolicies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "slos/a.yaml", "apiVersion: slowburn/v1\nservice: a\nslos:\n- name: b\n  objective: 99\n  window: 7d\n  alerting: {policy: mine}\n  sli: {events: {bad: 'bad_total{job=\"a\"}', total: 'all_total{job=\"a\"}'}}\n")
	cfg := write(t, dir, "slowburn.yaml", "specs: [{directory: slos}]\nbackends: [{name: default, url: 'http://127.0.0.1:1'}]\npolicies:\n  mine: {tiers: [{name: slow, severity: page, factor: 2, long: 1h, short: 30m, for: 20m}]}\n")
	code, _, stderr := command(t, "generate", "tests", "--config", cfg, "-o", dir+"/tests")
	require.Equal(t, 0, code, stderr)
	tests, err := filepath.Glob(dir + "/tests/*.test.yaml")
	require.NoError(t, err)
	require.Len(t, tests, 1)
	text, err := os.ReadFile(tests[0])
	require.NoError(t, err)
	require.NotContains(t, string(text), `severity=\"ticket\"`)
	servers.Promtool(t, "test", "rules", tests[0])
}
