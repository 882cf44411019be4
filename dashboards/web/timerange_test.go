package web_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// incident has the counts of two hours of a day before the sample report: half an hour
// without data, an hour in which 870 of 48,160 events are bad, and half an hour that is
// excluded.
func incident() *loop.Range {
	from := time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC)
	part := func(i int) time.Time { return from.Add(time.Duration(i) * 30 * time.Minute) }
	return &loop.Range{
		HeldFrom: evaluated.Add(-37 * 24 * time.Hour), HeldTo: evaluated,
		Sum: timeline.Sum{
			Start: timeline.MinuteOf(from), End: timeline.MinuteOf(part(4)), Total: 48160, Bad: 870, Known: 60, Excluded: 30,
		},
		Parts: []evaluator.Bucket{
			{End: part(1)}, {End: part(2), Total: 24080, Bad: 860, Coverage: 1}, {End: part(3), Total: 24080, Bad: 10, Coverage: 1},
			{End: part(4), Coverage: 1, Excluded: 1},
		},
		Excluded: []slo.Span{{From: part(3), To: part(4)}},
	}
}

// asking returns a handler with the counts of the incident, and the parameters of its calls.
func asking(r *evaluator.Report, found *loop.Range, err error) (http.Handler, *[]string) {
	var asked []string
	return handler(r, func(o *web.Options) {
		o.ExternalURL = "https://ops.example.org/slowburn/"
		o.CountsBetween = func(_ context.Context, id string, from, to time.Time) (*loop.Range, error) {
			asked = []string{id, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)}
			return found, err
		}
	}), &asked
}

// TestThePageShowsTheTimeThatItIsAskedFor: 870 of 48,160 are 1.8 %, 18.06 times what 99.9 %
// allow. 10,368 bad events are allowed in 30 d, of which 870 are 8.4 %. 860 of 24,080 are
// 3.57 %, 10 are 0.042 %.
func TestThePageShowsTheTimeThatItIsAskedFor(t *testing.T) {
	h, asked := asking(sample(t), incident(), nil)
	const page = "/slowburn/slo/checkout/availability"
	w := get(h, page+"?from=2026-11-21T13:00:00Z&to=2026-11-21T15:00:00Z")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, []string{"checkout/availability", "2026-11-21T13:00:00Z", "2026-11-21T15:00:00Z"}, *asked)
	body := w.Body.String()
	require.Regexp(t, `<h2 id="h-asked">From <time datetime="2026-11-21T13:00:00Z"[^>]*>Sat 13:00</time> to <time datetime="2026-11-21T15:00:00Z"[^>]*>Sat 15:00</time>`, body)
	for _, want := range []string{
		`<dd>870</dd><dd class="sub">of 48,160; 47,290 were good</dd>`,
		"<dd>1.8\u00a0%</dd><dd class=\"sub\">0.1\u00a0% is allowed</dd>",
		`<dd>18.1</dd>`,
		"<dd>8.4\u00a0%</dd><dd class=\"sub\">of the 30d budget, as it is now</dd>",
		"Known minutes: 60 of 90.", "Excluded minutes: 30.",
		"<title>no data 21 Nov 13:00 to 21 Nov 13:30</title>",
		"<title>3.6\u00a0% bad (860 of 24,080) 21 Nov 13:30 to 21 Nov 14:00</title>",
		"<title>0.042\u00a0% bad (10 of 24,080) 21 Nov 14:00 to 21 Nov 14:30</title>",
		"<title>excluded 21 Nov 14:30 to 21 Nov 15:00</title>",
		`<path class="gap" d="M0.00 0h250.00v180h-250.00z"/>`, `<path class="excluded" d="M750.00 0H1000.00V180H750.00Z"/>`,
		`<a href="` + page + `">Clear time range</a>`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "Counts are held")
	require.NotContains(t, get(h, page).Body.String(), "h-asked")

	// In other words, and until now.
	for query, want := range map[string]string{
		"from=1795266000&to=1795273200":                                 "2026-11-21T13:00:00Z 2026-11-21T15:00:00Z",
		"from=2026-11-21T14:00:00+01:00&to=2026-11-21T15:00:00%2B00:00": "2026-11-21T13:00:00Z 2026-11-21T15:00:00Z",
		"from=1795266000&to=":                                           "2026-11-21T13:00:00Z 2026-11-22T15:04:42Z",
	} {
		require.Equal(t, http.StatusOK, get(h, page+"?"+query).Code, query)
		require.Equal(t, want, (*asked)[1]+" "+(*asked)[2], query)
	}
}

// TestOneTimeIsDrawnOnce opens the link of an alert, whose time is also drawn around the alert.
func TestOneTimeIsDrawnOnce(t *testing.T) {
	const around, page = "Share of bad requests around the alert", "/slo/checkout/availability?"
	r := change(t, "checkout/availability", func(st *evaluator.Status) {
		for i := range 4 { // 13:00 to 15:00 of the day before
			st.Burning = append(st.Burning, evaluator.Bucket{End: incident().Parts[i].End, Total: 100, Coverage: 1})
		}
	})
	h, _ := asking(r, incident(), nil)
	for query, charts := range map[string]int{
		"from=2026-11-21T13:00:00Z&to=2026-11-21T15:00:00Z": 3, // around the alert, budget, share
		"from=2026-11-21T13:00:00Z&to=2026-11-21T14:30:00Z": 3,
		"from=2026-11-21T13:00:00Z&to=2026-11-21T13:30:00Z": 4, // a small part of it
		"from=2026-11-20T13:00:00Z&to=2026-11-21T15:00:00Z": 4, // more than it
	} {
		body := get(h, page+query).Body.String()
		require.Equal(t, charts, strings.Count(body, `class="plot"`), query)
		require.Contains(t, body, around)
		require.Contains(t, body, "<dd>870</dd>", "the numbers stay")
	}
}

// TestATimeOfWhichLittleIsKnown expects notes about missing counts, and no numbers.
func TestATimeOfWhichLittleIsKnown(t *testing.T) {
	const query = "/slo/checkout/availability?from=2026-11-21T13:00:00Z&to=2026-11-21T15:00:00Z"
	body := func(found *loop.Range, err error) string {
		h, _ := asking(sample(t), found, err)
		w := get(h, query)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), `<section class="asked"`)
		require.Contains(t, w.Body.String(), `<script src=`, "the page refreshes itself")
		return w.Body.String()
	}
	part := incident()
	part.HeldFrom = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	require.Contains(t, body(part, nil), "There are counts from 21 Nov 2026 14:00 to 22 Nov 2026 15:04.")

	none := *part
	none.HeldFrom, none.Sum, none.Parts, none.Excluded = evaluated.Add(-time.Hour), timeline.Sum{}, nil, nil
	out := body(&none, nil)
	require.Contains(t, out, "There are counts from 22 Nov 2026 14:04 to 22 Nov 2026 15:04.")
	require.Contains(t, out, "There are no counts for this time.")
	require.NotContains(t, out, "Budget taken")

	silent := incident()
	silent.Sum.Total, silent.Sum.Bad, silent.Sum.Known, silent.Sum.Excluded = 0, 0, 0, 0
	silent.Parts = []evaluator.Bucket{{End: silent.Parts[1].End}, {End: silent.Parts[3].End}}
	out = body(silent, nil)
	require.Contains(t, out, "Known minutes: 0 of 120.")
	require.Contains(t, out, `<path class="gap" d="M0.00 0h500.00v180h-500.00zM500.00 0h500.00v180h-500.00z"/>`)
	require.NotContains(t, out, "Budget taken")

	quiet := incident()
	quiet.Sum.Total, quiet.Sum.Bad, quiet.Sum.Known = 0, 0, 120
	require.Contains(t, body(quiet, nil), `<dd>0</dd><dd class="sub">of 0; 0 were good</dd></div>`)

	require.Contains(t, body(&loop.Range{}, nil), "There are no counts yet.")
	require.Contains(t, body(nil, context.DeadlineExceeded), "The page retries.")
}

// TestATimeThatMakesNoSense expects an error with a link to the page.
func TestATimeThatMakesNoSense(t *testing.T) {
	h, asked := asking(sample(t), incident(), nil)
	for query, want := range map[string]string{
		"from=yesterday":                      `from: "yesterday" is neither RFC 3339, such as 2026-11-22T06:00:00Z, nor Unix seconds`,
		"from=1795266000&to=1e9":              `to: "1e9" is neither RFC 3339, such as 2026-11-22T06:00:00Z, nor Unix seconds`,
		"to=1795266000":                       "to is given without from",
		"from=1795266000&to=1795266000":       `from "1795266000" is not before to "1795266000"`,
		"from=1795273200&to=1795266000":       `from "1795273200" is not before to "1795266000"`,
		"from=1795266000000&to=1795273200000": `from "1795266000000" is in the future`,
		"from=9223372036854775807":            `from: "9223372036854775807" is too long ago, or too far off`,
		"from=<script>":                       `from: "<script>" is neither`,
	} {
		w := get(h, "/slo/checkout/availability?"+query)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Contains(t, html.UnescapeString(w.Body.String()), want)
		require.NotContains(t, w.Body.String(), "<script>")
		require.Contains(t, w.Body.String(), `<a href="/slowburn/slo/checkout/availability">checkout/availability</a>`)
	}
	require.Empty(t, *asked)
}

// TestATimeOfAGroup opens the pages of Status.PathBetween, for groups with labels of all names.
func TestATimeOfAGroup(t *testing.T) {
	r := grouped(t, map[string]float64{"a&b": .5})
	from := time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC)
	g := *find(r, "mail/delivery")
	g.Groups, g.Group = nil, map[string]string{"from": "eu", "to": "us"}
	g.ID = (&slo.SLO{Service: g.Service, Name: g.SLO, Group: g.Group}).ID()
	r.SLOs = append(r.SLOs, g)
	h, asked := asking(r, incident(), nil)

	path := find(r, ofTenant("a&b")).PathBetween(from, from.Add(2*time.Hour))
	require.Equal(t, "/slo/mail/delivery?tenant=a%26b&from=2026-11-21T13:00:00Z&to=2026-11-21T15:00:00Z", path)
	require.Equal(t, http.StatusOK, get(h, path).Code)
	require.Equal(t, []string{ofTenant("a&b"), "2026-11-21T13:00:00Z", "2026-11-21T15:00:00Z"}, *asked)

	// The labels win, and there is no time.
	path = g.PathBetween(from, from.Add(2*time.Hour))
	require.Equal(t, "/slo/mail/delivery?from=eu&to=us", path)
	*asked = nil
	w := get(h, path)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, html.UnescapeString(w.Body.String()), `data-slo-id="`+g.ID+`"`)
	require.Empty(t, *asked)

	// Of a group that is gone the whole is shown, at the same time.
	gone := get(h, "/slo/mail/delivery?tenant=gone&from="+strconv.FormatInt(from.Unix(), 10)+"&to="+url.QueryEscape("2026-11-21T15:00:00Z"))
	require.Equal(t, http.StatusNotFound, gone.Code)
	require.Contains(t, html.UnescapeString(gone.Body.String()), `There is no group {tenant="gone"} of mail/delivery, or no longer.`)
	require.Contains(t, html.UnescapeString(gone.Body.String()),
		`<a href="/slowburn/slo/mail/delivery?from=2026-11-21T13:00:00Z&to=2026-11-21T15:00:00Z">mail/delivery</a>`)
}
