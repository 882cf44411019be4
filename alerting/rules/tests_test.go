package rules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestTests has the oldest supported promtool run the tests that are made for SLOs
// of each kind. Over an hour at 90 %, one event a minute never makes a page: five
// bad ones in a row have a probability of 1e-5, and less than that is asked for.
func TestTests(t *testing.T) {
	untested := map[string][]string{
		"groups": {"shop/ages (page)", "shop/levels (page)", "shop/probes (page)"},
		"kinds":  {"shop/backup (page)", "shop/batch", "shop/journey (page)", "shop/nightly (page)", "shop/nightly (ticket)", "shop/queue (page)", "shop/slices (page)", "shop/slices (ticket)", "shop/up (page)"},
	}
	all := files(t)
	all["hours"] = slo.Load([]slo.File{{Name: "hours.yaml", Text: []byte(`apiVersion: slowburn/v1
service: shop
slos:
  - name: slices
    objective: 99
    window: 1d
    budgeting: timeslices
    slice: {length: 5m, target: 95}
    alerting: {ticket: {disabled: true}}
    sli: {events: {bad: a_total, total: b_total}}
`)}}).SLOs
	for name, slos := range all {
		if len(slos) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			o := Options{Alerts: true, Policies: alerting.BuiltIn()}
			text, err := File(name, slos, o)
			require.NoError(t, err)
			tests, without := Tests(name, slos, o)
			require.Equal(t, untested[name], without)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".rules.yaml"), text, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".test.yaml"), tests, 0o600))
			promtool(t, "test", "rules", filepath.Join(dir, name+".test.yaml"))
		})
	}
}

// TestRulesAboutSlowburn runs the tests of the rules that are shipped about slowburn
// itself.
func TestRulesAboutSlowburn(t *testing.T) {
	promtool(t, "check", "rules", "../../deploy/slowburn.rules.yaml")
	promtool(t, "test", "rules", "../../deploy/slowburn.rules.test.yaml")
}
