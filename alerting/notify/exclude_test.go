package notify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestAnExclusionResolves: Alertmanager is told that the alert ended, although
// the targets are down and it was held for want of numbers.
func TestAnExclusionResolves(t *testing.T) {
	for _, excluded := range []bool{true, false} {
		now := drill.At(0)
		b := newBoard(func() time.Time { return now })
		s := b.sender()
		b.show(t, now, evaluator.StateOK, slo.Page)
		s.update(b.get(), now)
		require.Len(t, s.alertsIn(stageFiring), 1)
		now = drill.At(2)
		b.show(t, now, evaluator.StateNoData)
		b.report.SLOs[0].Excluded.Now = excluded
		s.update(b.get(), now)
		require.Empty(t, s.alertsIn(stageFiring))
		if !excluded {
			require.Empty(t, s.alertsIn(stageResolved))
			continue
		}
		require.Len(t, s.alertsIn(stageResolved), 1)
		for _, a := range s.alertsIn(stageResolved) {
			require.Equal(t, now, a.EndsAt)
		}
	}
}

// TestAnExclusionEndsWhatIsHeld rereads history. A page is held meanwhile, but not in
// excluded time.
func TestAnExclusionEndsWhatIsHeld(t *testing.T) {
	for excluded, want := range map[bool][]string{false: {"ErrorBudgetBurn"}, true: nil} {
		x := newTeller(t)
		s := x.about(evaluator.StateOK, 0.5, 20)
		s.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "fast", Since: x.now, Held: x.now.Add(time.Minute), Windows: []string{"3d", "3d"}}}
		firing, _ := x.see(1, s)
		require.Equal(t, []string{"ErrorBudgetBurn"}, firing)
		s.Alerts, s.State, s.Excluded.Now = nil, evaluator.StateWarming, excluded
		firing, _ = x.see(1, s)
		require.Equal(t, want, firing)
	}
}
