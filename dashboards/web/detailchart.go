package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// chart is a picture over an SLO's window: 1000 wide and chartHeight high,
// stretched to the width there is. Ticks are outside of what is stretched.
type chart struct {
	Label      string // what it shows, for those who don't see it
	Line, Area string // paths, "" when there is none
	Over       string // path of what is more than allowed
	Rule       string // y of the line that separates good from bad
	Gaps       string // path of the stretches without data
	Excluded   string // path of the stretches that are excluded
	Hits       []hit  // one for each part, with its numbers
	Y          []tick
	X          []tick
}

// tick is a place on an axis: a y in pixels or an x in percent.
type tick struct {
	At, Text, Anchor string
	Minor            bool // left out where there is little room
}

// hit is a stretch of time that tells its numbers when pointed at.
type hit struct {
	X, Width, Text string
}

const (
	chartParts  = 120
	chartWidth  = 1000.0
	chartHeight = 180.0
)

// budgetChart is how the budget of this window was spent: all of it at the
// start, what remains at the end.
func budgetChart(st *evaluator.Status) *chart {
	parts := merged(st.History, chartParts)
	if len(parts) == 0 || st.Budget.Allowed == nil || *st.Budget.Allowed <= 0 {
		return nil
	}
	left := make([]float64, len(parts))
	bad, lowest := 0.0, 0.0
	for i, p := range parts {
		bad += p.Bad
		left[i] = 1 - bad / *st.Budget.Allowed
		lowest = math.Min(lowest, left[i])
	}
	step := 0.25
	for (1-lowest)/step > 5 {
		step *= 2
	}
	bottom := -math.Ceil(-lowest/step) * step
	y := func(v float64) float64 { return chartHeight * (1 - v) / (1 - bottom) }

	width := filled(st, parts)
	c := &chart{Rule: fixed(y(0)), X: timeTicks(parts[0].Start, wholeEnd(st, parts)), Excluded: excludedPath(st, parts)}
	for v := 1.0; v >= bottom-1e-9; v -= step {
		c.Y = append(c.Y, tick{At: fixed(y(v)), Text: humanize.Percent(&v)})
	}
	if step > 1 { // zero is between two steps
		c.Y = append(c.Y, tick{At: fixed(y(0)), Text: "0" + humanize.Space + "%"})
	}
	c.drawLeft(parts, left, width, y)
	c.Label = "Budget remaining, from 100 % at " + parts[0].Start.UTC().Format("2 Jan 15:04") + " to " +
		humanize.Percent(&left[len(left)-1]) + " at " + parts[len(parts)-1].End.UTC().Format("2 Jan 15:04") + " UTC"
	return c
}

// drawLeft draws what was left after each part, where that is known.
func (c *chart) drawLeft(parts []part, left []float64, width float64, y func(float64) float64) {
	each := width / float64(len(parts))
	var line, area, over strings.Builder
	drawn := false // the part before
	for i, p := range parts {
		from, to := fixed(each*float64(i)), fixed(each*float64(i+1))
		known := p.Coverage > 0
		if drawn && !known {
			area.WriteString("V" + c.Rule + "Z")
			over.WriteString("V" + c.Rule + "Z")
		}
		if known && !drawn {
			before := 1.0
			if i > 0 {
				before = left[i-1]
			}
			line.WriteString("M" + from + " " + fixed(y(before)))
			area.WriteString("M" + from + " " + c.Rule + "V" + fixed(y(max(before, 0))))
			over.WriteString("M" + from + " " + c.Rule + "V" + fixed(y(min(before, 0))))
		}
		if drawn = known; known {
			line.WriteString("L" + to + " " + fixed(y(left[i])))
			area.WriteString("L" + to + " " + fixed(y(max(left[i], 0))))
			over.WriteString("L" + to + " " + fixed(y(min(left[i], 0))))
		}
		c.add(each, i, p, humanize.Percent(&left[i])+" left after "+p.End.UTC().Format("2 Jan 15:04"))
	}
	if drawn {
		area.WriteString("V" + c.Rule + "Z")
		over.WriteString("V" + c.Rule + "Z")
	}
	c.Line, c.Area, c.Over = line.String(), area.String(), over.String()
}

// errorChart is the share of bad events in each part of the window, on a
// logarithmic scale with a line at what the objective allows.
func errorChart(st *evaluator.Status) *chart {
	parts := merged(st.History, chartParts)
	if len(parts) == 0 {
		return nil
	}
	allowed := allowedRatio(st.Objective)
	most, worst := 10.0, 0
	for i, p := range parts {
		if partBurn(p, allowed) > partBurn(parts[worst], allowed) {
			worst = i
		}
	}
	most = math.Max(most, 1.1*partBurn(parts[worst], allowed))
	y := func(burn float64) float64 { return chartHeight * (1 - logScale(burn, most)) }

	width := filled(st, parts)
	c := &chart{Rule: fixed(y(1)), X: timeTicks(parts[0].Start, wholeEnd(st, parts)), Excluded: excludedPath(st, parts), Y: []tick{{At: fixed(chartHeight), Text: "0" + humanize.Space + "%"}}}
	for burn := 1.0; burn <= most && burn*allowed <= 1; burn *= 10 {
		c.Y = append(c.Y, tick{At: fixed(y(burn)), Text: humanize.Share(burn * allowed)})
	}
	if top := partBurn(parts[worst], allowed); top > 1 {
		c.addTop(y(top), humanize.Share(top*allowed))
	}
	var under, over strings.Builder
	for i, p := range parts {
		burn := partBurn(p, allowed)
		path := &under
		if burn > 1 {
			path = &over
		}
		if p.Total > 0 || p.Bad > 0 {
			left, right := width*float64(i)/float64(len(parts)), width*float64(i+1)/float64(len(parts))
			fmt.Fprintf(path, "M%s %sV%sH%sV%sZ", fixed(left+0.5), fixed(chartHeight), fixed(math.Min(y(burn), chartHeight-1)),
				fixed(right-0.5), fixed(chartHeight))
		}
		c.add(width/float64(len(parts)), i, p, partText(p))
	}
	c.Area, c.Over = under.String(), over.String()
	c.Label = "The share that is bad; the worst part: " + partText(parts[worst])
	return c
}

// addTop names the height of the highest bar where no tick is near.
func (c *chart) addTop(at float64, text string) {
	const room = 16 // pixels of a line of text
	for _, t := range c.Y {
		if y, err := strconv.ParseFloat(t.At, 64); err != nil || math.Abs(y-at) < room {
			return
		}
	}
	c.Y = append(c.Y, tick{At: fixed(at), Text: text})
}

// shareChart is an errorChart of a time of its own, in parts, with what of it is
// excluded.
func shareChart(st *evaluator.Status, parts []evaluator.Bucket, excluded []slo.Span) *chart {
	then := *st
	then.History, then.Budget.PeriodStart, then.Budget.PeriodEnd, then.Excluded.Spans = parts, nil, nil, excluded
	return errorChart(&then)
}

// wholeEnd is the end of the window that parts are of, which for a calendar period
// is to come.
func wholeEnd(st *evaluator.Status, parts []part) time.Time {
	if end := st.Budget.PeriodEnd; end != nil {
		return *end
	}
	return parts[len(parts)-1].End
}

// filled is how much of a chart's width the parts take: what is to come of a
// calendar period stays empty.
func filled(st *evaluator.Status, parts []part) float64 {
	start, now := parts[0].Start, parts[len(parts)-1].End
	if at := st.Budget.PeriodStart; at != nil {
		start = *at
	}
	whole := wholeEnd(st, parts).Sub(start)
	if start.Equal(now) || whole <= 0 {
		return chartWidth
	}
	return chartWidth * float64(now.Sub(start)) / float64(whole)
}

// add notes part i, of a width: what it says, and whether it is unknown.
func (c *chart) add(width float64, i int, p part, text string) {
	x := width * float64(i)
	if p.Coverage == 0 && p.Excluded <= 0.99 {
		text = "no data " + spanText(p)
		c.Gaps += fmt.Sprintf("M%.2f 0h%.2fv%sh-%.2fz", x, width, fixed(chartHeight), width)
	}
	c.Hits = append(c.Hits, hit{X: fixed(x), Width: fixed(width), Text: text})
}

// excludedPath are the stretches of the window that are excluded, to the minute.
func excludedPath(st *evaluator.Status, parts []part) string {
	start, end := parts[0].Start, wholeEnd(st, parts)
	x := func(t time.Time) float64 {
		return chartWidth * min(max(float64(t.Sub(start))/float64(end.Sub(start)), 0), 1)
	}
	var path strings.Builder
	for _, s := range st.Excluded.Spans {
		if from, to := x(s.From), x(s.To); from < to {
			fmt.Fprintf(&path, "M%.2f 0H%.2fV%sH%.2fZ", from, to, fixed(chartHeight), from)
		}
	}
	return path.String()
}

func partText(p part) string {
	switch {
	case p.Excluded > 0.99:
		return "excluded " + spanText(p)
	case p.Coverage == 0:
		return "no data " + spanText(p)
	case p.Total <= 0 && p.Bad <= 0:
		return "no events " + spanText(p)
	}
	return humanize.Share(slo.BadShare(p.Bad, p.Total)) + " bad (" + humanize.Count(p.Bad) + " of " + humanize.Count(p.Total) + ") " + spanText(p)
}

func spanText(p part) string {
	return p.Start.UTC().Format("2 Jan 15:04") + " to " + p.End.UTC().Format("2 Jan 15:04")
}

// timeTicks are about six round times in UTC between two.
func timeTicks(start, end time.Time) []tick {
	const day = 24 * time.Hour
	var step time.Duration
	for _, step = range []time.Duration{
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		day, 2 * day, 5 * day, 10 * day, 20 * day, 60 * day,
	} {
		if 2*end.Sub(start) <= 13*step { // a window is up to a quarter of an hour longer than its name
			break
		}
	}
	layout := "15:04"
	if step >= day {
		layout = "2 Jan"
	} else if end.Sub(start) > day {
		layout = "2 Jan 15:04"
	}
	var out []tick
	for t := start.Truncate(step).Add(step); t.Before(end); t = t.Add(step) {
		at := 100 * float64(t.Sub(start)) / float64(end.Sub(start))
		tk := tick{At: fixed(at), Text: t.UTC().Format(layout), Anchor: "middle", Minor: len(out)%2 == 1}
		if at > 94 {
			tk.Anchor = "end"
		} else if at < 5 {
			tk.Anchor = "start"
		}
		out = append(out, tk)
	}
	return out
}
