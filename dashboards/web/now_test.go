package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// change changes one SLO of the sample.
func change(t *testing.T, id string, f func(*evaluator.Status)) *evaluator.Report {
	t.Helper()
	r := sample(t)
	for i := range r.SLOs {
		if r.SLOs[i].ID == id {
			r.SLOs[i].At = r.EvaluatedAt
			f(&r.SLOs[i])
			return r
		}
	}
	require.Fail(t, "no such SLO", id)
	return nil
}

// words is the text of a page, without markup.
func words(h http.Handler, path string) string {
	text := regexp.MustCompile(`(?s)<svg.*?</svg>|<[^>]*>`).ReplaceAllString(get(h, path).Body.String(), " ")
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "&#39;", "'")), " ")
}

// minutes are buckets of a minute each with 100 events, of which so many are bad.
func minutes(bad ...float64) []evaluator.Bucket {
	var out []evaluator.Bucket
	for i, n := range bad {
		out = append(out, evaluator.Bucket{End: evaluated.Add(time.Duration(i+1-len(bad)) * time.Minute), Total: 100, Bad: n, Coverage: 1})
	}
	return out
}

// firing is a page whose short window of 5m has so many bad ones of 500 events.
func firing(bad float64, holds bool, until time.Time, burning ...float64) func(*evaluator.Status) {
	return func(st *evaluator.Status) {
		a := &st.Alerts[0]
		a.Name, a.Summary, a.Description = "ErrorBudgetBurn", "checkout burns 18x too fast", "1.8 % of the requests fail."
		a.Holds, a.Until = holds, until
		st.Windows[0].Total, st.Windows[0].Bad = 500, bad
		rate := bad / 500 / 0.001
		st.Windows[0].BurnRate = &rate
		st.Burning = minutes(burning...)
	}
}

// TestThePageSaysHowBadItIsNow expects the share over the shortest window of the tier that
// fires, and whether it goes on. The objective is 99.9 %.
func TestThePageSaysHowBadItIsNow(t *testing.T) {
	const id, page = "checkout/availability", "/slo/checkout/availability"
	goesOn := words(handler(change(t, id, firing(95, true, evaluated.Add(11*time.Minute), 0, 20, 19, 18, 19, 19))), page)
	require.Contains(t, goesOn, "▲ checkout burns 18x too fast 1.8 % of the requests fail. page since 14:02 (1 h 2 min), tier fast, windows 1h and 5m. It goes on.")
	require.Contains(t, goesOn, "Now, last 5m 19 % fail burns 190 times as fast as allowed; 0.1 % is allowed")
	require.Less(t, strings.Index(goesOn, "Now, last 5m"), strings.Index(goesOn, "Objective"), "it comes first")
	body := get(handler(change(t, id, firing(95, true, evaluated.Add(11*time.Minute), 19))), page).Body.String()
	require.Contains(t, body, `<div class="now bad">`)

	// The last bad minute ended at 15:01. It is in the short window of 5m until 15:05, so
	// that the tier holds until then. It is kept firing for 10 min: 15:16 is the first slot
	// without it.
	stopped := words(handler(change(t, id, firing(38, true, evaluated.Add(11*time.Minute), 20, 18, 0, 0, 0))), page)
	require.Contains(t, stopped, "Now, last 5m 7.6 % failed burns 76.0 times as fast as allowed; 0.1 % is allowed within that since 15:01")
	require.Contains(t, stopped, "Nothing failed beyond what is allowed since 15:01; the page ends about 15:16 if it stays so.")

	lingers := change(t, id, firing(0, false, evaluated.Add(4*time.Minute), 20, 0, 0, 0, 0, 0, 0))
	require.Contains(t, words(handler(lingers), page), "Nothing failed beyond what is allowed since 14:58; the page ends about 15:08 if it stays so.")
	require.Contains(t, words(handler(lingers), page), "Now, last 5m nothing fails 0.1 % is allowed")
	require.NotContains(t, get(handler(lingers), page).Body.String(), `class="now bad"`)

	thin := words(handler(change(t, id, func(st *evaluator.Status) {
		firing(95, true, evaluated.Add(11*time.Minute), 19)(st)
		st.Windows[0].Coverage = 0.6
	})), page)
	require.Contains(t, thin, "Now, last 5m (60 % known) 19 % fail")

	gap := change(t, id, firing(0, false, evaluated.Add(4*time.Minute), 20, 0, 0, 0, 0, 0, 0))
	for i := range gap.SLOs {
		if gap.SLOs[i].ID == id {
			gap.SLOs[i].Burning[3].Coverage = 0
		}
	}
	require.Contains(t, words(handler(gap), page), "It has stopped holding; the page ends about 15:08 if it stays so.", "a minute is unknown")

	over := words(handler(change(t, id, func(st *evaluator.Status) { st.Alerts = nil })), page)
	require.NotContains(t, over, "burns 18x")
}

// TestThePageSaysThatNobodySeesHowBadItIs expects no current numbers when the backend is
// silent, the data is gone or no evaluation was made for a while.
func TestThePageSaysThatNobodySeesHowBadItIs(t *testing.T) {
	const id, page = "checkout/availability", "/slo/checkout/availability"
	report := func(f func(*evaluator.Status)) *evaluator.Report {
		return change(t, id, func(st *evaluator.Status) {
			firing(95, true, evaluated.Add(11*time.Minute), 20, 19, 18, 19, 19)(st)
			f(st)
		})
	}
	for name, h := range map[string]http.Handler{
		"silent": handler(report(func(st *evaluator.Status) { st.State = evaluator.StateQueryFailed })),
		"gone":   handler(report(func(st *evaluator.Status) { st.State = evaluator.StateNoData })),
		"late": handler(report(func(*evaluator.Status) {}), func(o *web.Options) {
			o.Now = func() time.Time { return evaluated.Add(4 * time.Minute) }
		}),
	} {
		text := words(h, page)
		require.Contains(t, text, "windows 1h and 5m. Whether it goes on is not known.", name)
		require.Contains(t, text, "Last known, 5m until 15:04 19 % failed burns 190 times as fast as allowed; 0.1 % is allowed nothing newer is known", name)
		require.NotContains(t, text, "Now, last", name)
		require.NotContains(t, get(h, page).Body.String(), `class="now bad"`, name)
	}
	held := words(handler(report(func(st *evaluator.Status) {
		st.Alerts[0].Summary, st.Alerts[0].Waits = "checkout burned too fast; whether it is over is not known", "too little is known to end it"
		st.Alerts[0].Holds, st.Alerts[0].Until = false, time.Time{}
	})), page)
	require.Contains(t, held, "whether it is over is not known 1.8 % of")
	require.NotContains(t, held, "goes on", "its own words say that")
}

// TestPagesComeBeforeTickets expects this order in the banners of an SLO.
func TestPagesComeBeforeTickets(t *testing.T) {
	text := words(handler(change(t, "checkout/availability", func(st *evaluator.Status) {
		firing(95, true, evaluated, 19)(st)
		st.Alerts = append([]evaluator.FiringAlert{{
			Name: "ErrorBudgetExhausted", Severity: "ticket", Since: evaluated.Add(-time.Hour), Older: true,
			Summary: "checkout has spent its error budget", Description: "Nothing is left.",
		}}, st.Alerts...)
	})), "/slo/checkout/availability")
	require.Regexp(t, `▲ checkout burns 18x too fast.*◆ checkout has spent its error budget Nothing is left\. ticket since or before 14:04 \(1 h or more\)`, text)
}

// TestEachAlertIsShown expects a badge of a ticket about the budget while nothing burns. The
// title and the summary count it, and the filters choose it.
func TestEachAlertIsShown(t *testing.T) {
	for _, name := range []string{"ErrorBudgetPolicy", "ErrorBudgetForecast", "ErrorBudgetExhausted", "SLONoData"} {
		h := handler(change(t, "edge/availability", func(st *evaluator.Status) {
			st.Alerts = []evaluator.FiringAlert{{Name: name, Severity: "ticket", Since: evaluated.Add(-time.Hour), Summary: name + " of edge", Description: "Do this."}}
		}))
		list := words(h, "/")
		require.Contains(t, list, "(3 firing) SLOs")
		require.Contains(t, list, "1 page firing 2 tickets firing")
		require.Contains(t, words(h, "/?q=edge"), "◆ Ticket since 14:04 edge / availability")
		require.Contains(t, shown(get(h, "/?state=ticket")), "edge/availability")
		require.Contains(t, shown(get(h, "/?state=firing")), "edge/availability")
		require.NotContains(t, shown(get(h, "/?state=ok")), "edge/availability")
		require.Contains(t, words(h, "/slo/edge/availability"), "◆ "+name+" of edge Do this. ticket since 14:04 (1 h)")
		require.Contains(t, get(h, "/api/v1/slos?service=edge").Body.String(), `"summary":"`+name+` of edge"`)
	}
}

// TestAboutToFire expects that an SLO which burns at 13.2 is not OK, though nothing fires yet.
func TestAboutToFire(t *testing.T) {
	r := change(t, "edge/availability", func(st *evaluator.Status) {
		for i := range 3 { // 5m, 30m, 1h
			st.Windows[i].BurnRate = new(13.2)
		}
		st.Windows[0].Total, st.Windows[0].Bad = 1000, 13.2
	})
	h := handler(r)
	require.Equal(t, []string{"edge/availability"}, shown(get(h, "/?state=burning")))
	ids := shown(get(h, "/"))
	require.Equal(t, "edge/availability", ids[4], "after a page, two overspent ones and a ticket: %s", ids)
	require.Contains(t, words(h, "/"), "△ Burning 13.2×")
	require.Contains(t, words(h, "/"), "1 about to fire")
	text := words(h, "/slo/edge/availability")
	require.Contains(t, text, "Now, last 5m 1.3 % fail")
	require.Contains(t, text, "no alert fires yet; a page does at 14.4 times")
}

// TestDoubtsAreNeverGreen expects a mark and a reason for numbers that may be wrong, in the
// list and on the page of the SLO.
func TestDoubtsAreNeverGreen(t *testing.T) {
	h := handler(change(t, "edge/availability", func(st *evaluator.Status) {
		st.Doubts = []evaluator.Doubt{
			{Code: evaluator.DoubtBadExceedsTotal, Message: "more bad events (20) than events (5)", Since: new(evaluated.Add(-time.Hour))},
			{Code: evaluator.DoubtAudit, Message: "the backend counts 7 % more"},
		}
	}))
	for _, path := range []string{"/?state=doubtful", "/slo/edge/availability"} {
		body := get(h, path).Body.String()
		require.NotContains(t, body, `badge fine`, path)
		require.Contains(t, body, `<span class="badge doubt"><span aria-hidden="true">±</span> OK</span>`, path)
		require.Contains(t, body, "more bad events (20) than events (5)", path)
	}
	require.Equal(t, []string{"edge/availability"}, shown(get(h, "/?state=doubtful")))
	require.Contains(t, words(h, "/"), "1 in doubt")
	require.Contains(t, words(h, "/?q=edge"), "(and 1 more)")
	require.Contains(t, words(h, "/slo/edge/availability"), "the backend counts 7 % more")
	require.Contains(t, words(h, "/slo/edge/availability"), "since 22 Nov 14:04")
}

// TestStateFilters expects that firing SLOs are not ok, and that pages are no tickets.
func TestStateFilters(t *testing.T) {
	h := handler(sample(t))
	require.Equal(t, []string{"checkout/availability"}, shown(get(h, "/?state=page")))
	require.Equal(t, []string{"search/latency"}, shown(get(h, "/?state=ticket")))
	require.ElementsMatch(t, []string{"checkout/latency", "catalogue/availability", "mail/delivery", "edge/availability"}, shown(get(h, "/?state=ok")))
	body := get(h, "/").Body.String()
	require.Contains(t, body, `<li class="page"><a href="/?state=page">`)
	require.Contains(t, body, `<li class="ticket"><a href="/?state=ticket">`)
}

// TestCoverageIsShown has an SLO with a third of its window known.
func TestCoverageIsShown(t *testing.T) {
	h := handler(change(t, "edge/availability", func(st *evaluator.Status) { st.Windows[len(st.Windows)-1].Coverage = 1.0 / 3 }))
	require.Contains(t, words(h, "/?q=edge"), "30d known 10 of 30 d")
	require.Contains(t, words(h, "/slo/edge/availability"), "over 30d, known 10 of 30 d")
	require.NotContains(t, words(h, "/?q=catalogue"), " known ")
	hatched := regexp.MustCompile(`class="hatch" d="M(\d+) [^"]*M(\d+) 10l6-10"`)
	for _, path := range []string{"/?q=edge", "/slo/edge/availability"} {
		found := hatched.FindAllStringSubmatch(get(h, path).Body.String(), -1)
		require.Len(t, found, 1, path)
		require.Equal(t, []string{"66", "126"}, found[0][1:], "from a third of the 99 behind zero, at 33, to the end at 132")
	}
	require.NotContains(t, get(h, "/?q=catalogue").Body.String(), "hatch")
}

// TestProblemsBelongToTheirFile expects only problems of its own file on the page of an SLO,
// after the alerts. Errors come before warnings.
func TestProblemsBelongToTheirFile(t *testing.T) {
	r := sample(t)
	const source = "https://git.example.org/slos.git"
	r.Problems = []evaluator.Problem{
		{Source: source, File: "slos/search.yaml", Line: 2, Column: 1, Severity: "warning", Message: "odd"},
		{Source: source, File: "slos/checkout.yaml", Line: 3, Column: 5, Severity: "warning", Message: "strange"},
		{Source: source, File: "slos/checkout.yaml", Line: 9, Column: 5, Severity: "error", Message: "wrong"},
		{Source: "./other", File: "slos/checkout.yaml", Severity: "error", Message: "of another source"},
	}
	h := handler(r)
	require.Contains(t, words(h, "/"), "2 errors, 2 warnings in SLO files Files with errors are not used. Their last good SLOs stay live. SLOs that were never good are not watched.")
	require.Regexp(t, `error slos/checkout.yaml:9:5 wrong.*error slos/checkout.yaml of another source.*warning slos/search.yaml:2:1 odd`, words(h, "/"))
	text := words(h, "/slo/checkout/availability")
	require.Regexp(t, `page since .*Budget left.*1 error, 1 warning in SLO files.*wrong.*strange`, text)
	require.Contains(t, get(h, "/slo/checkout/availability").Body.String(), `class="banner problems" open>`, "its own are shown at once")
	require.Contains(t, get(h, "/").Body.String(), `class="banner problems">`, "those of all take a line")
	require.NotContains(t, text, "odd")
	require.NotContains(t, text, "of another source")
	r.Problems = r.Problems[:1]
	h = handler(r)
	require.Contains(t, words(h, "/"), "1 warning in SLO files")
	require.NotContains(t, words(h, "/"), "Files with errors")
	require.NotContains(t, words(h, "/slo/checkout/availability"), "in SLO files")
}

// TestTheTimeOfAStateIsSaidOnce has a reason with the time of the state.
func TestTheTimeOfAStateIsSaidOnce(t *testing.T) {
	const page = "/slo/billing/availability" // without data since 13:40
	require.Contains(t, words(handler(sample(t)), page), "target down, since 13:40 ; the newest sample is of 13:40")
	text := words(handler(change(t, "billing/availability", func(st *evaluator.Status) {
		st.StateReason = "no samples of x_total since 2026-11-22 13:40 UTC: target down"
	})), page)
	require.Contains(t, text, "No data : no samples of x_total since 2026-11-22 13:40 UTC: target down Objective")
}

// TestADeadBackendIsOneLine expects one line instead of a reason for each SLO.
func TestADeadBackendIsOneLine(t *testing.T) {
	r := grouped(t, nil)
	for i := range r.SLOs {
		st := &r.SLOs[i]
		st.State, st.StateSince = evaluator.StateQueryFailed, new(evaluated.Add(-22*time.Minute))
		st.StateReason = "querying " + st.SLO + "_total: dial tcp 127.0.0.1:1: connect: connection refused"
	}
	text := words(handler(r), "/")
	require.Contains(t, text, "Backend default can’t be read since 14:42 (connection refused): 13 SLOs unknown")
	require.NotContains(t, text, "dial tcp")
	r.SLOs[1].Group, r.SLOs[1].Service, r.SLOs[1].SLO = map[string]string{"zone": "b"}, "mail", "delivery"
	require.Contains(t, words(handler(r), "/"), ": 12 SLOs, 1 group unknown")
	require.Contains(t, words(handler(r), "/slo/mail/delivery"), "zone=")
	require.NotContains(t, words(handler(r), "/slo/mail/delivery"), "dial tcp", "nor with each group on the page of its whole")
	require.Contains(t, words(handler(r), "/slo/mail/delivery"), "Query failed : backend default can't be read (connection refused)")
	r.SLOs[0].State, r.SLOs[0].StateReason = evaluator.StateOK, ""
	require.Contains(t, words(handler(r), "/"), "dial tcp", "it answers others")
}

// TestOverspentComesBeforeItsTicket expects the badge of the spent budget, not of its ticket.
func TestOverspentComesBeforeItsTicket(t *testing.T) {
	h := handler(change(t, "orders/availability", func(st *evaluator.Status) {
		st.Alerts = []evaluator.FiringAlert{{Name: "ErrorBudgetForecast", Severity: "ticket", Since: evaluated.Add(-time.Hour)},
			{Name: "ErrorBudgetExhausted", Severity: "ticket", Since: evaluated.Add(-2 * time.Hour)}}
	}))
	require.Contains(t, words(h, "/?q=orders/av"), "▼ Overspent since 13:04")
	require.Contains(t, words(h, "/?state=ticket"), "orders / availability")
}
