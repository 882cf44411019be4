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
	Live     bool             // refreshes itself
	At       *humanize.Moment // of the evaluation; nil before the first
	Age      string
	Late     bool // older than evaluations should get
	Sources  []source
	Problems problems
	Outages  []outage
}

// problems are findings in SLO files, errors first.
type problems struct {
	Title  string // "1 error, 2 warnings in SLO files"; "" without any
	Errors bool
	Open   bool // shown without a click
	List   []problem
}

type problem struct{ Severity, Place, Message, Hint, Source string }

// newProblems are those of the findings that are chosen.
func newProblems(found []evaluator.Problem, chosen func(evaluator.Problem) bool) problems {
	var out problems
	counts := map[string]int{}
	for _, severity := range []string{"error", "warning"} {
		for _, f := range found {
			if f.Severity != severity && (severity == "error" || f.Severity == "error") || !chosen(f) {
				continue
			}
			counts[severity]++
			p := problem{Severity: f.Severity, Place: f.File, Message: f.Message, Hint: f.Hint, Source: f.Source}
			if f.Line > 0 {
				p.Place = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
			}
			out.List = append(out.List, p)
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

// outage is a backend that gives no answer.
type outage struct {
	Backend, Cause, Reason, SLOs string
	Since                        *humanize.Moment
}

func newOutages(report *evaluator.Report, now time.Time) []outage {
	found := summary.Outages(report)
	var out []outage
	for _, name := range slices.Sorted(maps.Keys(found)) {
		o := found[name]
		out = append(out, outage{name, o.Cause, o.Reason, o.Unknown(), humanize.NewMoment(o.Since, now)})
	}
	return out
}

// hush takes the reason from rows that have the one of an outage.
func (f *frame) hush(rows []row) {
	for i := range rows {
		r := &rows[i]
		for _, o := range f.Outages {
			if r.Backend == o.Backend && r.State == stateName(evaluator.StateQueryFailed) && strings.HasSuffix(r.Reason, o.Reason) {
				r.Reason = ""
			}
		}
		if r.Fold != nil {
			f.hush(r.Fold.Rows)
		}
	}
}

// source is where SLOs came from.
type source struct {
	Name, Revision, Short string
}

// lateAfter is the age of an evaluation at which the page warns: one is
// made each minute, half a minute after the end of a slot.
const lateAfter = 3 * time.Minute

func (s *server) frame(title string, report *evaluator.Report) frame {
	now := s.Now()
	f := frame{
		Title: title, Home: s.prefix + "/", API: s.prefix + "/api/v1/slos", Metrics: s.prefix + "/metrics",
		CSS: s.assetURL("slowburn.css"), JS: s.assetURL("slowburn.js"), Icon: s.assetURL("icon.svg"),
		Version: s.Version, At: humanize.NewMoment(&report.EvaluatedAt, now), Outages: newOutages(report, now),
		Problems: newProblems(report.Problems, func(evaluator.Problem) bool { return true }),
	}
	if f.At != nil {
		age := max(now.Sub(report.EvaluatedAt), 0)
		f.Age, f.Late = humanize.Duration(age.Truncate(time.Second)), age > lateAfter
	}
	for i := range report.SLOs {
		st := &report.SLOs[i]
		src := source{Name: st.Source, Revision: st.Revision, Short: st.Revision[:min(len(st.Revision), 8)]}
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
	Matching int // rows for what the filter chooses
	From, To int // of which these are shown
	Summary  []chip
	Form     form
	Rows     []row
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
	Q, Service, Owner, State, SLO string
	Whole                         string
	Labels                        []string
	Services, Owners, States      []string
	Active                        bool
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
		return s.writeSorry(w, http.StatusBadRequest, sorryPage{frame: s.frame(unknownFilter, report), Heading: unknownFilter, Text: err.Error()})
	}
	f = f.of(report)
	var chosen []*evaluator.Status
	for i := range report.SLOs {
		if st := &report.SLOs[i]; f.has(st) {
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
	p.All, p.Groups = counted(report)
	p.Live = true
	if page > 1 {
		p.Prev = s.pageHref(values, page-1)
	}
	if page < pages {
		p.Next = s.pageHref(values, page+1)
	}
	now := s.Now()
	for _, b := range shown {
		p.Rows = append(p.Rows, s.blockRow(b, now))
	}
	p.hush(p.Rows)
	return http.StatusOK, s.pages.ExecuteTemplate(w, "list.html", p)
}

// listTitle names the browser's tab, with what fires in front.
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
	f := form{
		Q: values.Get("q"), Service: values.Get("service"), Owner: values.Get("owner"),
		State: values.Get("state"), SLO: values.Get("slo"), Whole: values.Get("whole"), Labels: values["label"], States: filterStates(),
	}
	f.Active = f.Q+f.Service+f.Owner+f.State+f.SLO+f.Whole+strings.Join(f.Labels, "") != ""
	services, owners := map[string]bool{}, map[string]bool{}
	for i := range report.SLOs {
		services[report.SLOs[i].Service] = true
		owners[report.SLOs[i].Owner] = true
	}
	f.Services, f.Owners = choices(services, f.Service), choices(owners, f.Owner)
	return f
}

// choices are the sorted keys, the chosen one among them even when no SLO has
// it, so that the form shows what it filters by.
func choices(set map[string]bool, chosen string) []string {
	set[chosen] = true
	delete(set, "")
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// sorryPage says why there is nothing to see.
type sorryPage struct {
	frame
	Heading, Text  string
	Near, NearHref string // what may be meant
}

const unknownFilter = "Unknown filter"

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	report, heading := s.Report(), "Not found"
	s.page(w, r, question{report: report, write: func(out io.Writer) (int, error) {
		return s.writeSorry(out, http.StatusNotFound, sorryPage{
			frame: s.frame(heading, report), Heading: heading, Text: "There is no page " + r.URL.Path + ".",
		})
	}})
}

// writeSorry writes a page that says what is wrong with the request.
func (s *server) writeSorry(w io.Writer, status int, p sorryPage) (int, error) {
	return status, s.pages.ExecuteTemplate(w, "sorry.html", p)
}
