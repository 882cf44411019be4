package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
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

func printed(t *testing.T, r *evaluator.Report, sc screen) string {
	var b strings.Builder
	require.NoError(t, printTable(&b, r, sc))
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
`, printed(t, tableReport(), screen{}))
	require.Equal(t, "no SLOs\n\nat 2026-11-22 15:02 UTC\n", printed(t, &evaluator.Report{EvaluatedAt: tableReport().EvaluatedAt}, screen{}))
}

// TestTableMarksWhatIsNotTheWholeTruth before the SLI, and explains the marks.
func TestTableMarksWhatIsNotTheWholeTruth(t *testing.T) {
	r := tableReport()
	partly, estimated := &r.SLOs[2], &r.SLOs[3] // cart/saves, checkout/availability
	partly.Windows[3].Coverage = 0.89
	estimated.Exact = false
	r.SLOs[4].Windows[3].Coverage = 0.9
	text := printed(t, r, screen{})
	require.Contains(t, text, "! checkout  availability     99.9 %    ≈99.871 %        -29 % ")
	require.Contains(t, text, "! cart      saves              90 %     *50.00 %          0 % ")
	require.Contains(t, text, "  checkout  latency            99 %      99.74 %         74 % ")
	require.Contains(t, text, "\n  * less than 90 % of the window is known; the numbers cover that part only\n  ≈ estimated, not counted exactly\n")
}

// TestTableSaysHowEventsWereCounted once for each way, and not of SLOs that
// could not be counted.
func TestTableSaysHowEventsWereCounted(t *testing.T) {
	r := &evaluator.Report{EvaluatedAt: tableReport().EvaluatedAt}
	r.SLOs = append(r.SLOs, []evaluator.Status{
		{Backend: "eu", Method: "raw"}, {Backend: "eu", Method: "raw"}, {Backend: "eu", Method: "aggregated"},
		{Backend: "us", Method: "raw"}, {Backend: "us", Method: "evaluated"}, {Backend: "failed", Method: "raw", State: evaluator.StateQueryFailed}, {Backend: "silent", Method: "raw"},
	}...)
	r.Backends = []evaluator.BackendInfo{{Name: "eu", Kind: "prometheus", Version: "3.15.0"}, {Name: "us", Kind: "victoriametrics"}, {Name: "failed", Kind: "thanos"}}
	require.Contains(t, printed(t, r, screen{}),
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

// TestTableFits shows what goes first where there is less room: the bar, words,
// and then the objective.
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
`, printed(t, tableReport(), screen{width: 100}))
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
`, printed(t, tableReport(), screen{width: 80}))
}

// TestTableOfSeveralWindows names the windows in the rows where they differ.
func TestTableOfSeveralWindows(t *testing.T) {
	r := tableReport()
	r.SLOs = []evaluator.Status{r.SLOs[4], r.SLOs[7]}
	r.SLOs[0].Window = "90d"
	r.SLOs[0].Windows[1].Name = "2h"
	require.Equal(t, `  SERVICE   SLO      OBJECTIVE  WINDOW      SLI  BUDGET LEFT                  BURN  ENDS IN   ALERTS
<33>~ search    latency       99 %     30d  99.31 %         31 %  ███░░░░░░░  2.1 (1h)  4 d 10 h  ticket since Tue 15:02<0>
  checkout  latency       99 %     90d  99.74 %         74 %  ███████░░░  0.4 (2h)  -         -

at 2026-11-22 15:02 UTC
`, printed(t, r, screen{yellow: "<33>", red: "<31>", reset: "<0>"}))
}

// TestTableKeepsAlerts however little room there is: windows go before what fires, and
// long names are cut.
func TestTableKeepsAlerts(t *testing.T) {
	r := tableReport()
	r.SLOs[7].Window, r.SLOs[7].Windows[1].Name = "90d", "2h"
	end := r.EvaluatedAt.Add(9*24*time.Hour + 9*time.Hour)
	month := r.SLOs[4]
	month.ID, month.SLO, month.Window, month.Budget.PeriodEnd = "checkout/monthly", "monthly", "month", &end
	r.SLOs = append(r.SLOs, month)
	for _, width := range []int{80, 100} {
		text := printed(t, r, screen{width: width})
		head, _, _ := strings.Cut(text, "\n")
		require.Regexp(t, `  ALERTS$`, head)
		require.NotContains(t, head, "…")
		require.NotContains(t, head, "WINDOW")
		require.Contains(t, text, "page 14:02")
		require.Contains(t, text, "  18.2  spent ")
		require.NotRegexp(t, `\d…`, strings.ReplaceAll(text, "15…", ""), "no number is cut")
	}
	require.Contains(t, printed(t, r, screen{}), "WINDOW")
	r.SLOs[3].SLO = strings.Repeat("availability-", 4)
	r.SLOs[3].Service = "a-rather-long-name-of-a-service"
	text := printed(t, r, screen{width: 80})
	require.Regexp(t, `\n! a-rather-\S*…  availabi\S*… .* 18\.2  spent     page 14:02`, text)
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80)
	}
}

// TestTableSaysOnceThatABackendIsDown, and not with each SLO of it.
func TestTableSaysOnceThatABackendIsDown(t *testing.T) {
	r := tableReport()
	since := r.EvaluatedAt.Add(-20 * time.Minute)
	for i := range r.SLOs {
		s := &r.SLOs[i]
		s.Backend, s.State, s.StateSince = "eu", evaluator.StateQueryFailed, &since
		s.StateReason = "querying " + s.SLO + "_total: dial tcp 127.0.0.1:1: connect: connection refused"
	}
	text := printed(t, r, screen{})
	require.Equal(t, 1, strings.Count(text, "connection refused"), text)
	require.Contains(t, text, "\n  backend eu can't be read since 14:42 (connection refused): 9 SLOs unknown\n")
	require.EqualError(t, failed(r), "9 of 9 SLOs can't be evaluated: backend eu can't be read: dial tcp 127.0.0.1:1: connect: connection refused")
	r.SLOs[2].State = evaluator.StateOK
	require.Equal(t, 8, strings.Count(printed(t, r, screen{}), "connection refused"), "the backend answers others")
	require.ErrorContains(t, failed(r), "8 of 9 SLOs can't be evaluated, such as billing/invoices: querying invoices_total: ")
}

// TestIDsThatMayBeMeant are those that are spelt nearly so, or of the same service, not
// the first of the alphabet.
func TestIDsThatMayBeMeant(t *testing.T) {
	var slos []*slo.SLO
	for _, id := range []string{"accounts/availability", "billing/invoices", "billing/pdf", "cart/availability", "cart/latency",
		"catalogue/availability", "checkout/availability", "checkout/latency", "emails/sent", "search/results"} {
		service, name, _ := strings.Cut(id, "/")
		slos = append(slos, &slo.SLO{Service: service, Name: name})
	}
	for text, want := range map[string]string{
		"checkout/nope":         "; did you mean checkout/availability or checkout/latency?",
		"chekout/latency":       "; did you mean checkout/latency?",
		"Billing/pfd":           "; did you mean billing/pdf?",
		"shop/results":          "; did you mean search/results?",
		"latency":               "; did you mean cart/latency or checkout/latency?",
		"something/quite-other": ", there are accounts/availability, billing/invoices, billing/pdf, cart/availability, cart/latency, catalogue/availability, checkout/availability, checkout/latency or others",
	} {
		require.Equal(t, want, suggestions(text, slos), text)
	}
}

func TestExplainWantsTheIDFirst(t *testing.T) {
	dir := filepath.Dir(write(t, t.TempDir(), "checkout.yaml", checkout("99")))
	code, _, stderr := command(t, "explain", dir, "checkout/availability", "--backend", "http://127.0.0.1:1")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "slowburn: "+dir+" is a path; the SLO comes first: slowburn explain checkout/availability "+dir+"\n")
	code, _, stderr = command(t, "explain", dir, "--backend", "http://127.0.0.1:1")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "the id of an SLO comes first: slowburn explain checkout/availability "+dir+"\n")
}

// TestInterruptedInput ends the reading of a terminal on which nobody types.
func TestInterruptedInput(t *testing.T) {
	in, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	require.Equal(t, exitFailure, run(ctx, []string{"validate", "-"}, streams{in, io.Discard, &stderr}))
	require.Equal(t, "slowburn: interrupted\n", stderr.String())
}
