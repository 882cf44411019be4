package notify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// TestForgettingEndsNoTicketOfABudget: a backend forgets all but 6 h of 30 d, or a
// tenth of them, in which the budget is fine. The tickets go on until as much is known
// again.
func TestForgettingEndsNoTicketOfABudget(t *testing.T) {
	for _, left := range []float64{0.0083, 0.6, 0.9} {
		x := newTeller(t)
		spent := x.about(evaluator.StateOK, -0.1, 0)
		spent.Alerts = []evaluator.FiringAlert{{Name: slo.ExhaustedAlert, Severity: slo.Ticket}, {Name: slo.PolicyAlert, Severity: slo.Ticket, RemainingBelow: 0.25}}
		tickets := []string{"ErrorBudgetExhausted", "ErrorBudgetPolicy"}
		firing, _ := x.see(1, spent)
		require.Equal(t, tickets, firing)

		fine := x.about(evaluator.StateOK, 0.8, 0)
		fine.Windows[1].Coverage = left
		for range 3 { // longer than what can't be read is held
			firing, resolved := x.see(59, fine)
			require.Equal(t, tickets, firing, left)
			require.Empty(t, resolved, left)
		}
		for _, a := range x.sender.alertsIn(stageFiring) {
			require.True(t, a.stale, "another replica may know more")
		}
		require.Len(t, x.shown, 2, "what is sent is shown")
		for _, a := range x.shown {
			require.Contains(t, a.Summary, "whether it is over is not known")
			require.Contains(t, a.Description, "it is held because too little is known to end it: "+humanize.Digits(100*left, 3)+" % of the last 30d, less than when it began.")
		}
		fine.Windows[1].Coverage = 0.99
		firing, resolved := x.see(1, fine)
		require.Empty(t, firing, left)
		require.Equal(t, tickets, resolved, left)
	}
}

// TestForgettingAboutHalf: of less than half of its window nobody judges a budget. The ticket
// that began by a little more goes on by a little less.
func TestForgettingAboutHalf(t *testing.T) {
	x := newTeller(t)
	spent, unknown := x.about(evaluator.StateOK, -0.1, 0), x.about(evaluator.StateOK, -0.1, 0)
	spent.Alerts = []evaluator.FiringAlert{{Name: slo.ExhaustedAlert, Severity: slo.Ticket}}
	spent.Windows[1].Coverage, unknown.Windows[1].Coverage = 0.52, 0.48
	for _, s := range []evaluator.Status{spent, unknown} {
		firing, resolved := x.see(1, s)
		require.Equal(t, []string{"ErrorBudgetExhausted"}, firing)
		require.Empty(t, resolved)
	}
	unknown.Windows[1].Coverage = 0.51
	_, resolved := x.see(1, unknown)
	require.Equal(t, []string{"ErrorBudgetExhausted"}, resolved)
}

// TestLateSamplesHoldNoPage: of 5 minutes two, and then three, are not scraped yet. The
// settled ones end the page.
func TestLateSamplesHoldNoPage(t *testing.T) {
	x := newTeller(t)
	s := x.about(evaluator.StateOK, 0.5, 20)
	s.Windows = append([]evaluator.WindowStatus{{Name: "5m", Seconds: 300, End: x.now, Coverage: 0.6}}, s.Windows...)
	s.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Page, Tier: "outage", Since: x.now, Held: x.now.Add(time.Minute), Windows: []string{"5m", "5m"}}}
	firing, _ := x.see(1, s)
	require.Equal(t, []string{"ErrorBudgetBurn"}, firing)
	s.Alerts, s.Windows[0].Coverage = nil, 0.4
	firing, _ = x.see(1, s)
	require.Empty(t, firing)
	require.Empty(t, x.shown)
}

// TestForgettingBitByBit confirms a ticket by reports that cover less and less. What
// was known when the ticket began counts.
func TestForgettingBitByBit(t *testing.T) {
	x := newTeller(t)
	since := x.now
	for _, known := range []float64{1, 0.97, 0.94, 0.91} {
		spent := x.about(evaluator.StateOK, -0.1, 0)
		spent.Windows[1].Coverage = known
		spent.Alerts = []evaluator.FiringAlert{{Name: slo.ExhaustedAlert, Severity: slo.Ticket, Since: since}}
		_, _ = x.see(1, spent)
	}
	fine := x.about(evaluator.StateOK, 0.8, 0)
	fine.Windows[1].Coverage = 0.9
	firing, resolved := x.see(1, fine)
	require.Equal(t, []string{"ErrorBudgetExhausted"}, firing)
	require.Empty(t, resolved)
}

// TestForgettingEndsNoForecast which needs the longest window of the policy, too.
func TestForgettingEndsNoForecast(t *testing.T) {
	x := newTeller(t)
	soon := x.about(evaluator.StateOK, 0.1, 1.5)
	soon.Alerts = []evaluator.FiringAlert{{Name: slo.ForecastAlert, Severity: slo.Ticket}}
	firing, _ := x.see(1, soon)
	require.Equal(t, []string{"ErrorBudgetForecast"}, firing)
	fine := x.about(evaluator.StateOK, 0.1, 0)
	fine.Windows[0].Coverage = 0.08
	firing, resolved := x.see(1, fine)
	require.Equal(t, []string{"ErrorBudgetForecast"}, firing)
	require.Empty(t, resolved)
}

// TestANewPeriodEndsTheTicketOfTheOldOne, though little of it is known.
func TestANewPeriodEndsTheTicketOfTheOldOne(t *testing.T) {
	x := newTeller(t)
	start := x.now.Add(-24 * time.Hour)
	spent := x.about(evaluator.StateOK, -0.1, 0)
	spent.Budget.PeriodStart = &start
	spent.Alerts = []evaluator.FiringAlert{{Name: slo.ExhaustedAlert, Severity: slo.Ticket}}
	firing, _ := x.see(1, spent)
	require.Equal(t, []string{"ErrorBudgetExhausted"}, firing)
	fine := x.about(evaluator.StateOK, 0.8, 0)
	begun := x.now.Add(time.Minute)
	fine.Budget.PeriodStart, fine.Windows[1].Coverage = &begun, 0.6
	_, resolved := x.see(2, fine)
	require.Equal(t, []string{"ErrorBudgetExhausted"}, resolved)
}

// TestForgettingResolvesNoBurnAlert: it is held for an hour, and then runs out without
// a word. One window that is as well known as at the beginning is enough to end it.
func TestForgettingResolvesNoBurnAlert(t *testing.T) {
	burning := func(x *teller) evaluator.Status {
		s := x.about(evaluator.StateOK, 0.5, 0)
		s.Windows = append([]evaluator.WindowStatus{{Name: "1d", Seconds: 86400, End: x.now, Coverage: 1}}, s.Windows...)
		at := x.now.Add(time.Minute)
		s.Alerts = []evaluator.FiringAlert{{Name: slo.DefaultAlertName, Severity: slo.Ticket, Tier: "trickle", Since: x.now, Held: at, Windows: []string{"3d", "1d"}}}
		return s
	}
	for name, c := range map[string]struct {
		long, short      float64
		firing, resolved []string
	}{
		"both are forgotten": {0.08, 0.25, []string{"ErrorBudgetBurn"}, nil},
		"a gap in one":       {0.9, 0.98, nil, []string{"ErrorBudgetBurn"}},
	} {
		x := newTeller(t)
		s := burning(x)
		firing, _ := x.see(1, s)
		require.Equal(t, []string{"ErrorBudgetBurn"}, firing, name)
		s.Alerts, s.Windows[0].Coverage, s.Windows[1].Coverage = nil, c.short, c.long
		firing, resolved := x.see(1, s)
		require.Equal(t, c.firing, firing, name)
		require.Equal(t, c.resolved, resolved, name)
		firing, resolved = x.see(61, s)
		require.Empty(t, firing, name)
		require.Empty(t, resolved, name)
	}
}
