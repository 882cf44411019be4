package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// budgetingOf returns how the budget is counted.
func budgetingOf(st *evaluator.Status) string {
	if st.Spec == nil || st.Spec.Slice == nil {
		return st.Budgeting
	}
	s := st.Spec.Slice
	return fmt.Sprintf("%s of %s, bad when less than %s%s%% of their events are good", st.Budgeting, s.Length, humanize.Objective(s.Target.Ratio()), humanize.Space)
}

// windowText returns the window in words, such as "over 30d".
func windowText(st *evaluator.Status) string {
	if st.Spec == nil || st.Spec.Window.IsRolling() {
		return "over " + st.Window
	}
	return "this " + st.Window + " in " + st.Spec.Window.Zone
}

// period is the current calendar period.
type period struct {
	Start, End *humanize.Moment
	From, To   string // with their dates
	Projected  string
	SoFar      string
}

func periodOf(st *evaluator.Status, unit string, now time.Time) *period {
	b := &st.Budget
	if b.PeriodEnd == nil {
		return nil
	}
	p := &period{Start: humanize.NewMoment(b.PeriodStart, now), End: humanize.NewMoment(b.PeriodEnd, now)}
	if b.PeriodStart != nil {
		p.From = minuteText(*b.PeriodStart)
	}
	p.To = minuteText(*b.PeriodEnd)
	if b.ProjectedTotal != nil {
		p.Projected = humanize.Count(*b.ProjectedTotal) + " " + unit
		if b.ProjectionBasis != nil {
			p.Projected += " (" + *b.ProjectionBasis + ")"
		}
	}
	if b.SoFar != nil {
		p.SoFar = fmt.Sprintf("%s bad %s allowed, %s consumed", humanize.Count(b.SoFar.Allowed), unit, humanize.Percent(&b.SoFar.Consumed))
	}
	return p
}

// pastObjectives returns the earlier objectives, the newest first.
func pastObjectives(spec *slo.SLO) string {
	var out []string
	for _, p := range slices.Backward(spec.PastObjectives) {
		out = append(out, humanize.Objective(p.Objective.Ratio())+humanize.Space+"% until "+p.Until.UTC().Format("2006-01-02 15:04"))
	}
	return strings.Join(out, ", ")
}

// partRows returns the rows of the parts of an SLO.
func (s *server) partRows(st *evaluator.Status, report *evaluator.Report) []listRow {
	if st.Spec == nil {
		return nil
	}
	whole, ok := st.Spec.Indicator.(*slo.WorstOf)
	if !ok {
		return nil
	}
	var all []*evaluator.Status
	for i := range report.SLOs {
		if slices.Contains(whole.Names, report.SLOs[i].ID) {
			all = append(all, &report.SLOs[i])
		}
	}
	slices.SortFunc(all, s.order().Once().Compare)
	var out []listRow
	for _, part := range all {
		out = append(out, s.listRow(part, s.Now()))
	}
	return out
}
