package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Bar is a picture of the budget left, in a box of 132 by 10. Zero is at a quarter of its
// width: the budget left is to the right of it, and the overspent part to the left. An arrow
// shows that more than a third is overspent. The unknown share of the window is hatched, from
// the right.
type Bar struct {
	X, Width int    // of the filled part
	Hatch    string // path over the unknown part
	Kind     string
	Cut      bool // overspent by more than the picture can show
	Label    string
}

// Overspent reports whether the bar has an overspent part. Without one, it needs no room for it
// where no other bar is aligned with it.
func (b Bar) Overspent() bool { return b.Width > 0 && b.X < barZero }

const (
	barZero = 33 // where 0 % is
	barFull = 99 // the width of 100 %

	hatchStep = 6 // from line to line
)

// NewBar returns the bar of an SLO.
func NewBar(st *evaluator.Status) Bar {
	left := st.Budget.Remaining
	if left == nil {
		return Bar{Kind: "unknown", Label: "budget unknown"}
	}
	b := Bar{X: barZero, Kind: "fine", Label: humanize.Percent(left) + " of the budget left"}
	switch {
	case *left < 0:
		b.Width = min(int(math.Ceil(-*left*barFull)), barZero)
		b.X -= b.Width
		b.Cut = -*left*barFull > barZero
		over := -*left
		b.Kind, b.Label = "spent", "overspent by "+humanize.Percent(&over)+" of the budget"
	default:
		b.Width = int(math.Ceil(math.Min(*left, 1) * barFull))
		if *left < 0.25 {
			b.Kind = "low"
		}
	}
	if known := summary.Known(st); known != "" {
		b.Hatch = hatch(int(math.Round(barFull * (1 - st.Own().Coverage))))
		b.Label += ", " + known
	}
	switch {
	case summary.IsUnknown(st):
		b.Kind = "unknown"
		b.Label += ", not of now"
	case st.State == evaluator.StateNoTraffic && b.Kind == "fine":
		b.Kind = "idle"
	}
	return b
}

// hatch returns the path of lines over the last part of a bar, of a width.
func hatch(width int) string {
	var lines strings.Builder
	for x := barZero + barFull - width; x+hatchStep <= barZero+barFull; x += hatchStep {
		fmt.Fprintf(&lines, "M%d 10l%d-10", x, hatchStep)
	}
	return lines.String()
}

// Sparkline is a picture of the burn rate in each part of the window, 26 high. Its scale is the
// same for all SLOs: logarithmic, 0 to 64, with a line at 1.
type Sparkline struct {
	Under, Over, Unknown string // paths of the bars: burn rate up to 1, above, unknown
	Excluded             string // parts of which at least half is excluded
	Rule                 int    // y of the line at 1
	Label                string
	Width                int // 3 for each part
}

// sparkBar returns the height of a sparkline's bar for a burn rate.
func sparkBar(burn float64) int { return int(math.Round(sparkHeight * logScale(burn, sparkMax))) }

const (
	sparkParts  = 36
	sparkHeight = 26
	sparkMax    = 64.0 // burn rate at the top
)

// NewSparkline returns the sparkline of an SLO.
func NewSparkline(st *evaluator.Status) Sparkline {
	parts := merged(st.History, sparkParts)
	var under, over, missing, excluded []byte
	nOver, nMissing, nExcluded := 0, 0, 0
	worst, allowed := 0.0, summary.Allowed(st)
	for i, p := range parts {
		x := 3*i + 1
		if p.Excluded >= 0.5 {
			nExcluded++
			excluded = appendBar(excluded, x, sparkHeight)
		}
		if p.Coverage == 0 {
			if p.Excluded < 0.5 {
				nMissing++
				missing = appendBar(missing, x, 4)
			}
			continue
		}
		burn := partBurn(p, allowed)
		worst = math.Max(worst, burn)
		height := sparkBar(burn)
		switch {
		case burn > 1:
			nOver++
			over = appendBar(over, x, height)
		case p.Total > 0 || p.Bad > 0:
			under = appendBar(under, x, max(height, 1))
		}
	}
	label := sparkLabel(len(parts), nOver, nMissing, worst)
	if nExcluded > 0 {
		label += fmt.Sprintf(", %d excluded", nExcluded)
	}
	return Sparkline{string(under), string(over), string(missing), string(excluded), sparkHeight - sparkBar(1), label, 3 * max(len(parts), 1)}
}

// appendBar adds a bar that stands on the ground to a path.
func appendBar(path []byte, x, height int) []byte {
	path = strconv.AppendInt(append(path, 'M'), int64(x), 10)
	path = strconv.AppendInt(append(path, ' '), sparkHeight, 10)
	return strconv.AppendInt(append(path, 'v'), int64(-height), 10)
}

func sparkLabel(parts, over, missing int, worst float64) string {
	if parts == 0 {
		return "no history"
	}
	label := fmt.Sprintf("burn rate over the window: above 1 in %d of %d parts, at most %s", over, parts, humanize.BurnRate(&worst))
	if missing > 0 {
		label += fmt.Sprintf(", %d unknown", missing)
	}
	return label
}
