package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// tableReport has an SLO of each sort, in the order of their ids.
func tableReport() *evaluator.Report {
	at := time.Date(2026, 11, 22, 15, 2, 0, 0, time.UTC)
	ptr := func(v float64) *float64 { return &v }
	slo := func(service, name string, objective, sli, left, burn float64) evaluator.Status {
		return evaluator.Status{
			ID: service + "/" + name, Service: service, SLO: name, Objective: objective, Window: "30d",
			State: evaluator.StateOK, StateSince: &time.Time{}, Exact: true,
			Windows: []evaluator.WindowStatus{
				{Name: "5m", Seconds: 300, BurnRate: ptr(99)}, {Name: "1h", Seconds: 3600, BurnRate: ptr(burn)},
				{Name: "6h", Seconds: 21600, BurnRate: ptr(88)}, {Name: "30d", Seconds: 30 * 86400, SLI: ptr(sli), Coverage: 1},
			},
			Budget: evaluator.Budget{Remaining: ptr(left)},
		}
	}
	alert := func(severity string, since time.Time) evaluator.FiringAlert {
		return evaluator.FiringAlert{Name: "ErrorBudgetBurn", Severity: severity, Since: since, Windows: []string{"1h", "5m"}}
	}
	page := slo("checkout", "availability", 0.999, 0.99871, -0.29, 18.16)
	page.Alerts = []evaluator.FiringAlert{alert("page", at.Add(-time.Hour)), alert("ticket", at.Add(-50*time.Hour))}
	ticket := slo("search", "latency", 0.99, 0.9931, 0.31, 2.1)
	ticket.Alerts = []evaluator.FiringAlert{alert("ticket", at.Add(-5*24*time.Hour))}
	ticket.Budget.ExhaustedInSeconds = ptr(106*3600 + 59)
	spent := slo("cart", "saves", 0.9, 0.5, 0, 0.04)
	nobody := slo("intranet", "search", 0.5, 1, 1, 0)
	nobody.State, nobody.StateSince = evaluator.StateNoTraffic, &at
	lost := slo("mail", "delivery", 0.9995, 0.99999999, 0.99998, 0)
	gone := at.Add(-82 * time.Minute)
	lost.State, lost.StateReason, lost.StateSince = evaluator.StateNoData, "no samples of sent_total since …", &gone
	lost.Cause, lost.Windows[1].BurnRate = "target down", nil
	never := slo("billing", "invoices", 0.9995, 0, 0, 0)
	never.State, never.StateReason, never.StateSince = evaluator.StateNoData, "no series match invoices_total", nil
	never.Windows, never.Budget = nil, evaluator.Budget{}
	warming := never
	warming.ID, warming.SLO, warming.State, warming.StateReason = "billing/pdf", "pdf", evaluator.StateWarming, "history is being\nread"
	return &evaluator.Report{EvaluatedAt: at, SLOs: []evaluator.Status{
		never, warming, spent, page, slo("checkout", "latency", 0.99, 0.9974, 0.74, 0.4), nobody, lost, ticket,
		slo("shop", "overspent", 0.99, 0.86660, -12.34, 1234.5),
	}}
}

func printed(t *testing.T, r *evaluator.Report, sc Screen) string {
	var b strings.Builder
	require.NoError(t, Table(&b, r, sc))
	return b.String()
}

func TestTable(t *testing.T) {
	require.Equal(t, `  SERVICE   SLO           OBJECTIVE      30d SLI  BUDGET LEFT              BURN 1h  ENDS IN   ALERTS
! checkout  availability     99.9 %     99.871 %        -29 %  ░░░░░░░░░░     18.2  spent     page since 14:02
! shop      overspent          99 %      86.66 %     -1,234 %  ░░░░░░░░░░    1,234  spent     -
! cart      saves              90 %      50.00 %          0 %  ░░░░░░░░░░     0.04  spent     -
~ search    latency            99 %      99.31 %         31 %  ███░░░░░░░      2.1  4 d 10 h  ticket since Tue 15:02
? billing   invoices        99.95 %            -            -                    -  -         no data: no series match invoices_total
? billing   pdf             99.95 %            -            -                    -  -         warming: history is being read
? mail      delivery        99.95 %  99.999999 %     99.998 %  █████████░        -  -         no data since 13:40 (target down)
  checkout  latency            99 %      99.74 %         74 %  ███████░░░      0.4  -         -
  intranet  search             50 %        100 %        100 %  ██████████        0  -         no traffic since 15:02

at 2026-11-22 15:02 UTC
`, printed(t, tableReport(), Screen{}))
	require.Equal(t, "no SLOs\n\nat 2026-11-22 15:02 UTC\n", printed(t, &evaluator.Report{EvaluatedAt: tableReport().EvaluatedAt}, Screen{}))
}

// TestTableMarks expects marks before an SLI in doubt, and their explanations.
func TestTableMarks(t *testing.T) {
	r := tableReport()
	partly, estimated := &r.SLOs[2], &r.SLOs[3] // cart/saves, checkout/availability
	partly.Windows[3].Coverage = 0.89
	estimated.Exact = false
	r.SLOs[4].Windows[3].Coverage = 0.9
	text := printed(t, r, Screen{})
	require.Contains(t, text, "! checkout  availability     99.9 %    ≈99.871 %        -29 % ")
	require.Contains(t, text, "! cart      saves              90 %     *50.00 %          0 % ")
	require.Contains(t, text, "  checkout  latency            99 %      99.74 %         74 % ")
	require.Contains(t, text, "\n  * less than 90 % of the window is known; the numbers cover that part only\n  ≈ estimated, not counted exactly\n")
}

// TestTableMethods expects each way of counting once, without those of SLOs that could not
// be counted.
func TestTableMethods(t *testing.T) {
	r := &evaluator.Report{EvaluatedAt: tableReport().EvaluatedAt}
	r.SLOs = append(r.SLOs, []evaluator.Status{
		{Backend: "eu", Method: "raw"}, {Backend: "eu", Method: "raw"}, {Backend: "eu", Method: "aggregated"},
		{Backend: "us", Method: "raw"}, {Backend: "us", Method: "evaluated"}, {Backend: "failed", Method: "raw", State: evaluator.StateQueryFailed}, {Backend: "silent", Method: "raw"},
	}...)
	r.Backends = []evaluator.BackendInfo{{Name: "eu", Kind: "prometheus", Version: "3.15.0"}, {Name: "us", Kind: "victoriametrics"}, {Name: "failed", Kind: "thanos"}}
	require.Contains(t, printed(t, r, Screen{}),
		"\nat 2026-11-22 15:02 UTC, counted from raw samples in Prometheus 3.15.0 and sums of targets in Prometheus 3.15.0 and raw samples in VictoriaMetrics and values of queries in VictoriaMetrics\n")
}

func TestBar(t *testing.T) {
	for left, want := range map[float64]string{
		-3: "░░░░░░░░░░", 0: "░░░░░░░░░░", 0.0001: "█░░░░░░░░░", 0.14: "█░░░░░░░░░", 0.76: "████████░░", 0.9999: "█████████░", 1: "██████████",
	} {
		require.Equal(t, want, bar(&left), left)
	}
	require.Empty(t, bar(nil))
}

// TestTableFits expects that a narrower table first loses the bar, then words, and then the
// objective.
func TestTableFits(t *testing.T) {
	require.Equal(t, `  SERVICE   SLO           OBJECTIVE      30d SLI  BUDGET LEFT  BURN 1h  ENDS IN   ALERTS
! checkout  availability     99.9 %     99.871 %        -29 %     18.2  spent     page 14:02
! shop      overspent          99 %      86.66 %     -1,234 %    1,234  spent     -
! cart      saves              90 %      50.00 %          0 %     0.04  spent     -
~ search    latency            99 %      99.31 %         31 %      2.1  4 d 10 h  ticket Tue 15:02
? billing   invoices        99.95 %            -            -        -  -         no data: no serie…
? billing   pdf             99.95 %            -            -        -  -         warming: history …
? mail      delivery        99.95 %  99.999999 %     99.998 %        -  -         no data 13:40
  checkout  latency            99 %      99.74 %         74 %      0.4  -         -
  intranet  search             50 %        100 %        100 %        0  -         no traffic 15:02

at 2026-11-22 15:02 UTC
`, printed(t, tableReport(), Screen{Width: 100}))
	require.Equal(t, `  SERVICE   SLO               30d SLI      LEFT  BURN 1h  ENDS IN   ALERTS
! checkout  availability     99.871 %     -29 %     18.2  spent     page 14:02
! shop      overspent         86.66 %  -1,234 %    1,234  spent     -
! cart      saves             50.00 %       0 %     0.04  spent     -
~ search    latency           99.31 %      31 %      2.1  4 d 10 h  ticket Tue …
? billing   invoices                -         -        -  -         no data: no…
? billing   pdf                     -         -        -  -         warming: hi…
? mail      delivery      99.999999 %  99.998 %        -  -         no data 13:…
  checkout  latency           99.74 %      74 %      0.4  -         -
  intranet  search              100 %     100 %        0  -         no traffic …

at 2026-11-22 15:02 UTC
`, printed(t, tableReport(), Screen{Width: 80}))
}

// TestTableOfSeveralWindows expects the windows in the rows where they differ.
func TestTableOfSeveralWindows(t *testing.T) {
	r := tableReport()
	r.SLOs = []evaluator.Status{r.SLOs[4], r.SLOs[7]}
	r.SLOs[0].Window = "90d"
	r.SLOs[0].Windows[1].Name = "2h"
	require.Equal(t, `  SERVICE   SLO      OBJECTIVE  WINDOW      SLI  BUDGET LEFT                  BURN  ENDS IN   ALERTS
<yellow>~ search    latency       99 %     30d  99.31 %         31 %  ███░░░░░░░  2.1 (1h)  4 d 10 h  ticket since Tue 15:02<reset>
  checkout  latency       99 %     90d  99.74 %         74 %  ███████░░░  0.4 (2h)  -         -

at 2026-11-22 15:02 UTC
`, strings.NewReplacer("\x1b[33m", "<yellow>", "\x1b[0m", "<reset>").Replace(printed(t, r, Screen{Colours: true})))
}

// TestTableKeepsAlerts expects that the windows go before the alerts, and that long names
// are cut.
func TestTableKeepsAlerts(t *testing.T) {
	r := tableReport()
	r.SLOs[7].Window, r.SLOs[7].Windows[1].Name = "90d", "2h"
	end := r.EvaluatedAt.Add(9*24*time.Hour + 9*time.Hour)
	month := r.SLOs[4]
	month.ID, month.SLO, month.Window, month.Budget.PeriodEnd = "checkout/monthly", "monthly", "month", &end
	r.SLOs = append(r.SLOs, month)
	for _, width := range []int{80, 100} {
		text := printed(t, r, Screen{Width: width})
		head, _, _ := strings.Cut(text, "\n")
		require.Regexp(t, `  ALERTS$`, head)
		require.NotContains(t, head, "…")
		require.NotContains(t, head, "WINDOW")
		require.Contains(t, text, "page 14:02")
		require.Contains(t, text, "  18.2  spent ")
		require.NotRegexp(t, `\d…`, strings.ReplaceAll(text, "15…", ""), "no number is cut")
	}
	require.Contains(t, printed(t, r, Screen{}), "WINDOW")
	r.SLOs[3].SLO = strings.Repeat("availability-", 4)
	r.SLOs[3].Service = "a-rather-long-name-of-a-service"
	text := printed(t, r, Screen{Width: 80})
	require.Regexp(t, `\n! a-rather-\S*…  availabi\S*… .* 18\.2  spent     page 14:02`, text)
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80)
	}
}

// TestTableOfAnOutage expects one line about a backend that is down, and none for each SLO.
func TestTableOfAnOutage(t *testing.T) {
	r := tableReport()
	since := r.EvaluatedAt.Add(-20 * time.Minute)
	for i := range r.SLOs {
		s := &r.SLOs[i]
		s.Backend, s.State, s.StateSince = "eu", evaluator.StateQueryFailed, &since
		s.StateReason = "querying " + s.SLO + "_total: dial tcp 127.0.0.1:1: connect: connection refused"
	}
	text := printed(t, r, Screen{})
	require.Equal(t, 1, strings.Count(text, "connection refused"), text)
	require.Contains(t, text, "\n  backend eu can't be read since 14:42 (connection refused): 9 SLOs unknown\n")
	r.SLOs[2].State = evaluator.StateOK
	require.Equal(t, 8, strings.Count(printed(t, r, Screen{}), "connection refused"), "the backend answers others")
}
