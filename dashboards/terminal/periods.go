package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Periods writes the calendar periods of each SLO that have ended, the newest first.
func Periods(w io.Writer, r *evaluator.Report, sc Screen) error {
	b := &page{screen: sc}
	rolling, periods := 0, false
	for i := range r.SLOs {
		s := &r.SLOs[i]
		if s.Spec.Window.IsRolling() {
			if len(s.Group) == 0 { // groups are counted with their whole
				rolling++
			}
			continue
		}
		periods = true
		b.title(fmt.Sprintf("%s, each %s in %s", s.ID, s.Window, s.Spec.Window.Zone))
		switch {
		case s.Periods == nil:
			b.line(yellow, "  not read")
		case len(s.Periods) == 0:
			b.line(noColour, "  no period with data has ended")
		default:
			b.periods(s)
			if s.MorePeriods {
				b.line(noColour, "  older periods are not shown")
			}
		}
	}
	switch {
	case !periods:
		b.line(noColour, "\nno periods: only calendar windows have them")
	case rolling > 0:
		b.line(noColour, fmt.Sprintf("\n%s without periods: only calendar windows have them", humanize.Plural(rolling, "SLO")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (b *page) periods(s *evaluator.Status) {
	columns := []column{
		{head: "PERIOD"}, {head: "OBJECTIVE", right: true}, {head: "SLI", right: true}, {head: "BUDGET LEFT", right: true},
		{head: "BAD", right: true}, {head: "ALLOWED", right: true}, {head: "TOTAL", right: true}, {head: "KNOWN", right: true},
	}
	for _, p := range summary.Periods(s) {
		addRow(columns, p.Name, p.Objective, p.SLI, p.Remaining, p.Bad, p.Allowed, p.Total, p.Known)
	}
	b.grid(columns...)
}

// newBudgetIn returns how long a calendar period goes on, "" for a rolling window.
func newBudgetIn(s *evaluator.Status, now time.Time) string {
	if s.Budget.PeriodEnd == nil {
		return ""
	}
	return strings.TrimSpace(plain(humanize.Duration(s.Budget.PeriodEnd.Sub(now).Truncate(time.Minute))))
}
