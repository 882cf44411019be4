package terminal

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// shownGroups is how many groups of an SLO people see.
const shownGroups = 10

// arrange puts SLOs in the order of a table: the worst first, and groups below their SLO.
// The notes name what is not shown.
func arrange(r *evaluator.Report) (rows []*evaluator.Status, notes []string) {
	slos := make([]*evaluator.Status, len(r.SLOs))
	for i := range r.SLOs {
		slos[i] = &r.SLOs[i]
	}
	for _, b := range (summary.Order{}).Blocks(slos) {
		shown := min(len(b.Groups), shownGroups)
		rows = append(append(rows, b.SLO), b.Groups[:shown]...)
		leftOut := 0
		if b.SLO.Groups != nil {
			leftOut = b.SLO.Groups.LeftOut
		}
		for _, n := range notShown(b.SLO.ID, len(b.Groups)-shown, leftOut) {
			notes = append(notes, "not shown: "+n)
		}
	}
	return rows, notes
}

// notShown returns which groups of an SLO a text lacks: some have no room, and others are
// beyond the SLO's limit.
func notShown(id string, more, leftOut int) []string {
	var notes []string
	if more > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s; -o json has them", humanize.Plural(more, "group"), id))
	}
	if leftOut > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s, beyond the limit", humanize.Plural(leftOut, "group"), id))
	}
	return notes
}

// nameOf returns an SLO's name in a table. For a group, it is the labels.
func nameOf(s *evaluator.Status) string {
	if len(s.Group) == 0 {
		return s.SLO
	}
	return "  " + summary.GroupName(s)
}
