package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// excluding returns an SLO that excludes the slots (from, to] after begin.
func excluding(s *slo.SLO, edges ...int) *slo.SLO {
	out := *s
	for i := 0; i < len(edges); i += 2 {
		out.Exclusions = append(out.Exclusions, slo.Exclusion{From: slotAt(edges[i]), To: slotAt(edges[i+1])})
	}
	return &out
}

// seeWithout is see of what is not excluded; two slots are unsure.
func (f *follower) seeWithout(slots []timeline.Slot) []evaluator.FiringAlert {
	return burning(f.seeAllWithout(slots))
}

func (f *follower) seeAllWithout(slots []timeline.Slot) []evaluator.FiringAlert {
	f.timeline.Truncate(f.settled)
	for _, s := range slots[f.timeline.End()-begin:] {
		f.timeline.Append(s)
	}
	f.settled = f.timeline.End() - 2
	return f.judge(f.slo, f.timeline.ViewFor(f.slo), f.settled)
}

// TestASpentBudgetOfAnHourThatIsExcluded has 30 minutes of 40 bad events. They spend
// the 600 that may be bad in an hour after 15 minutes. Of the 300 excluded slots after
// them the last 240 have an hour before them in which nothing counts. The ticket goes
// on.
func TestASpentBudgetOfAnHourThatIsExcluded(t *testing.T) {
	s := excluding(daySLO(t), 150, 450)
	s.Window = slo.Rolling(slo.Window(time.Hour))
	slots := slotsOf(120, healthy, 30, bad(40), 300, missing)
	live := follow(s)
	for _, n := range []int{140, 155, 200, 215, 260, 275, 320, 440} {
		want := map[string]int{"ErrorBudgetExhausted": 135}
		require.Equal(t, want, budgetAlerts(live.seeAllWithout(slots[:n])), n)
		require.Equal(t, want, budgetAlerts(follow(s).seeAllWithout(slots[:n])), "one that begins at %d", n)
	}
}

// TestAnExclusionEndsAnAlert: a service fails from slot 721 on, 30 %. The page
// begins with slot 723. Slots 731 to 790 are excluded, by two exclusions that
// overlap. In each of them nothing fires, not even while they are not settled.
// With slot 791 the hour holds that slot alone, of those that count, and the page
// begins anew.
func TestAnExclusionEndsAnAlert(t *testing.T) {
	s := excluding(policySLO(t), 730, 770, 750, 790)
	slots := slotsOf(720, healthy, 100, failing)
	live := follow(s)
	for n := 721; n <= 820; n++ {
		alerts := pages(live.seeWithout(slots[:n]))
		require.Equal(t, pages(follow(s).seeWithout(slots[:n])), alerts, "one that begins at %d", n)
		switch {
		case n < 723 || n > 730 && n <= 790:
			require.Empty(t, alerts, n)
		case n <= 730:
			require.Equal(t, slotAt(723), alerts[0].Since)
		default:
			require.Equal(t, slotAt(791), alerts[0].Since)
		}
	}
}

// TestWhatIsExcludedDoesNotBeginAnAlert, and a short exclusion ends one for good
// where what follows is healthy, although its own slots are not settled yet.
func TestWhatIsExcludedDoesNotBeginAnAlert(t *testing.T) {
	s := excluding(policySLO(t), 720, 740)
	for n := 721; n <= 800; n++ {
		require.Empty(t, follow(s).seeWithout(slotsOf(720, healthy, 20, failing, 60, healthy)[:n]), n)
	}
	// Ten failing slots, one excluded; after it the five minutes are clean.
	s = excluding(policySLO(t), 731, 732)
	slots := slotsOf(720, healthy, 6, failing, 14, healthy)
	require.NotEmpty(t, pages(firesAt(policySLO(t), slots[:731], 2)))
	live := follow(s)
	for n := 723; n <= 740; n++ {
		require.Equal(t, n > 731, len(pages(live.seeWithout(slots[:n]))) == 0, n)
	}
}

// TestAnExclusionResolves: Alertmanager is told that the alert ended, although
// the targets are down and it was held for want of numbers.
func TestAnExclusionResolves(t *testing.T) {
	for _, excluded := range []bool{true, false} {
		now := slotAt(0)
		b := newBoard(func() time.Time { return now })
		s := b.sender()
		b.show(t, now, evaluator.StateOK, slo.Page)
		s.update(b.get(), now)
		require.Len(t, s.firing, 1)
		now = slotAt(2)
		b.show(t, now, evaluator.StateNoData)
		b.report.SLOs[0].Excluded.Now = excluded
		s.update(b.get(), now)
		require.Empty(t, s.firing)
		if !excluded {
			require.Empty(t, s.resolved)
			continue
		}
		require.Len(t, s.resolved, 1)
		for _, a := range s.resolved {
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
