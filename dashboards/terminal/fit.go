package terminal

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// How many characters of a name and of the alerts remain on a narrow screen.
const (
	leastName   = 8
	leastAlerts = 10
)

// shortenNames cuts the longest services and SLOs, so that the alerts are on the screen.
func (t *table) shortenNames(width int) {
	last := t.columns[len(t.columns)-1]
	need := t.width() - last.width() + min(last.width(), leastAlerts)
	for ; need > width; need-- {
		c := &t.columns[0]
		if t.columns[1].width() > c.width() {
			c = &t.columns[1]
		}
		most := c.width() - 1
		if most < leastName {
			return
		}
		for i, cell := range c.cells {
			if runes := []rune(cell); len(runes) > most {
				c.cells[i] = string(runes[:most-1]) + "…"
			}
		}
	}
}

// outageLine returns why all SLOs of a backend are unknown.
func outageLine(o *summary.Outage, now time.Time) string {
	since := ""
	if m := humanize.NewMoment(o.Since, now); m != nil {
		since = " since " + m.Text
	}
	return fmt.Sprintf("backend %s can't be read%s (%s): %s unknown", o.Backend, since, printable(o.Cause), o.Unknown())
}
