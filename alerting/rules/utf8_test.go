package rules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/alerting/rules"
	"github.com/slowburn-slo/slowburn/alerting/rules/ruletest"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestUTF8Names has the newest promtool load the rules of SLOs of each kind whose
// metrics and labels have names with dots, and prove by tests that their alerts fire;
// and the newest vmalert load them.
func TestUTF8Names(t *testing.T) {
	proven, dir := 0, t.TempDir()
	check, prove := []string{"check", "rules"}, []string{"test", "rules"}
	for i, s := range rules.Read(t, "utf8") {
		for _, naming := range []rules.Naming{"", rules.Sloth, rules.Pyrra} {
			o := rules.Options{Alerts: true, Policies: alerting.BuiltIn(), Naming: naming, TargetLabels: []string{"service.name", "instance"}}
			if o.Refusals([]*slo.SLO{s})[0] != "" {
				require.NotNil(t, s.Groups)
				continue
			}
			name := s.Name + string(naming) + ".rules.yaml"
			text, err := rules.File("otel.yaml", []*slo.SLO{s}, o)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
			check = append(check, name)
			rules.CheckVMAlert(t, "otel", []*slo.SLO{s}, naming)
			if naming != "" || testing.Short() && i%3 != 0 {
				continue
			}
			tests, without := ruletest.File(name, s, o)
			if s.Name == "estimate" {
				require.Equal(t, []string{s.ID() + ": no series by which it fails follow from its expressions"}, without)
				continue
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, s.Name+".tests.yaml"), tests, 0o600))
			prove = append(prove, s.Name+".tests.yaml")
			require.Subset(t, []string{s.ID() + " (page): it can't fire, however long all events are bad"}, without)
			proven++
		}
	}
	for _, args := range [][]string{check, prove} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(servers.Newest(t)), "promtool"), args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v\n%s", args, out)
	}
	if !testing.Short() {
		require.Equal(t, 10, proven, "all but estimate")
	}
	require.GreaterOrEqual(t, proven, 3)
}
