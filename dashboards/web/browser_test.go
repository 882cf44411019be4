package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// browser starts a headless Chromium of 1280 x 900, which is gone when the test
// is. complaints ends the session and gives what was written to the console in
// it: errors of scripts, violations of the content security policy, files not
// found.
func browser(t *testing.T, more ...chromedp.ExecAllocatorOption) (ctx context.Context, complaints func() []string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	require.NoError(t, err, "this test opens the pages in a real browser: `make test` installs Chromium")
	profile, err := os.MkdirTemp("", "slowburn-chromium-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.WindowSize(1280, 900),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	options = append(options, more...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)

	messages := chromedp.Console(ctx)
	return ctx, func() []string {
		const end = "the end of the test"
		_, err := chromedp.Run(ctx, chromedp.Evaluate[*int](`console.log("`+end+`"), null`))
		require.NoError(t, err)
		out := []string{}
		for m, err := range messages {
			require.NoError(t, err)
			if m.Text == end {
				break
			}
			out = append(out, m.Text+" "+m.URL)
		}
		return out
	}
}

// shownRow is a row as the browser has it.
type shownRow struct {
	Data map[string]string
	Text map[string]string
}

const readRows = `[...document.querySelectorAll("tr[data-slo-id]")].map(row => ({
	Data: Object.fromEntries([...row.attributes].filter(a => a.name.startsWith("data-")).map(a => [a.name, a.value])),
	Text: Object.fromEntries(["status", "slo", "objective", "sli", "remaining", "burns", "ends"].map(
		c => [c, row.querySelector("." + c).innerText.replace(/\s+/g, " ")])),
}))`

// TestBrowser opens the list in a browser and holds every number on it against
// the JSON API.
func TestBrowser(t *testing.T) {
	server := httptest.NewServer(handler(sample(t)))
	defer server.Close()
	ctx, complaints := browser(t)

	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
	rows, err := chromedp.Run(ctx, chromedp.Evaluate[[]shownRow](readRows))
	require.NoError(t, err)
	api := fetchAPI(t, server.URL)
	require.Len(t, rows, len(api))
	for _, row := range rows {
		id := row.Data["data-slo-id"]
		t.Run(id, func(t *testing.T) { compareRow(t, row, api[id]) })
	}
	require.Empty(t, complaints())
}

// apiSLO is the part of the API's answer that the list shows.
type apiSLO struct {
	ID        string
	Owner     string
	Objective float64
	State     string
	Windows   []struct {
		Name     string
		Total    float64
		Bad      float64
		Coverage float64
		SLI      *float64
		BurnRate *float64 `json:"burn_rate"`
	}
	Budget struct {
		Allowed, Consumed, Remaining *float64
		ExhaustedInSeconds           *float64 `json:"exhausted_in_seconds"`
	}
	Alerts []struct{ Severity string }
}

func fetchAPI(t *testing.T, url string) map[string]apiSLO {
	t.Helper()
	answer, err := http.Get(url + "/api/v1/slos")
	require.NoError(t, err)
	defer answer.Body.Close()
	var report struct{ SLOs []apiSLO }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&report))
	out := map[string]apiSLO{}
	for _, s := range report.SLOs {
		out[s.ID] = s
	}
	return out
}

func compareRow(t *testing.T, row shownRow, s apiSLO) {
	own := s.Windows[len(s.Windows)-1]
	want := map[string]*float64{
		"data-objective": &s.Objective, "data-sli": own.SLI, "data-total": &own.Total, "data-bad": &own.Bad,
		"data-coverage": &own.Coverage, "data-allowed": s.Budget.Allowed, "data-consumed": s.Budget.Consumed,
		"data-remaining": s.Budget.Remaining, "data-exhausted-in-seconds": s.Budget.ExhaustedInSeconds,
	}
	burns := map[string]*float64{}
	for _, w := range s.Windows {
		want["data-burn-"+w.Name] = w.BurnRate
		burns[w.Name] = w.BurnRate
	}
	for name, v := range want {
		text, ok := row.Data[name]
		require.True(t, ok, name)
		if v == nil {
			require.Empty(t, text, name)
			continue
		}
		got, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, name)
		require.Equal(t, *v, got, name)
	}
	require.Equal(t, s.State, row.Data["data-state"])
	require.Contains(t, row.Text["slo"], s.ID)
	require.Contains(t, row.Text["slo"], s.Owner)

	requireShown(t, &s.Objective, 100, row.Text["objective"])
	requireShown(t, own.SLI, 100, sliOf(t, row, own.Coverage, own.Name))
	requireShown(t, s.Budget.Remaining, 100, row.Text["remaining"])
	words := strings.Fields(row.Text["burns"])
	require.Len(t, words, 8, "four windows and their burn rates")
	for i := 0; i < len(words); i += 2 {
		require.Contains(t, burns, words[i])
		requireShown(t, burns[words[i]], 1, words[i+1])
	}
	switch {
	case len(s.Alerts) > 0:
		require.Contains(t, strings.ToLower(row.Text["status"]), s.Alerts[0].Severity+" since")
	case s.State != "ok":
		require.Contains(t, strings.ToLower(row.Text["status"]), strings.ReplaceAll(s.State, "_", " "))
	case *s.Budget.Remaining < 0:
		require.Contains(t, row.Text["status"], "Overspent")
		require.Equal(t, "spent", row.Text["ends"])
	default:
		require.Contains(t, row.Text["status"], "OK")
	}
}

// sliOf is the SLI of a row, with the known share if that is less than 90 %.
func sliOf(t *testing.T, row shownRow, coverage float64, window string) string {
	t.Helper()
	sli, rest, _ := strings.Cut(row.Text["sli"], " "+window)
	if coverage < 0.9 && sli != "–" {
		require.Equal(t, fmt.Sprintf(" known %s of 30 d", strings.TrimSuffix(fmt.Sprintf("%.1f", 30*coverage), ".0")), rest)
	} else {
		require.Empty(t, rest)
	}
	return sli
}

// requireShown holds a number for people against the true one: it may be off by
// half of its last digit.
func requireShown(t *testing.T, v *float64, scale float64, text string) {
	t.Helper()
	if v == nil {
		require.Equal(t, "–", text)
		return
	}
	text = strings.NewReplacer(" %", "", ",", "", "−", "-").Replace(text)
	if bound, ok := strings.CutPrefix(text, "<"); ok {
		most, err := strconv.ParseFloat(bound, 64)
		require.NoError(t, err)
		require.Less(t, *v*scale, most)
		return
	}
	got, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	_, decimals, _ := strings.Cut(text, ".")
	half, err := strconv.ParseFloat("0.5e-"+strconv.Itoa(len(decimals)), 64)
	require.NoError(t, err)
	require.InDelta(t, *v*scale, got, half*1.0001)
}

// TestBrowserRefresh lets the page refresh itself: new numbers come in, and the text and the
// focus of the reader stay. When the server is gone, the page shows that.
func TestBrowserRefresh(t *testing.T) {
	var current atomic.Pointer[evaluator.Report]
	current.Store(sample(t))
	server := httptest.NewServer(handler(nil, func(o *web.Options) { o.Report = current.Load }))
	defer server.Close()
	ctx, _ := browser(t)

	const link = `document.querySelector("[data-slo-id='checkout/latency'] a")`
	const left = `document.querySelector("[data-slo-id='checkout/latency']").dataset.remaining`
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
	run := func(script string) {
		t.Helper()
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script+`, true`))
		require.NoError(t, err)
	}
	becomes := func(condition string) {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := chromedp.Run(limited, chromedp.Evaluate[bool](`new Promise(resolve => {
			const look = () => `+condition+` ? resolve(true) : requestAnimationFrame(look);
			look();
		})`, chromedp.EvalAwaitPromise))
		require.NoError(t, err, condition)
	}
	run(`document.querySelector("[name=q]").value = "half typed", ` + link + `.focus()`)
	next := sample(t)
	i := slices.IndexFunc(next.SLOs, func(s evaluator.Status) bool { return s.ID == "checkout/latency" })
	next.SLOs[i].Budget.Remaining = new(0.125)
	current.Store(next)

	run(`document.dispatchEvent(new Event("visibilitychange"))`) // as when the reader comes back to the tab
	becomes(left + ` === "0.125"`)
	becomes(`document.querySelector("[name=q]").value === "half typed" && document.activeElement === ` + link)
	becomes(`document.getElementById("offline").hidden`)

	server.Close()
	run(`document.dispatchEvent(new Event("visibilitychange"))`)
	becomes(`!document.getElementById("offline").hidden`)
}

// TestBrowserWidths opens the pages on a phone and in windows that are just wide
// enough for the next layout: nothing sticks out.
func TestBrowserWidths(t *testing.T) {
	r := sample(t)
	for i := range r.SLOs { // one long word
		if st := &r.SLOs[i]; st.State != evaluator.StateOK {
			st.StateReason = "querying " + strings.Repeat("http_request_duration_seconds_count", 3) + ": EOF"
		}
		r.SLOs[i].Doubts = []evaluator.Doubt{{Message: strings.Repeat("http_request_duration_seconds_count", 3) + " fell"}}
	}
	r.SLOs[0].Alerts = []evaluator.FiringAlert{{Severity: "page", Summary: strings.Repeat("http_request_duration_seconds_count", 5), Since: evaluated}}
	r.Problems = []evaluator.Problem{{Severity: "error", File: strings.Repeat("slos", 60), Line: 1, Message: strings.Repeat("wrong", 60)}}
	server := httptest.NewServer(handler(r, func(o *web.Options) {
		o.CountsBetween = func(context.Context, string, time.Time, time.Time) (*loop.Range, error) {
			return incident(), nil
		}
	}))
	defer server.Close()
	ctx, complaints := browser(t)
	for _, path := range []string{"/", "/slo/checkout/availability", "/slo/checkout/latency?from=2026-11-21T13:00:00Z", "/slo/inventory/freshness", "/slo/auth/availability", "/nowhere"} {
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL+path)))
		for _, width := range []int64{375, 700, 1051, 1261, 1280} {
			require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 800)))
			content, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`Math.max(...[document.documentElement,
				...document.querySelectorAll(".wide, .tiles")].map(e => e.scrollWidth))`))
			require.NoError(t, err)
			require.LessOrEqual(t, content, width, path)
		}
	}
	require.Equal(t, []string{"Failed to load resource: the server responded with a status of 404 (Not Found) " +
		server.URL + "/nowhere"}, complaints())
}

// TestBrowserContrast expects a contrast of at least 3:1 for bars, inputs and budgets, in light
// and in dark, as in WCAG 1.4.11.
func TestBrowserContrast(t *testing.T) {
	server := httptest.NewServer(handler(sample(t)))
	defer server.Close()
	const ratios = `(() => {
		const rgb = (text) => text.match(/[\d.]+/g).slice(0, 3).map(Number);
		const light = (c) => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
			.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
		const surface = rgb(getComputedStyle(document.querySelector("table")).backgroundColor);
		const parts = {
			".plot .bars": "fill", ".plot .line": "stroke", ".plot .over": "fill", ".spark .under": "stroke", ".spark .over": "stroke",
			".bar.fine .fill": "fill", ".bar.spent .fill": "fill", ".filters input": "borderTopColor",
		};
		return Object.fromEntries(Object.keys(parts).filter(name => document.querySelector(name)).map(name => {
			const style = getComputedStyle(document.querySelector(name)), part = Number(style.opacity);
			const seen = light(rgb(style[parts[name]]).map((v, i) => part * v + (1 - part) * surface[i])), around = light(surface);
			return [name, (Math.max(seen, around) + .05) / (Math.min(seen, around) + .05)];
		}));
	})()`
	for scheme, n := range map[string]string{"dark": "0", "light": "1"} {
		ctx, _ := browser(t, chromedp.Flag("blink-settings", "preferredColorScheme="+n))
		found := map[string]float64{}
		for _, path := range []string{"/", "/slo/mail/delivery"} {
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL+path)))
			of, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]float64](ratios))
			require.NoError(t, err)
			maps.Copy(found, of)
		}
		dark, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`matchMedia("(prefers-color-scheme: dark)").matches`))
		require.NoError(t, err)
		require.Equal(t, scheme == "dark", dark)
		require.Len(t, found, 8)
		for name, ratio := range found {
			require.GreaterOrEqual(t, ratio, 3.0, "%s in %s", name, scheme)
		}
	}
}

// TestBrowserGroups unfolds the groups of an SLO: they stay so when the page
// refreshes itself, and nothing sticks out on a phone.
func TestBrowserGroups(t *testing.T) {
	server := httptest.NewServer(handler(grouped(t, map[string]float64{"a": .5, "b": .3, strings.Repeat("long", 20): -.2, "d": .9, "e": .1, "f": .8})))
	defer server.Close()
	ctx, complaints := browser(t)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
	visible := func() int {
		t.Helper()
		n, err := chromedp.Run(ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("tr[data-slo-id]")].filter(r => r.offsetHeight > 0).length`))
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 13, visible())
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.querySelector("summary").focus(), document.querySelector("summary").click(), true`))
	require.NoError(t, err)
	require.Equal(t, 13+5, visible())

	_, err = chromedp.Run(ctx, chromedp.Evaluate[bool](`new Promise(resolve => {
		const before = document.getElementById("live");
		document.dispatchEvent(new Event("visibilitychange"));
		const look = () => document.getElementById("live") !== before ? resolve(true) : requestAnimationFrame(look);
		look();
	})`, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	require.Equal(t, 13+5, visible(), "they stay unfolded")
	focused, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.tagName`))
	require.NoError(t, err)
	require.Equal(t, "SUMMARY", focused)

	for _, path := range []string{"", "/slo/mail/delivery"} {
		for _, width := range []int64{375, 700, 1051, 1280} {
			require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 800)))
			if path != "" {
				require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL+path)))
			}
			content, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`Math.max(...[document.documentElement,
				...document.querySelectorAll(".wide")].map(e => e.scrollWidth))`))
			require.NoError(t, err)
			require.LessOrEqual(t, content, width, path)
		}
	}
	require.Empty(t, complaints())
}
