package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/drill"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// seeWithout is see of what is not excluded; two slots are unsure.
func (f *follower) seeWithout(slots []timeline.Slot) []evaluator.FiringAlert {
	return burning(f.seeAllWithout(slots))
}

func (f *follower) seeAllWithout(slots []timeline.Slot) []evaluator.FiringAlert {
	f.timeline.Truncate(f.settled)
	for _, s := range slots[f.timeline.End()-drill.Begin:] {
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
	s := drill.Excluding(daySLO(t), 150, 450)
	s.Window = slo.Rolling(slo.Window(time.Hour))
	slots := drill.Slots(120, drill.Healthy, 30, drill.Bad(40), 300, drill.Missing)
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
// begins again.
func TestAnExclusionEndsAnAlert(t *testing.T) {
	s := drill.Excluding(drill.SLO(t), 730, 770, 750, 790)
	slots := drill.Slots(720, drill.Healthy, 100, drill.Failing)
	live := follow(s)
	for n := 721; n <= 820; n++ {
		alerts := pages(live.seeWithout(slots[:n]))
		require.Equal(t, pages(follow(s).seeWithout(slots[:n])), alerts, "one that begins at %d", n)
		switch {
		case n < 723 || n > 730 && n <= 790:
			require.Empty(t, alerts, n)
		case n <= 730:
			require.Equal(t, drill.At(723), alerts[0].Since)
		default:
			require.Equal(t, drill.At(791), alerts[0].Since)
		}
	}
}

// TestWhatIsExcludedDoesNotBeginAnAlert, and a short exclusion ends one for good
// where what follows is healthy, although its own slots are not settled yet.
func TestWhatIsExcludedDoesNotBeginAnAlert(t *testing.T) {
	s := drill.Excluding(drill.SLO(t), 720, 740)
	for n := 721; n <= 800; n++ {
		require.Empty(t, follow(s).seeWithout(drill.Slots(720, drill.Healthy, 20, drill.Failing, 60, drill.Healthy)[:n]), n)
	}
	// Ten failing slots, one excluded; after it the five minutes are clean.
	s = drill.Excluding(drill.SLO(t), 731, 732)
	slots := drill.Slots(720, drill.Healthy, 6, drill.Failing, 14, drill.Healthy)
	require.NotEmpty(t, pages(firesAt(drill.SLO(t), slots[:731], 2)))
	live := follow(s)
	for n := 723; n <= 740; n++ {
		require.Equal(t, n > 731, len(pages(live.seeWithout(slots[:n]))) == 0, n)
	}
}
