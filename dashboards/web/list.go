package web

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// frame surrounds the content of every page.
type frame struct {
	Title    string
	Home     string // address of the list
	API      string // address of the same as JSON
	Metrics  string
	CSS, JS  string
	Icon     string
	Version  string
	Live     bool             // the page refreshes itself
	At       *humanize.Moment // of the evaluation; nil before the first
	Age      string
	Late     bool // older than lateAfter
	Sources  []source
	Problems problems
	Outages  map[string]*summary.Outage
}

// problems are findings in SLO files, errors first.
type problems struct {
	Title  string // "1 error, 2 warnings in SLO files"; "" without any
	Errors bool
	Open   bool // shown without a click
	List   []evaluator.Problem
}

// newProblems returns the chosen findings.
func newProblems(found []evaluator.Problem, chosen func(evaluator.Problem) bool) problems {
	var out problems
	counts := map[string]int{}
	for _, severity := range []string{"error", "warning"} {
		for _, f := range found {
			if f.Severity != severity && (severity == "error" || f.Severity == "error") || !chosen(f) {
				continue
			}
			counts[severity]++
			out.List = append(out.List, f)
		}
	}
	var parts []string
	for _, severity := range []string{"error", "warning"} {
		if n := counts[severity]; n > 0 {
			parts = append(parts, humanize.Plural(n, severity))
		}
	}
	if len(parts) > 0 {
		out.Title, out.Errors = strings.Join(parts, ", ")+" in SLO files", counts["error"] > 0
	}
	return out
}

// dropReasons removes the reason from rows that have the one of an outage.
func (f *frame) dropReasons(rows []listRow) {
	for i := range rows {
		r := &rows[i]
		for _, o := range f.Outages {
			if r.Backend == o.Backend && r.State == stateName(evaluator.StateQueryFailed) && strings.HasSuffix(r.Reason, o.Reason) {
				r.Reason = ""
			}
		}
		if r.Fold != nil {
			f.dropReasons(r.Fold.Rows)
		}
	}
}

// source is a source of SLOs.
type source struct{ Name, Revision string }

// lateAfter is the age of an evaluation at which the page warns. There is one each minute,
// half a minute after the end of a slot.
const lateAfter = 3 * time.Minute

func (s *server) frame(title string, report *evaluator.Report) frame {
	now := s.Now()
	f := frame{
		Title: title, Home: s.prefix + "/", API: s.prefix + "/api/v1/slos", Metrics: s.prefix + "/metrics",
		CSS: s.assetURL("slowburn.css"), JS: s.assetURL("slowburn.js"), Icon: s.assetURL("icon.svg"),
		Version: s.Version, At: humanize.NewMoment(&report.EvaluatedAt, now), Outages: summary.Outages(report),
		Problems: newProblems(report.Problems, func(evaluator.Problem) bool { return true }),
	}
	if f.At != nil {
		age := max(now.Sub(report.EvaluatedAt), 0)
		f.Age, f.Late = humanize.Duration(age.Truncate(time.Second)), age > lateAfter
	}
	for i := range report.SLOs {
		st := &report.SLOs[i]
		src := source{st.Source, st.Revision}
		if !slices.Contains(f.Sources, src) {
			f.Sources = append(f.Sources, src)
		}
	}
	return f
}

// listPage is the list of SLOs.
type listPage struct {
	frame
	All      int // SLOs there are, without groups
	Groups   int // of them
	Matching int // rows that the filter chooses
	From, To int // of which these are shown
	Summary  []chip
	Form     form
	Rows     []listRow
	Prev     string // address, "" when there is none
	Next     string
}

// chip is one number of the summary line.
type chip struct {
	N          int
	Text, Kind string
	Href       string
}

// form is the filter with its choices.
type form struct {
	url.Values
	Services, Owners, States []string
	Active                   bool
}

// pageRows is how many SLOs one page lists.
const pageRows = 1000

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	report := s.Report()
	s.page(w, r, question{report: report, write: func(out io.Writer) (int, error) { return s.writeList(out, r.URL.Query(), report) }})
}

func (s *server) writeList(w io.Writer, values url.Values, report *evaluator.Report) (status int, err error) {
	f, err := parseFilter(values, s.order())
	if err != nil {
		return s.writeErrorPage(w, http.StatusBadRequest, errorPage{frame: s.frame(unknownFilter, report), Heading: unknownFilter, Text: err.Error()})
	}
	f = f.forReport(report)
	var chosen []*evaluator.Status
	for i := range report.SLOs {
		if st := &report.SLOs[i]; f.matches(st) {
			chosen = append(chosen, st)
		}
	}
	blocks := s.order().Blocks(chosen)

	pages := max((len(blocks)+pageRows-1)/pageRows, 1)
	page := 1
	if n, err := strconv.Atoi(values.Get("page")); err == nil {
		page = min(max(n, 1), pages)
	}
	from := (page - 1) * pageRows
	shown := blocks[from:min(from+pageRows, len(blocks))]

	p := listPage{
		frame: s.frame("", report), Matching: len(blocks),
		From: from + 1, To: from + len(shown), Form: newForm(values, report), Summary: s.chips(report),
	}
	p.Title = listTitle(report)
	p.All, p.Groups = countSLOs(report)
	p.Live = true
	if page > 1 {
		p.Prev = s.pageHref(values, page-1)
	}
	if page < pages {
		p.Next = s.pageHref(values, page+1)
	}
	now := s.Now()
	for _, b := range shown {
		row := s.listRow(b.SLO, now)
		row.Fold = s.groupList(&row, b, foldedGroups)
		p.Rows = append(p.Rows, row)
	}
	p.dropReasons(p.Rows)
	return http.StatusOK, s.pages.ExecuteTemplate(w, "list.html", p)
}

// listTitle returns the title of the browser's tab. It begins with the number of firing SLOs.
func listTitle(report *evaluator.Report) string {
	n := 0
	for i := range report.SLOs {
		if len(report.SLOs[i].Alerts) > 0 {
			n++
		}
	}
	if n > 0 {
		return fmt.Sprintf("(%d firing) SLOs", n)
	}
	return "SLOs"
}

func (s *server) pageHref(values url.Values, page int) string {
	out := url.Values{}
	maps.Copy(out, values)
	out.Set("page", strconv.Itoa(page))
	return s.prefix + "/?" + out.Encode()
}

// chips counts all SLOs, whatever the filter. An SLO may be in several numbers.
func (s *server) chips(report *evaluator.Report) []chip {
	var pages, tickets, over, burning, missing, doubtful int
	for i := range report.SLOs {
		st := &report.SLOs[i]
		switch s.order().Condition(st) {
		case summary.Page:
			pages++
		case summary.Burning:
			burning++
		default:
			if len(st.Alerts) > 0 {
				tickets++
			}
		}
		if len(st.Doubts) > 0 {
			doubtful++
		}
		if summary.IsOverspent(st) {
			over++
		}
		if summary.IsUnknown(st) {
			missing++
		}
	}
	href := s.prefix + "/?state="
	return []chip{
		{pages, humanize.Noun(pages, "page") + " firing", "page", href + filterPage},
		{tickets, humanize.Noun(tickets, "ticket") + " firing", "ticket", href + filterTicket},
		{burning, "about to fire", "burning", href + filterBurning},
		{over, "overspent", "spent", href + filterOverspent},
		{missing, "unknown", "unknown", href + filterUnknown},
		{doubtful, "in doubt", "doubt", href + filterDoubtful},
	}
}

func newForm(values url.Values, report *evaluator.Report) form {
	f := form{Values: values, States: filterStates()}
	for _, name := range []string{"q", "service", "owner", "state", "slo", "whole", "label"} {
		f.Active = f.Active || strings.Join(values[name], "") != ""
	}
	services, owners := map[string]bool{}, map[string]bool{}
	for i := range report.SLOs {
		services[report.SLOs[i].Service] = true
		owners[report.SLOs[i].Owner] = true
	}
	f.Services, f.Owners = choices(services, f.Get("service")), choices(owners, f.Get("owner"))
	return f
}

// choices returns the sorted keys and the chosen one, even if no SLO has it, so that the
// form shows its filter.
func choices(set map[string]bool, chosen string) []string {
	set[chosen] = true
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}

// errorPage explains why there is no other page.
type errorPage struct {
	frame
	Heading, Text  string
	Near, NearHref string // the page that may be meant
}

const unknownFilter = "Unknown filter"

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	report, heading := s.Report(), "Not found"
	s.page(w, r, question{report: report, write: func(out io.Writer) (int, error) {
		return s.writeErrorPage(out, http.StatusNotFound, errorPage{
			frame: s.frame(heading, report), Heading: heading, Text: "There is no page " + r.URL.Path + ".",
		})
	}})
}

// writeErrorPage writes a page about an error in the request.
func (s *server) writeErrorPage(w io.Writer, status int, p errorPage) (int, error) {
	return status, s.pages.ExecuteTemplate(w, "error.html", p)
}
