package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// shownRow is a row of the page as the browser has it.
type shownRow struct {
	Data                 map[string]string
	Objective, Remaining string
}

const readPage = `({
	Evaluated: document.querySelector(".evaluated time").dateTime,
	Rows: [...document.querySelectorAll("tr[data-slo-id]")].map(row => ({
		Data: Object.fromEntries([...row.attributes].filter(a => a.name.startsWith("data-")).map(a => [a.name, a.value])),
		Objective: row.querySelector(".objective").innerText,
		Remaining: row.querySelector(".remaining").innerText,
	})),
})`

// requirePageSaysTheSame opens the page in a real browser and finds the numbers
// of the API on it.
func (s *served) requirePageSaysTheSame() {
	s.t.Helper()
	type page struct {
		Evaluated time.Time
		Rows      []shownRow
	}
	ctx := s.browser()
	var shown page
	var r api
	until(s.t, time.Minute, "page and API of one evaluation", func() bool {
		require.NoError(s.t, chromedp.Do(ctx, chromedp.Navigate(s.URL)))
		var err error
		shown, err = chromedp.Run(ctx, chromedp.Evaluate[page](readPage))
		require.NoError(s.t, err)
		r = s.report()
		return r.EvaluatedAt.Equal(shown.Evaluated)
	})
	require.Len(s.t, shown.Rows, len(r.SLOs))
	for _, row := range shown.Rows {
		st := r.slo(row.Data["data-slo-id"])
		require.NotNil(s.t, st, "%s is on the page only", row.Data["data-slo-id"])
		own := st.Windows[len(st.Windows)-1]
		want := map[string]*float64{
			"data-total": &own.Total, "data-bad": &own.Bad, "data-sli": own.SLI,
			"data-remaining": st.Budget.Remaining, "data-consumed": st.Budget.Consumed,
		}
		for _, w := range st.Windows {
			want["data-burn-"+w.Name] = w.BurnRate
		}
		for name, v := range want {
			text := ""
			if v != nil {
				text = strconv.FormatFloat(*v, 'f', -1, 64)
			}
			require.Equal(s.t, text, row.Data[name], "%s of %s", name, st.ID)
		}
		objective, err := strconv.ParseFloat(strings.TrimSuffix(row.Objective, "\u00a0%"), 64)
		require.NoError(s.t, err)
		require.InDelta(s.t, st.Objective*100, objective, 1e-9)
		if st.Budget.Remaining == nil {
			require.Equal(s.t, "–", row.Remaining)
			continue
		}
		text := strings.NewReplacer("\u00a0%", "", " %", "", "−", "-", ",", "").Replace(row.Remaining)
		remaining, err := strconv.ParseFloat(text, 64)
		require.NoError(s.t, err)
		require.InDelta(s.t, *st.Budget.Remaining*100, remaining, 0.5, "what people read")
	}
}

// browser starts a headless Chromium, which is gone when the test is.
func (s *served) browser() context.Context {
	s.t.Helper()
	path, err := exec.LookPath("chromium")
	require.NoError(s.t, err, "this test opens the page in a real browser: `make test` installs Chromium")
	profile, err := os.MkdirTemp("", "slowburn-chromium-") // not t.TempDir: Chromium still writes while it ends
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = os.RemoveAll(profile) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	s.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	s.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	s.t.Cleanup(cancel)
	return ctx
}
