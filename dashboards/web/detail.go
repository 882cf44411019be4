package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/chart"
	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// detailPage is the page of one SLO.
type detailPage struct {
	frame
	Row       listRow
	Links     []link
	Alerts    []alert
	Now       *present // nil unless something fires or is about to
	Allowed   string   // with its unit
	Consumed  string
	Excluded  string       // "" when nothing was
	Asked     *rangeCounts // nil unless a time was asked for
	Burning   *chart.Chart // nil unless an alert fires
	Budget    *chart.Chart // nil without history
	Errors    *chart.Chart
	Labels    []pair
	Indicator string // its kind
	Queries   []pair
	Place     string // file and line
	Budgeting string
	Method    string
	Inexact   bool
	State     string
	Dated     bool   // the reason of the state has its date
	JSON      string // address of this SLO in the API
	Whole     string // address of the whole of a group
	Groups    *groupList
	Parts     []listRow // of a journey
	Unit      string    // what is counted
	Over      string    // the window, in words
	Period    *period
	Ended     []summary.Period
	Unread    bool   // periods that ended are being read
	Before    string // earlier objectives
}

// link is a link from the SLO file. Href is empty when the address is not one
// that may become a link.
type link struct {
	Name, Text, Href string
	Runbook          bool
}

// pair is a name and a value.
type pair struct{ Name, Value string }

// detailed holds the data of an SLO's page.
type detailed struct {
	report *evaluator.Report
	status *evaluator.Status
	times  *timeRange   // that was asked for; nil for none
	counts *rangeCounts // of it
}

func (s *server) detail(w http.ResponseWriter, r *http.Request) {
	report := s.Report()
	d := &detailed{report: report, status: find(report, r)}
	if d.status == nil {
		s.noSuchSLO(w, r, report)
		return
	}
	q := question{report: report, write: func(out io.Writer) (int, error) { return s.writeDetail(out, d) }}
	var err error
	switch d.times, err = parseRange(d.status, r.URL.Query(), s.Now()); {
	case err != nil:
		q.write = func(out io.Writer) (int, error) { return s.writeNoSuchTime(out, d, err) }
	case d.times != nil:
		ctx := context.WithoutCancel(r.Context()) // others may wait for the same
		q.before = func() { d.counts = s.countRange(ctx, d.status, *d.times) }
	}
	s.page(w, r, q)
}

func (s *server) writeDetail(w io.Writer, d *detailed) (status int, err error) {
	st, report, now := d.status, d.report, s.Now()
	p := detailPage{
		frame: s.frame(st.ID, report), Row: s.listRow(st, now),
		Links: newLinks(st.Links), Labels: pairs(st.Group, st.Labels),
		Allowed: humanize.Dash, Consumed: humanize.Percent(st.Budget.Consumed),
		Budgeting: budgetingOf(st), Method: "counted from " + summary.Source(st.Method), Inexact: !st.Exact && st.Own().SLI != nil, Unit: unitOf(st), Over: windowText(st),
		Ended: summary.Periods(st), Unread: st.Periods == nil,
		State: stateName(st.State),
		Dated: st.StateSince != nil && strings.Contains(st.StateReason, st.StateSince.UTC().Format("2006-01-02 15:04")),
		JSON:  s.prefix + "/api/v1/slos?" + apiQuery(st).Encode(),
	}
	if len(st.Group) > 0 {
		p.Whole = s.prefix + (&evaluator.Status{Service: st.Service, SLO: st.SLO}).Path()
	}
	p.Groups = s.groupList(&p.Row, summary.Block{SLO: st, Groups: s.groupsOf(st, report)}, detailGroups)
	p.Parts = s.partRows(st, report)
	p.Period = periodOf(st, p.Unit, now)
	if p.Groups != nil {
		p.dropReasons(p.Groups.Rows)
	}
	p.dropReasons(p.Parts)
	p.Live = true
	p.Asked = d.counts
	p.setBudget(st)
	p.setExcluded(&st.Excluded)
	p.Alerts, p.Now = newAlerts(st, now), s.newPresent(st, p.Unit, now)
	p.ownProblems(st, report)
	p.Burning = chart.Shares(st, st.Burning, st.Excluded.Spans)
	p.Budget, p.Errors = chart.Budget(st), chart.Errors(st)
	if p.Asked != nil && d.times.within(st.Burning) {
		p.Asked.Chart = nil // the one around the alert shows the same
	}
	p.setSpec(st.Spec)
	return http.StatusOK, s.pages.ExecuteTemplate(w, "detail.html", p)
}

// ownProblems sets the problems of the SLO's file, and of its source as a whole. An outage of
// its backend replaces the reason.
func (p *detailPage) ownProblems(st *evaluator.Status, report *evaluator.Report) {
	p.Problems = newProblems(report.Problems, func(f evaluator.Problem) bool {
		whole := f.File == "" && st.Revision != "" // of a commit, which is used whole or not at all
		return f.Source == st.Source && (whole || st.Spec != nil && f.File == st.Spec.Origin.File)
	})
	p.Problems.Open = true
	if o := p.Outages[st.Backend]; o.Explains(st) {
		p.Row.Reason = "backend " + o.Backend + " can't be read (" + o.Cause + ")"
	}
}

// unitOf returns the unit of the counts, as in alerts.
func unitOf(st *evaluator.Status) string {
	if st.Spec == nil {
		return st.Unit()
	}
	return st.Spec.Noun()
}

// setBudget sets the allowed and the consumed budget.
func (p *detailPage) setBudget(st *evaluator.Status) {
	if st.Budget.Allowed != nil {
		p.Allowed = humanize.Count(*st.Budget.Allowed) + " bad " + p.Unit + " in "
		if p.Period != nil {
			p.Allowed += "the projected whole "
		}
		p.Allowed += st.Window
	}
	if st.Budget.Consumed != nil {
		p.Consumed += ", " + humanize.Count(st.Own().Bad) + " bad " + p.Unit
	}
}

// setSpec sets the facts from the SLO file.
func (p *detailPage) setSpec(spec *slo.SLO) {
	if spec == nil {
		return
	}
	if spec.Origin.File != "" {
		p.Place = fmt.Sprintf("%s:%d", spec.Origin.File, spec.Origin.Line)
	}
	p.Before = pastObjectives(spec)
	if spec.Indicator == nil {
		return
	}
	p.Indicator = spec.Indicator.Kind()
	for _, f := range spec.Indicator.Fields() {
		if f.Key == p.Indicator { // it is on the page already
			f.Key = "parts"
		}
		p.Queries = append(p.Queries, pair{f.Key, f.Text})
	}
}

// setExcluded sets how much time is excluded.
func (p *detailPage) setExcluded(x *evaluator.Excluded) {
	if x.Slots == 0 {
		return
	}
	p.Excluded = humanize.Duration(time.Duration(x.Slots)*time.Minute) + " with " + humanize.Count(x.Total) + " " + p.Unit + ", " + humanize.Count(x.Bad) + " of them bad"
	if x.Now {
		p.Excluded += "; the present is excluded"
	}
}

// newLinks sorts the links by name, the runbook first.
func newLinks(links map[string]string) []link {
	var out []link
	for name, text := range links {
		out = append(out, link{Name: name, Text: text, Href: safeHref(text), Runbook: name == "runbook"})
	}
	slices.SortFunc(out, func(a, b link) int {
		if a.Runbook != b.Runbook {
			return map[bool]int{true: -1, false: 1}[a.Runbook]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}

// safeHref returns the address if it is one of the web or of mail, else "". Many people write
// SLO files, and their links open in the reader's browser.
func safeHref(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	switch u.Scheme { // in lower case
	case "http", "https":
		if u.Host != "" {
			return text
		}
	case "mailto":
		return text
	}
	return ""
}

// pairs returns the maps' entries, sorted by name within each map.
func pairs(all ...map[string]string) []pair {
	var out []pair
	for _, m := range all {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			out = append(out, pair{name, m[name]})
		}
	}
	return out
}
