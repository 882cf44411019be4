package web

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// foldedGroups is how many groups of an SLO the list has below it.
	foldedGroups = 5
	// detailGroups is how many groups of an SLO its own page lists.
	detailGroups = 100
)

// countSLOs returns how many SLOs there are, and how many groups of them.
func countSLOs(report *evaluator.Report) (slos, groups int) {
	for i := range report.SLOs {
		if len(report.SLOs[i].Group) > 0 {
			groups++
		}
	}
	return len(report.SLOs) - groups, groups
}

// groupList is the list of the groups of a whole.
type groupList struct {
	ID       string // of the element
	Count    int    // of groups
	Of       string // "tenant"
	LeftOut  int
	Problems []chip // of the groups
	Rows     []listRow
	More     int // groups that are not among Rows
	All      string
}

// groupList returns the worst groups of an SLO, nil for one without groups, and gives the row
// of the SLO the badge of the worst one, if that is worse.
func (s *server) groupList(whole *listRow, b summary.Block, most int) *groupList {
	if b.SLO.Groups == nil {
		return nil
	}
	s.markWorst(whole, b)
	return &groupList{
		ID: "groups-" + b.SLO.ID, Count: len(b.Groups), Of: strings.Join(b.SLO.Groups.By, ", "), LeftOut: b.SLO.Groups.LeftOut,
		Problems: groupProblems(b.Groups), Rows: s.groupRows(b.Groups[:min(len(b.Groups), most)], s.Now()),
		More: max(len(b.Groups)-most, 0), All: s.prefix + "/?" + url.Values{"whole": {b.SLO.ID}}.Encode(),
	}
}

// markWorst gives the row of a whole the badge of its worst group, if that is worse.
func (s *server) markWorst(r *listRow, b summary.Block) {
	order := s.order()
	if len(b.Groups) == 0 {
		return
	}
	worst := order.Condition(b.Groups[0])
	if worst >= order.Condition(b.SLO) {
		return
	}
	n := 0
	for _, st := range b.Groups {
		if order.Condition(st) == worst {
			n++
		}
	}
	var badge string
	r.Mark, r.Icon, badge = s.kindOf(b.Groups[0])
	if worst == summary.Doubtful {
		badge = "in doubt"
	}
	r.Badge, r.Since = fmt.Sprintf("%d of %d %s", n, len(b.Groups), strings.ToLower(badge)), nil
}

// groupProblems counts groups by the worst problem of each.
func groupProblems(groups []*evaluator.Status) []chip {
	all := []chip{
		{Text: "firing", Kind: "page"}, {Text: "overspent", Kind: "spent"}, {Text: "with a ticket", Kind: "ticket"}, {Text: "unknown", Kind: "unknown"},
		{Text: "in doubt", Kind: "doubt"},
	}
	for _, st := range groups {
		switch {
		case summary.Fires(st, slo.Page):
			all[0].N++
		case summary.IsOverspent(st):
			all[1].N++
		case len(st.Alerts) > 0:
			all[2].N++
		case summary.IsUnknown(st):
			all[3].N++
		case len(st.Doubts) > 0:
			all[4].N++
		}
	}
	return slices.DeleteFunc(all, func(c chip) bool { return c.N == 0 })
}

// groupRows returns rows with the labels of their groups as names.
func (s *server) groupRows(groups []*evaluator.Status, now time.Time) []listRow {
	out := make([]listRow, 0, len(groups))
	for _, st := range groups {
		r := s.listRow(st, now)
		r.Group = summary.GroupName(st)
		out = append(out, r)
	}
	return out
}

// groupsOf returns the groups of an SLO, the worst first.
func (s *server) groupsOf(whole *evaluator.Status, report *evaluator.Report) []*evaluator.Status {
	var groups []*evaluator.Status
	for i := range report.SLOs {
		if st := &report.SLOs[i]; len(st.Group) > 0 && st.WholeID() == whole.ID {
			groups = append(groups, st)
		}
	}
	slices.SortFunc(groups, s.order().Once().Compare)
	return groups
}

// find returns the SLO of a page: by the parts of its id, and by the labels of its group as
// parameters or in the id.
func find(report *evaluator.Report, r *http.Request) *evaluator.Status {
	service, name := r.PathValue("service"), r.PathValue("slo")
	id, query := service+"/"+name, r.URL.Query()
	var found *evaluator.Status
	for i := range report.SLOs {
		st := &report.SLOs[i]
		if st.ID != id && (st.Service != service || st.SLO != name) {
			continue
		}
		switch group := groupOf(query, st.Timed()); {
		case len(group) > 0 && maps.Equal(st.Group, group):
			return st
		case len(group) == 0 && st.ID == id: // unless from and to are labels of a group
			found = st
		}
	}
	return found
}

// groupOf returns the parameters that are labels: all but a time.
func groupOf(query url.Values, timed bool) map[string]string {
	group := map[string]string{}
	for name, values := range query {
		if !timed || name != "from" && name != "to" {
			group[name] = strings.Join(values, ",")
		}
	}
	return group
}

// noSuchSLO writes that there is no such SLO, with a link to the whole of the group: alerts
// may be about a group that is gone.
func (s *server) noSuchSLO(w http.ResponseWriter, r *http.Request, report *evaluator.Report) {
	id := r.PathValue("service") + "/" + r.PathValue("slo")
	p := errorPage{Heading: "Not found", Text: "No SLO " + id + " is loaded."}
	if group := groupOf(r.URL.Query(), true); len(group) > 0 {
		p.Text = "There is no group " + labels.FromMap(group).String() + " of " + id + ", or no longer."
		i := slices.IndexFunc(report.SLOs, func(st evaluator.Status) bool { return st.ID == id })
		if i >= 0 {
			p.Near, p.NearHref = id, s.prefix+report.SLOs[i].Path()
			if times, err := parseRange(&report.SLOs[i], r.URL.Query(), s.Now()); err == nil && times != nil {
				p.NearHref = s.prefix + report.SLOs[i].PathBetween(times.from, times.to)
			}
		}
	}
	s.page(w, r, question{report: report, write: func(out io.Writer) (int, error) {
		p.frame = s.frame(p.Heading, report)
		return s.writeErrorPage(out, http.StatusNotFound, p)
	}})
}

// apiQuery returns the API's parameters for an SLO and its groups.
func apiQuery(st *evaluator.Status) url.Values {
	q := url.Values{"service": {st.Service}, "slo": {st.SLO}}
	for _, p := range pairs(st.Group) {
		q.Add("label", p.Name+"="+p.Value)
	}
	return q
}
