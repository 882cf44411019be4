package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// bar is the budget left as a picture: zero stands at a quarter of its width,
// what is left goes to the right and what is overspent to the left of it. The
// picture ends at a third overspent, and says so by an arrow; the number beside
// it does not end. The share of the window that is not known is hatched, from the right.
type bar struct {
	X, Width int // of the filled part, in units of 132
	Unknown  int // width of the hatched part, in the same
	Kind     string
	Cut      bool // overspent by more than the picture can show
	Label    string
}

// SVG draws the bar.
func (b bar) SVG() template.HTML { return b.draw("", "0 0 132 10") }

// Tile draws the bar for a tile, where there is no other bar to align it with:
// without the room for what is overspent where nothing is.
func (b bar) Tile() template.HTML {
	if b.Width > 0 && b.X < barZero {
		return b.SVG()
	}
	return b.draw(" whole", "33 0 99 10")
}

func (b bar) draw(class, box string) template.HTML {
	cut := ""
	if b.Cut {
		cut = `<path class="cut" d="M7 1L2 5L7 9"/>`
	}
	hatch := ""
	if b.Unknown > 0 {
		var lines strings.Builder
		for x := barZero + barFull - b.Unknown; x+hatchStep <= barZero+barFull; x += hatchStep {
			fmt.Fprintf(&lines, "M%d 10l%d-10", x, hatchStep)
		}
		hatch = `<path class="hatch" d="` + lines.String() + `"/>`
	}
	return template.HTML(`<svg class="bar ` + b.Kind + class + // #nosec G203 -- constants and numbers
		`" viewBox="` + box + `" preserveAspectRatio="none" role="img" aria-label="` + b.Label +
		`"><rect class="track" x="33" width="99" height="10"/><rect class="fill" x="` + strconv.Itoa(b.X) +
		`" width="` + strconv.Itoa(b.Width) + `" height="10"/>` + hatch + cut + `<path class="zero" d="M33 0v10"/></svg>`)
}

const (
	barZero = 33 // where 0 % is
	barFull = 99 // the width of 100 %

	hatchStep = 6 // from line to line
)

func newBar(st *evaluator.Status) bar {
	left := st.Budget.Remaining
	if left == nil {
		return bar{Kind: "unknown", Label: "budget unknown"}
	}
	b := bar{X: barZero, Kind: "fine", Label: humanize.Percent(left) + " of the budget left"}
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
	if known := knownText(st); known != "" {
		b.Unknown = int(math.Round(barFull * (1 - st.Own().Coverage)))
		b.Label += ", " + known
	}
	switch {
	case unknown(st):
		b.Kind = "unknown"
		b.Label += ", not of now"
	case st.State == evaluator.StateNoTraffic && b.Kind == "fine":
		b.Kind = "idle"
	}
	return b
}

// sparkline is the burn rate in each part of the window, on a scale that is the
// same for all SLOs: logarithmic, 0 to 64, with a line at 1.
type sparkline struct {
	Under, Over, Unknown []byte // paths of the bars: burn rate up to 1, above, unknown
	Excluded             []byte // stretches of which at least half is excluded
	Label                string
	Parts                int // bars, of 3 units each
}

// SVG draws the sparkline over its whole width, however many parts there are.
func (s sparkline) SVG() template.HTML {
	out := fmt.Appendf(nil, `<svg class="spark" viewBox="0 0 %[1]d %[2]d" width="%[3]d" height="%[2]d" preserveAspectRatio="none" role="img" aria-label="%[4]s">`+
		`<path class="rule" d="M0 %[5]dH%[1]d"/>`, 3*max(s.Parts, 1), sparkHeight, 3*sparkParts, s.Label, sparkHeight-sparkBar(1))
	for _, p := range []struct {
		class string
		path  []byte
	}{{"excluded", s.Excluded}, {"under", s.Under}, {"over", s.Over}, {"gap", s.Unknown}} {
		if len(p.path) > 0 {
			out = append(append(append(append(append(out, `<path class="`...), p.class...), `" d="`...), p.path...), `"/>`...)
		}
	}
	return template.HTML(append(out, "</svg>"...)) // #nosec G203 -- constants and numbers
}

// sparkBar is the height of a sparkline's bar for a burn rate.
func sparkBar(burn float64) int { return int(math.Round(sparkHeight * logScale(burn, sparkMax))) }

const (
	sparkParts  = 36
	sparkHeight = 26
	sparkMax    = 64.0 // burn rate at the top
)

// logScale is where a burn rate is between 0 (0) and most (1): logarithmic, so
// that an outage does not flatten what is slow, and nearly linear below a
// quarter, where a rate is nothing to look at.
func logScale(burn, most float64) float64 {
	return math.Min(math.Log1p(4*burn)/math.Log1p(4*most), 1)
}

func newSparkline(st *evaluator.Status) sparkline {
	parts := merged(st.History, sparkParts)
	var under, over, missing, excluded []byte
	nOver, nMissing, nExcluded, worst, allowed := 0, 0, 0, 0.0, allowedRatio(st.Objective)
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
	return sparkline{under, over, missing, excluded, label, len(parts)}
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

// partBurn is the burn rate within one part of the window; 0 without events.
func partBurn(p part, allowed float64) float64 {
	return slo.BadShare(p.Bad, p.Total) / allowed
}

// allowedRatio is 1-o from the decimal digits of the objective, so that a part
// with just what is allowed is not taken for one with more.
func allowedRatio(objective float64) float64 {
	o, err := slo.ParseObjective(humanize.Objective(objective))
	if err != nil { // not an objective of an SLO file
		return 1 - objective
	}
	return o.Budget()
}

// part is a stretch of an SLO's window.
type part struct {
	Start, End time.Time
	Total, Bad float64
	Coverage   float64 // mean of what it was merged of
	Excluded   float64 // share of the time, the same
}

// merged joins neighbours so that at most n parts remain.
func merged(history []evaluator.Bucket, n int) []part {
	if len(history) == 0 {
		return nil
	}
	each := (len(history) + n - 1) / n
	var length time.Duration
	if len(history) > 1 {
		length = history[1].End.Sub(history[0].End)
	}
	out := make([]part, 0, n)
	for i := 0; i < len(history); i += each {
		group := history[i:min(i+each, len(history))]
		p := part{Start: group[0].End.Add(-length), End: group[len(group)-1].End}
		for _, b := range group {
			p.Total += b.Total
			p.Bad += b.Bad
			p.Coverage += b.Coverage * (1 - b.Excluded)
			p.Excluded += b.Excluded / float64(len(group))
		}
		if counts := (1 - p.Excluded) * float64(len(group)); counts > 0 {
			p.Coverage /= counts
		}
		out = append(out, p)
	}
	return out
}

func fixed(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}
