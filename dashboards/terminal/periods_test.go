package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

func TestPeriodsForPeople(t *testing.T) {
	at := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	end := time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	month, err := slo.NewCalendar(slo.Month, "Europe/Berlin")
	require.NoError(t, err)
	sli := 0.9995
	s := evaluator.Status{
		ID: "shop/availability", Service: "shop", SLO: "availability", Objective: 0.999, Window: "month", State: evaluator.StateOK,
		Windows: []evaluator.WindowStatus{{Name: "1h", Seconds: 3600}, {Name: "6h", Seconds: 21600}, {Name: "month", Seconds: 60}},
		Budget:  evaluator.Budget{PeriodEnd: &end}, Spec: &slo.SLO{Window: month},
		Periods: []evaluator.PeriodStatus{
			{Name: "2026-10", Objective: 0.99, SLI: &sli, Total: 2e6, Bad: 1e3, Allowed: new(2e4), Remaining: new(0.95), Coverage: 0.5},
			{Name: "2026-09", Objective: 0.99},
		},
		MorePeriods: true,
	}
	rolling := evaluator.Status{ID: "shop/latency", Spec: &slo.SLO{Window: slo.Rolling(slo.MaxWindow)}}
	group := rolling
	group.ID, group.Group = `shop/latency{tenant="a"}`, map[string]string{"tenant": "a"}
	unread := s
	unread.ID, unread.Periods = "shop/unread", nil
	var b strings.Builder
	require.NoError(t, Periods(&b, &evaluator.Report{SLOs: []evaluator.Status{s, rolling, group, unread}}, Screen{}))
	require.Equal(t, `
shop/availability, each month in Europe/Berlin
  PERIOD   OBJECTIVE      SLI  BUDGET LEFT    BAD  ALLOWED      TOTAL  KNOWN
  2026-10       99 %  99.95 %         95 %  1,000   20,000  2,000,000   50 %
  2026-09       99 %        -            -      -        -          -    0 %
  older periods are not shown

shop/unread, each month in Europe/Berlin
  not read

1 SLO without periods: only calendar windows have them
`, b.String())

	table := printed(t, &evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{s}}, Screen{})
	require.Contains(t, table, "month SLI")
	require.Contains(t, table, "BURN 1h", "though the month is younger than an hour")
	require.Regexp(t, `NEW BUDGET IN.*\n.*19 d 23 h`, table)
}
