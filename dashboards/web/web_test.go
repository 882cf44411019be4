package web_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// get asks for a path; headers are pairs of a name and a value.
func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, path, headers...)
}

func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// shown returns the ids of the rows of a list, in its order.
func shown(w *httptest.ResponseRecorder) []string {
	out := []string{}
	for _, m := range regexp.MustCompile(`<tr class="\w+" data-slo-id="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		out = append(out, m[1])
	}
	return out
}

// listed returns the ids of an answer of the API.
func listed(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var r evaluator.Report
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r))
	out := []string{}
	for _, s := range r.SLOs {
		out = append(out, s.ID)
	}
	return out
}

func TestAPIAnswersTheReport(t *testing.T) {
	report := sample(t)
	w := get(handler(report), "/api/v1/slos")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	want, err := json.Marshal(report)
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", w.Body.String())
	require.Contains(t, w.Body.String(), `"sli":null`)

	require.JSONEq(t, "{\"format\":1,\"evaluated_at\":\"2026-11-22T15:04:00Z\",\"slos\":[],\"problems\":[]}\n",
		get(handler(&evaluator.Report{Format: 1, EvaluatedAt: evaluated}), "/api/v1/slos").Body.String())
}

func TestFilters(t *testing.T) {
	report := sample(t)
	report.SLOs[0].Labels = map[string]string{"tier": "2", "region": "us"} // auth/availability
	h := handler(report)
	for query, want := range map[string][]string{
		"service=checkout":                             {"checkout/availability", "checkout/latency"},
		"service=checkout&slo=latency":                 {"checkout/latency"},
		"label=tier%3D2":                               {"auth/availability"},
		"label=tier%3D2&label=region%3Deu":             {},
		"label=nothing%3D":                             {},
		"state=no_data":                                {"billing/availability", "inventory/freshness"},
		"state=query_failed&service=":                  {"auth/availability"},
		"state=firing":                                 {"checkout/availability", "search/latency"},
		"state=overspent":                              {"checkout/availability", "orders/availability", "reports/nightly-export"},
		"state=unknown":                                {"auth/availability", "billing/availability", "inventory/freshness", "media/thumbnails"},
		"limit=2":                                      {"auth/availability", "billing/availability"},
		"limit=2&after=billing/availability":           {"catalogue/availability", "checkout/availability"},
		"after=billing/b&limit=1":                      {"catalogue/availability"},
		"after=search/latency":                         {},
		"after=checkout/availability&service=checkout": {"checkout/latency"},
	} {
		require.Equal(t, want, listed(t, get(h, "/api/v1/slos?"+query)), query)
		if !strings.Contains(query, "limit") && !strings.Contains(query, "after") {
			require.ElementsMatch(t, want, shown(get(h, "/?"+query)), query)
		}
	}
	require.ElementsMatch(t, []string{"billing/availability", "checkout/availability", "checkout/latency"},
		shown(get(h, "/?owner=team-payments")))
	require.Equal(t, []string{"checkout/latency"}, shown(get(h, "/?q=Payments+latency")))
	require.Contains(t, get(h, "/?q=nonsense").Body.String(), "No SLO matches.")
}

func TestBadParameters(t *testing.T) {
	h := handler(sample(t))
	for query, want := range map[string]string{
		"state=fine":    `{"error":"state \"fine\" is not one of firing, page, ticket, overspent, burning, unknown, doubtful, query_failed, stale, warming, no_data, no_traffic, ok"}`,
		"label=tier":    `{"error":"label \"tier\" is not of the form name=value"}`,
		"limit=0":       `{"error":"limit \"0\" is not a number above 0"}`,
		"limit=many":    `{"error":"limit \"many\" is not a number above 0"}`,
		"slo=a&slo=b":   `{"error":"parameter slo is given 2 times"}`,
		"services=shop": `{"error":"unknown parameter \"services\", known are service, slo, label, state, whole, sort, limit, after"}`,
		"slo=%zz":       `{"error":"reading the parameters: invalid URL escape \"%zz\""}`,
	} {
		w := get(h, "/api/v1/slos?"+query)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, want+"\n", w.Body.String())
	}
	w := get(h, "/?state=fine")
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "Unknown filter")
	require.Equal(t, http.StatusNotFound, get(h, "/api/v2/slos").Code)
}

func TestETag(t *testing.T) {
	report := sample(t)
	h := handler(nil, func(o *web.Options) { o.Report = func() *evaluator.Report { return report } })
	first := get(h, "/api/v1/slos")
	tag := first.Header().Get("ETag")
	require.Regexp(t, `^"[0-9a-f]+"$`, tag)

	again := get(h, "/api/v1/slos", "If-None-Match", tag)
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())
	require.Equal(t, tag, again.Header().Get("ETag"))
	require.NotEqual(t, tag, get(h, "/api/v1/slos?service=checkout").Header().Get("ETag"))

	packed := get(h, "/api/v1/slos", "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	require.NotEqual(t, tag, packed.Header().Get("ETag"), "a strong tag names the bytes that were sent")
	zr, err := gzip.NewReader(packed.Body)
	require.NoError(t, err)
	body, err := io.ReadAll(zr)
	require.NoError(t, err)
	require.Equal(t, first.Body.String(), string(body))
	require.Empty(t, get(h, "/api/v1/slos", "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding"))

	report = sample(t)
	*report.SLOs[0].Budget.Remaining -= 0.001
	require.Equal(t, http.StatusOK, get(h, "/api/v1/slos", "If-None-Match", tag).Code)
}

func TestOrderIsWorstFirst(t *testing.T) {
	require.Equal(t, []string{
		"checkout/availability",                         // a page
		"orders/availability", "reports/nightly-export", // overspent
		"search/latency",                                                   // a ticket
		"inventory/freshness", "auth/availability", "billing/availability", // unknown
		"media/thumbnails",
		"mail/delivery", "checkout/latency", "edge/availability", "catalogue/availability", "legacy/soap",
	}, shown(get(handler(sample(t)), "/")))
}

func TestListPages(t *testing.T) {
	h := handler(many(t, 2500))
	first := get(h, "/?service=")
	require.Len(t, shown(first), 1000)
	require.Contains(t, first.Body.String(), "1 to 1000 of 2500")
	require.Contains(t, first.Body.String(), `<a rel="next" href="/?page=2&amp;service=">`)
	require.NotContains(t, first.Body.String(), `rel="prev"`)
	last := get(h, "/?page=99")
	require.Len(t, shown(last), 500)
	require.NotContains(t, last.Body.String(), `rel="next"`)
	require.NotContains(t, shown(first), shown(last)[0])
}

func TestUnknownIsADash(t *testing.T) {
	h := handler(sample(t))
	body := get(h, "/?slo=freshness").Body.String()
	require.Contains(t, body, `data-remaining=""`)
	require.Contains(t, body, `data-sli=""`)
	require.Contains(t, body, `data-burn-1h=""`)
	require.Contains(t, body, `<span class="remaining">–</span>`)
	require.Contains(t, body, `<svg class="bar unknown"`)
	require.Contains(t, body, "no series match warehouse_sync_total{job=&#34;inventory&#34;}")
	require.NotContains(t, body, "100\u00a0%")

	detail := get(h, "/slo/inventory/freshness").Body.String()
	require.Contains(t, detail, "Nothing to draw: the budget is unknown.")
	for _, body := range []string{body, detail} {
		require.NotContains(t, body, "NaN")
		require.NotContains(t, body, "Inf")
		require.NotContains(t, body, "nil>")
		require.NotContains(t, body, "ZgotmplZ")
	}
}

// TestTheTimeAroundAnAlertIsDrawn has a tenth of bad events in the second of two minutes.
func TestTheTimeAroundAnAlertIsDrawn(t *testing.T) {
	r := sample(t)
	const title = "Share of bad requests around the alert"
	require.NotContains(t, get(handler(r), "/slo/checkout/availability").Body.String(), title)
	for i := range r.SLOs {
		r.SLOs[i].Burning = []evaluator.Bucket{
			{End: evaluated.Add(-time.Minute), Total: 500, Coverage: 1}, {End: evaluated, Total: 500, Bad: 50, Coverage: 1},
		}
	}
	body := get(handler(r), "/slo/checkout/availability").Body.String()
	require.Contains(t, body, title)
	span := evaluated.Add(-time.Minute).Format("2 Jan 15:04") + " to " + evaluated.Format("2 Jan 15:04")
	require.Contains(t, body, "10\u00a0% bad (50 of 500) "+span)
	for i := range r.SLOs { // 79 % is drawn far above the tick of 10 %
		r.SLOs[i].Burning[1].Bad = 395
	}
	require.Contains(t, get(handler(r), "/slo/checkout/availability").Body.String(), "text-anchor=\"end\">79\u00a0%</text>")
}

func TestDetail(t *testing.T) {
	body := get(handler(sample(t)), "/slo/checkout/availability").Body.String()
	for _, want := range []string{
		"<title>checkout/availability · slowburn</title>",
		`<li class="runbook"><a href="https://runbooks.example.org/checkout" rel="noopener noreferrer">runbook</a></li><li><a href="https://grafana`,
		`<strong>page</strong> since <time datetime="2026-11-22T14:02:00Z" title="2026-11-22 14:02:00 UTC">14:02</time>`,
		`http_requests_total{code=~&#34;5..&#34;,job=&#34;checkout&#34;}`,
		"slos/checkout.yaml:11", "4f2c81aa09be1177c2d3", "tier=1", "10,368 bad requests in 30d", "10,368,000",
		`href="/?owner=team-payments"`, `href="/api/v1/slos?service=checkout&amp;slo=availability"`,
	} {
		require.Contains(t, body, want)
	}
	missing := get(handler(sample(t)), "/slo/checkout/nothing")
	require.Equal(t, http.StatusNotFound, missing.Code)
	require.Contains(t, missing.Body.String(), "No SLO checkout/nothing is loaded.")
}

// TestHostileFiles puts markup and scripts wherever a user's file or a backend
// can put text.
func TestHostileFiles(t *testing.T) {
	const evil = `"><script>alert(1)</script><a href='javascript:alert(2)' onclick=x\` + "\nslo_objective_ratio{slo=\"forged\"} 1\n"
	report := sample(t)
	st := &report.SLOs[0]
	st.ID, st.Service, st.SLO, st.Owner = "a/"+evil, "a", evil, evil
	st.Description, st.StateReason, st.Backend, st.Source, st.Revision = evil, evil, evil, evil, evil
	st.Method, st.Budgeting, st.Window, st.Budget.Basis = evil, evil, evil, evil
	st.Labels = map[string]string{evil: evil}
	st.Windows[0].Name = evil
	st.Alerts = []evaluator.FiringAlert{{Severity: evil, Tier: evil, Windows: []string{evil}}}
	st.Links = map[string]string{
		evil: evil, "runbook": "javascript:alert(3)", "data": "data:text/html,x", "none": "//evil.example",
		"mail": "mailto:oncall@example.org", "upper": "HTTPS://example.org/",
	}
	report.Problems = []evaluator.Problem{{Source: evil, File: evil, Severity: evil, Message: evil, Hint: evil}}
	h := handler(report)

	for _, path := range []string{
		"/", "/?q=" + url.QueryEscape(evil) + "&service=" + url.QueryEscape(evil), "/slo/a/" + url.PathEscape(evil),
		"/nowhere/" + url.PathEscape(evil), "/?state=" + url.QueryEscape(evil),
	} {
		body := get(h, path).Body.String()
		require.NotContains(t, body, "<script>", path)
		require.NotContains(t, body, `<a href='`, path)
		require.NotContains(t, body, `href="javascript`, path)
		require.Contains(t, body, "alert(1)", path)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(get(h, "/metrics").Body)
	require.NoError(t, err)
	var names []string
	for _, m := range families["slo_objective_ratio"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "slo" {
				names = append(names, l.GetValue())
			}
		}
	}
	require.Len(t, names, len(report.SLOs))
	require.Contains(t, names, evil)
	detail := get(h, "/slo/a/"+url.PathEscape(evil)).Body.String()
	require.Contains(t, detail, `<li class="runbook">runbook: javascript:alert(3)</li>`)
	require.Contains(t, detail, "<li>data: data:text/html,x</li>")
	require.Contains(t, detail, "<li>none: //evil.example</li>")
	require.Contains(t, detail, `<a href="mailto:oncall@example.org" rel="noopener noreferrer">mail</a>`)
	require.Contains(t, detail, `<a href="HTTPS://example.org/" rel="noopener noreferrer">upper</a>`)
}

func TestSecurityHeaders(t *testing.T) {
	h := handler(sample(t))
	for _, path := range []string{"/", "/slo/checkout/latency", "/api/v1/slos", "/nowhere", "/-/healthy", "/static/slowburn.css"} {
		header := get(h, path).Header()
		csp := header.Get("Content-Security-Policy")
		require.Contains(t, csp, "default-src 'none'")
		require.Contains(t, csp, "frame-ancestors 'none'")
		require.NotContains(t, csp, "unsafe")
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"))
	}
	for _, path := range []string{"/", "/slo/checkout/latency"} {
		body := get(h, path).Body.String()
		require.NotContains(t, body, "<style")
		require.NotContains(t, body, ` style="`)
		require.NotRegexp(t, ` on[a-z]+="`, body)
		require.NotRegexp(t, `<script[^>]*>[^<]`, body)
	}
}

func TestOperationalPaths(t *testing.T) {
	ready, reloaded, reread := false, 0, 0
	h := handler(sample(t), func(o *web.Options) {
		o.Ready = func() bool { return ready }
		o.Reread = func() { reread++ }
		o.Reload = func(context.Context) error {
			if reloaded++; reloaded > 2 {
				return errors.New("slos/x.yaml:3:5: unknown key")
			}
			return nil
		}
		process := prometheus.NewRegistry()
		process.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "up"}, func() float64 { return 1 }))
		o.Process = process
	})
	require.Equal(t, http.StatusOK, get(h, "/-/healthy").Code)
	require.Equal(t, http.StatusServiceUnavailable, get(h, "/-/ready").Code)
	ready = true
	require.Equal(t, http.StatusOK, get(h, "/-/ready").Code)
	require.Contains(t, get(h, "/metrics").Body.String(), "\nup 1\n")

	w := get(h, "/-/reload")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "POST, PUT", w.Header().Get("Allow"))
	require.Equal(t, http.StatusForbidden, ask(h, http.MethodPost, "/-/reload", "Sec-Fetch-Site", "cross-site").Code)
	require.Zero(t, reloaded)
	require.Equal(t, http.StatusOK, ask(h, http.MethodPost, "/-/reload").Code)
	require.Equal(t, http.StatusOK, ask(h, http.MethodPut, "/-/reload").Code)
	require.Equal(t, 2, reloaded)
	w = ask(h, http.MethodPost, "/-/reload")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, "reloading: slos/x.yaml:3:5: unknown key\n", w.Body.String())
	require.Equal(t, http.StatusMethodNotAllowed, get(h, "/-/reread").Code)
	require.Zero(t, reread)
	require.Equal(t, http.StatusAccepted, ask(h, http.MethodPost, "/-/reread").Code)
	require.Equal(t, 1, reread)

	for _, path := range []string{"/", "/slo/a/b", "/api/v1/slos", "/-/healthy", "/-/ready", "/static/slowburn.js"} {
		w := ask(h, http.MethodPost, path)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, path)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	require.Equal(t, http.StatusNotFound, get(h, "/nowhere").Code)
}

func TestPathPrefix(t *testing.T) {
	h := handler(sample(t), func(o *web.Options) { o.ExternalURL = "https://ops.example.org/slowburn/" })
	for _, path := range []string{"/", "/slowburn/"} {
		body := get(h, path).Body.String()
		require.Contains(t, body, `href="/slowburn/slo/checkout/availability"`)
		require.Contains(t, body, `href="/slowburn/?state=page"`)
		require.Contains(t, body, `action="/slowburn/"`)
		require.NotRegexp(t, `(href|src|action)="/[^s]`, body)
	}
	css := regexp.MustCompile(`href="(/slowburn/static/slowburn.css[^"]*)"`).FindStringSubmatch(get(h, "/").Body.String())[1]
	require.Equal(t, http.StatusOK, get(h, css).Code)
	require.Equal(t, http.StatusOK, get(h, "/slowburn/slo/checkout/availability").Code)
	require.Equal(t, http.StatusOK, get(h, "/slowburn/api/v1/slos").Code)
	require.Equal(t, "/slowburn/", get(h, "/slowburn").Header().Get("Location"))
	require.Equal(t, http.StatusNotFound, get(h, "/slowburner").Code)
}

func TestStaticFiles(t *testing.T) {
	h := handler(sample(t))
	page := get(h, "/").Body.String()
	for _, m := range regexp.MustCompile(`"(/static/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		w := get(h, m[1])
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		require.Equal(t, http.StatusNotModified, get(h, m[1], "If-None-Match", w.Header().Get("ETag")).Code)
	}
	w := get(h, "/static/slowburn.css?v=old")
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "text/css; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, http.StatusNotFound, get(h, "/static/passwd").Code)
}

func TestListTellsItsAgeAndProblems(t *testing.T) {
	report := sample(t)
	report.Problems = []evaluator.Problem{{Source: "./slos", File: "x.yaml", Line: 3, Column: 5, Severity: "error", Message: "unknown key", Hint: "meant owner?"}}
	body := get(handler(report), "/").Body.String()
	require.Contains(t, body, "15:04</time> UTC, 42\u00a0s ago")
	require.NotContains(t, body, "Evaluation is late")
	require.Contains(t, body, "<summary>1 error in SLO files</summary>")
	require.Contains(t, body, "<code>x.yaml:3:5</code> unknown key")
	require.Contains(t, body, "<title>(2 firing) SLOs · slowburn</title>")
	for _, want := range []string{"<strong>13</strong> SLOs", "<strong>1</strong> page firing", "<strong>1</strong> ticket firing",
		"<strong>3</strong> overspent", "<strong>4</strong> unknown", `<code title="4f2c81aa09be1177c2d3">4f2c81aa</code>`} {
		require.Contains(t, body, want)
	}

	report.EvaluatedAt = evaluated.Add(-600e9)
	require.Contains(t, get(handler(report), "/").Body.String(), "Evaluation is late")
	empty := get(handler(&evaluator.Report{Format: 1}), "/").Body.String()
	require.Contains(t, empty, "Not evaluated yet")
	require.Contains(t, empty, "There are no SLOs yet.")
}
