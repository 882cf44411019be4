package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// filter chooses SLOs. Zero fields choose all.
type filter struct {
	service, slo, owner, state string
	whole                      string // an SLO's id; its groups are chosen
	labels                     [][2]string
	order                      summary.Order
	troubled                   map[string]bool // ids of SLOs that are left out because a group is not ok
	words                      []string        // each in the id, the owner, the description or a label
}

// The states of the filter beside those of the data.
const (
	filterFiring    = "firing"
	filterPage      = "page"
	filterTicket    = "ticket"
	filterOverspent = "overspent"
	filterBurning   = "burning"
	filterUnknown   = "unknown"
	filterDoubtful  = "doubtful"
)

// filterStates returns all values of the parameter "state".
func filterStates() []string {
	out := []string{filterFiring, filterPage, filterTicket, filterOverspent, filterBurning, filterUnknown, filterDoubtful}
	for _, s := range evaluator.States {
		out = append(out, string(s))
	}
	return out
}

// parseFilter reads the filter's part of a query. Empty values, as forms send them, choose
// all.
func parseFilter(v url.Values, order summary.Order) (filter, error) {
	for name, values := range v {
		if name != "label" && len(values) > 1 {
			return filter{}, fmt.Errorf("parameter %s is given %d times", name, len(values))
		}
	}
	f := filter{
		order:   order,
		service: v.Get("service"), slo: v.Get("slo"), owner: v.Get("owner"), state: v.Get("state"), whole: v.Get("whole"),
		words: strings.Fields(strings.ToLower(v.Get("q"))),
	}
	if f.state != "" && !slices.Contains(filterStates(), f.state) {
		return filter{}, fmt.Errorf("state %q is not one of %s", f.state, strings.Join(filterStates(), ", "))
	}
	for _, l := range v["label"] {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return filter{}, fmt.Errorf("label %q is not of the form name=value", l)
		}
		f.labels = append(f.labels, [2]string{name, value})
	}
	return f, nil
}

// forReport returns the filter for the SLOs of a report.
func (f filter) forReport(r *evaluator.Report) filter {
	if f.state != string(evaluator.StateOK) {
		return f
	}
	f.troubled = map[string]bool{}
	for i := range r.SLOs {
		if st := &r.SLOs[i]; len(st.Group) > 0 && f.order.Condition(st) < summary.Doubtful {
			f.troubled[st.WholeID()] = true
		}
	}
	return f
}

// matches reports whether the filter chooses s.
func (f filter) matches(s *evaluator.Status) bool {
	if f.service != "" && f.service != s.Service || f.slo != "" && f.slo != s.SLO ||
		f.owner != "" && f.owner != s.Owner || f.whole != "" && (len(s.Group) == 0 || f.whole != s.WholeID()) || !f.hasState(s) {
		return false
	}
	for _, l := range f.labels {
		value, ok := s.Group[l[0]]
		if !ok {
			value, ok = s.Labels[l[0]]
		}
		if !ok || value != l[1] {
			return false
		}
	}
	return f.hasWords(s)
}

func (f filter) hasState(s *evaluator.Status) bool {
	switch f.state {
	case "":
		return true
	case filterFiring:
		return len(s.Alerts) > 0
	case filterPage:
		return summary.Fires(s, slo.Page)
	case filterTicket:
		return len(s.Alerts) > 0 && !summary.Fires(s, slo.Page)
	case filterOverspent:
		return summary.IsOverspent(s)
	case filterBurning:
		return f.order.Condition(s) == summary.Burning
	case filterDoubtful:
		return len(s.Doubts) > 0
	case string(evaluator.StateOK): // of the data, without other problems
		return s.State == evaluator.StateOK && f.order.Condition(s) >= summary.Doubtful && !f.troubled[s.ID]
	case filterUnknown:
		return summary.IsUnknown(s)
	}
	return f.state == string(s.State)
}

func (f filter) hasWords(s *evaluator.Status) bool {
	if len(f.words) == 0 {
		return true
	}
	text := s.ID + "\n" + s.Owner + "\n" + s.Description
	for _, p := range pairs(s.Group, s.Labels) {
		text += "\n" + p.Name + "=" + p.Value
	}
	text = strings.ToLower(text)
	for _, w := range f.words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
