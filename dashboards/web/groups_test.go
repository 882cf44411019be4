package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// grouped is the sample's report with mail/delivery split by tenant: of tenant n
// n percent of the budget are left.
func grouped(t testing.TB, left map[string]float64) *evaluator.Report {
	t.Helper()
	r := sample(t)
	i := slices.IndexFunc(r.SLOs, func(s evaluator.Status) bool { return s.ID == "mail/delivery" })
	whole := &r.SLOs[i]
	whole.Groups = &evaluator.GroupsStatus{By: []string{"tenant"}, Count: len(left)}
	for tenant, remaining := range left {
		g := *whole
		g.Groups, g.Group, g.Budget.Remaining = nil, map[string]string{"tenant": tenant}, new(remaining)
		g.ID = (&slo.SLO{Service: g.Service, Name: g.SLO, Group: g.Group}).ID()
		r.SLOs = append(r.SLOs, g)
	}
	slices.SortFunc(r.SLOs, func(a, b evaluator.Status) int { return strings.Compare(a.ID, b.ID) })
	return r
}

func ofTenant(name string) string { return fmt.Sprintf("mail/delivery{tenant=%q}", name) }

// hrefs returns the addresses on a page that begin with one.
func hrefs(body, below string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`href="(`+regexp.QuoteMeta(below)+`[^"]*)"`).FindAllStringSubmatch(body, -1) {
		if to := html.UnescapeString(m[1]); !slices.Contains(out, to) {
			out = append(out, to)
		}
	}
	return out
}

// ids returns the ids of the rows of a page, unescaped.
func ids(body string) []string {
	out := []string{}
	for _, m := range regexp.MustCompile(`<tr class="\w+" data-slo-id="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		out = append(out, html.UnescapeString(m[1]))
	}
	return out
}

func TestGroupsAreBelowTheirWhole(t *testing.T) {
	r := grouped(t, map[string]float64{"a": .5, "b": .3, "c": -.2, "d": .9, "e": .1, "f": .8, "g": .7})
	h := handler(r)
	body := get(h, "/").Body.String()
	rows := ids(body)
	at := slices.Index(rows, "mail/delivery")
	require.Equal(t, []string{ofTenant("c"), ofTenant("e"), ofTenant("b"), ofTenant("a"), ofTenant("g")}, rows[at+1:at+6], "the five worst, worst first")
	require.Len(t, rows, 13+5)
	require.Less(t, at, slices.Index(rows, "search/latency"), "a group that is overspent lifts its whole")
	require.Contains(t, body, `<summary>7 groups by tenant, <span class="spent">1 overspent</span></summary>`)
	require.Contains(t, body, `<span class="badge spent"><span aria-hidden="true">▼</span> 1 of 7 overspent</span>`, "a whole is not OK while a group is overspent")
	require.Contains(t, body, `<strong>13</strong> SLOs, <strong>7</strong> groups`)

	all := hrefs(body, "/?whole=")
	require.Len(t, all, 1)
	require.Equal(t, []string{ofTenant("c"), ofTenant("e"), ofTenant("b"), ofTenant("a"), ofTenant("g"), ofTenant("f"), ofTenant("d")},
		ids(get(h, all[0]).Body.String()))
	require.Equal(t, []string{ofTenant("c")}, ids(get(h, "/?state=overspent&service=mail").Body.String()), "a group that is chosen alone")
	require.Equal(t, []string{ofTenant("e")}, ids(get(h, "/?q=tenant%3De").Body.String()))
	require.Equal(t, []string{"mail/delivery", ofTenant("c"), ofTenant("e"), ofTenant("b"), ofTenant("a"), ofTenant("g"), ofTenant("f"), ofTenant("d")},
		append([]string{"mail/delivery"}, ids(get(h, "/slo/mail/delivery").Body.String())...))
}

// TestAWholeShowsTheWorstOfItsGroups expects the badge of the worst group in the list and on
// the page of the whole.
func TestAWholeShowsTheWorstOfItsGroups(t *testing.T) {
	for name, tt := range map[string]struct {
		change       func(*evaluator.Status)
		badge, folds string
		ok           bool
	}{
		"page": {func(st *evaluator.Status) {
			st.Alerts = []evaluator.FiringAlert{{Severity: "page", Since: evaluated}}
		}, "▲ 1 of 3 page", "1 firing", false},
		"burning": {func(st *evaluator.Status) {
			st.Windows = slices.Clone(st.Windows)
			for i := range 3 { // 5m, 30m, 1h
				st.Windows[i].BurnRate = new(13.2)
			}
		}, "△ 1 of 3 burning 13.2×", "", false},
		"unknown": {func(st *evaluator.Status) { st.State = evaluator.StateNoData }, "? 1 of 3 no data", "1 unknown", false},
		"doubt":   {func(st *evaluator.Status) { st.Doubts = []evaluator.Doubt{{Code: "audit"}} }, "± 1 of 3 in doubt", "1 in doubt", true},
		"fine":    {func(*evaluator.Status) {}, "✓ OK", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := grouped(t, map[string]float64{"a": .5, "b": .3, "c": .2})
			tt.change(&r.SLOs[slices.IndexFunc(r.SLOs, func(st evaluator.Status) bool { return st.ID == ofTenant("b") })])
			h := handler(r)
			require.Contains(t, words(h, "/?service=mail"), tt.badge+" mail / delivery")
			require.Contains(t, words(h, "/slo/mail/delivery"), "mail / delivery "+tt.badge+" As of")
			require.Contains(t, words(h, "/?service=mail"), tt.folds)
			require.Equal(t, tt.ok, slices.Contains(ids(get(h, "/?state=ok").Body.String()), "mail/delivery"))
			require.Equal(t, tt.ok, slices.Contains(listed(t, get(h, "/api/v1/slos?state=ok")), "mail/delivery"))
		})
	}
}

// TestPagesOfGroups opens the page of each group by the link of the page of its
// whole, whatever the values of its labels are.
func TestPagesOfGroups(t *testing.T) {
	odd := []string{"a/b", "..", "a b&c=d;e", `"quoted" \ `, "<script>", "Müller", "100%", "#1?", "line\nbreak", "+", "{}"}
	left := map[string]float64{}
	for i, name := range odd {
		left[name] = float64(i) / 100
	}
	r := grouped(t, left)
	h := handler(r)
	links := hrefs(get(h, "/slo/mail/delivery").Body.String(), "/slo/mail/delivery?")
	require.Len(t, links, len(odd))
	var found []string
	for _, link := range links {
		page := get(h, link)
		require.Equal(t, http.StatusOK, page.Code, link)
		body := page.Body.String()
		require.Contains(t, body, `<a href="/slo/mail/delivery">all groups</a>`)
		u, err := url.Parse(link)
		require.NoError(t, err)
		id := ofTenant(u.Query().Get("tenant"))
		require.Contains(t, html.UnescapeString(body), `data-slo-id="`+id+`"`)
		found = append(found, u.Query().Get("tenant"))
		api := hrefs(body, "/api/v1/slos?")
		require.Equal(t, []string{id}, listed(t, get(h, api[len(api)-1])))
	}
	require.ElementsMatch(t, odd, found)
	require.Equal(t, http.StatusOK, get(h, "/slo/mail/"+url.PathEscape(`delivery{tenant="a/b"}`)).Code, "the id is an address too")

	gone := get(h, "/slo/mail/delivery?tenant=gone")
	require.Equal(t, http.StatusNotFound, gone.Code)
	require.Contains(t, html.UnescapeString(gone.Body.String()), `There is no group {tenant="gone"} of mail/delivery, or no longer.`)
	require.Contains(t, gone.Body.String(), `<a href="/slo/mail/delivery">mail/delivery</a>`)
	require.Equal(t, http.StatusNotFound, get(h, "/slo/mail/delivery?tenant=a&tenant=b").Code)
	require.Equal(t, http.StatusNotFound, get(h, "/slo/mail/delivery?other=%2B").Code)
}

func TestAPIOfGroups(t *testing.T) {
	h := handler(grouped(t, map[string]float64{"a": .5, "b": .3, "c": -.2}))
	ask := func(query string) []string { return listed(t, get(h, "/api/v1/slos?"+query)) }
	require.Equal(t, []string{"mail/delivery", ofTenant("a"), ofTenant("b"), ofTenant("c")}, ask("service=mail"))
	require.Equal(t, []string{ofTenant("c"), "mail/delivery", ofTenant("b"), ofTenant("a")}, ask("service=mail&sort=worst"))
	require.Equal(t, []string{ofTenant("c"), ofTenant("b")}, ask("whole=mail/delivery&sort=worst&limit=2"))
	require.Equal(t, []string{ofTenant("b")}, ask("label=tenant%3Db&label=tier%3D1"))
	require.Empty(t, ask("whole=mail/deliver"))

	for _, sort := range []string{"id", "worst"} {
		all, paged := ask("sort="+sort), []string{}
		for after := ""; ; after = paged[len(paged)-1] {
			next := ask("sort=" + sort + "&limit=3&after=" + url.QueryEscape(after))
			if len(next) == 0 {
				break
			}
			paged = append(paged, next...)
		}
		require.Equal(t, all, paged, "page by page")
		require.Len(t, all, 16)
	}
	require.Equal(t, http.StatusBadRequest, get(h, "/api/v1/slos?sort=best").Code)
	lost := get(h, "/api/v1/slos?sort=worst&after=mail/gone")
	require.Equal(t, http.StatusBadRequest, lost.Code, "nobody knows what comes behind it")
}

// TestManyGroups has 1,000 groups, and 23 more beyond the limit.
func TestManyGroups(t *testing.T) {
	left := map[string]float64{}
	for i := range 1000 {
		left[fmt.Sprintf("t%04d", i)] = float64(i) / 1000
	}
	r := grouped(t, left)
	i := slices.IndexFunc(r.SLOs, func(s evaluator.Status) bool { return s.ID == "mail/delivery" })
	r.SLOs[i].Groups.LeftOut = 23
	h := handler(r)
	began := time.Now()
	list, page := get(h, "/").Body.String(), get(h, "/slo/mail/delivery").Body.String()
	require.Less(t, time.Since(began), time.Second)
	require.Len(t, ids(list), 13+5)
	require.Len(t, ids(page), 100)
	for _, body := range []string{list, page} {
		require.Contains(t, body, "23 groups beyond the limit are left out")
		require.Contains(t, body, `<a href="/?whole=mail%2Fdelivery">all 1000 groups</a>`)
	}
	require.Len(t, ids(get(h, "/?whole=mail/delivery").Body.String()), 1000)
}
