package terminal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// shownGroups is how many groups of an SLO people see.
const shownGroups = 10

// worstFirst compares two rows: the worse one comes first.
func worstFirst(a, b *evaluator.Status) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(remaining(a), remaining(b)), cmp.Compare(a.ID, b.ID))
}

// arrange puts SLOs in the order of a table: the worst first, and groups below their
// whole, which has the place of the worst of them. The notes name what is not shown.
func arrange(r *evaluator.Report) (rows []*evaluator.Status, notes []string) {
	var heads []*evaluator.Status
	groups := map[string][]*evaluator.Status{}
	for i := range r.SLOs {
		s := &r.SLOs[i]
		if len(s.Group) > 0 {
			groups[s.WholeID()] = append(groups[s.WholeID()], s)
		} else {
			heads = append(heads, s)
		}
	}
	worst := map[string]*evaluator.Status{}
	for _, s := range heads {
		of := groups[s.ID]
		slices.SortFunc(of, worstFirst)
		worst[s.ID] = s
		if len(of) > 0 && worstFirst(of[0], s) < 0 {
			worst[s.ID] = of[0]
		}
	}
	slices.SortFunc(heads, func(a, b *evaluator.Status) int { return worstFirst(worst[a.ID], worst[b.ID]) })
	for _, s := range heads {
		of := groups[s.ID]
		rows = append(append(rows, s), of[:min(len(of), shownGroups)]...)
		if more := len(of) - shownGroups; more > 0 {
			notes = append(notes, fmt.Sprintf("not shown: %s of %s; -o json has them", humanize.Plural(more, "group"), s.ID))
		}
		if s.Groups != nil && s.Groups.LeftOut > 0 {
			notes = append(notes, fmt.Sprintf("left out, beyond the limit: %s of %s", humanize.Plural(s.Groups.LeftOut, "group"), s.ID))
		}
	}
	return rows, notes
}

// nameOf returns an SLO's name in a table. For a group, it is the labels.
func nameOf(s *evaluator.Status) string {
	if len(s.Group) == 0 {
		return s.SLO
	}
	return "  " + strings.Trim(labels.FromMap(s.Group).String(), "{}")
}
