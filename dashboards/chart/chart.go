// Package chart makes pictures of budgets and burn rates, for pages and for reports: the paths,
// places and texts of an SVG, which a template writes.
//
// It may import slo, evaluator and dashboards/summary. A use:
//
//	templates.ExecuteTemplate(w, "bar", chart.NewBar(status))
package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/dashboards/summary"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Chart is a picture over an SLO's window. It is 1000 wide and chartHeight high, and is
// stretched to the width of the page. Ticks are outside of the stretched part.
type Chart struct {
	Label      string // its content in words, for those who can't see it
	Line, Area string // paths, "" when there is none
	Over       string // path of the part above the rule, or below it for a budget
	Rule       string // y of the line that separates good from bad
	Gaps       string // path of the time without data
	Excluded   string // path of the excluded time
	Hits       []Hit  // one for each part, with its numbers
	Y          []Tick
	X          []Tick
}

// Tick is a place on an axis: a y in pixels or an x in percent.
type Tick struct {
	At, Text, Anchor string
	Minor            bool // left out where there is little room
}

// Hit is a part of the time that shows its numbers when pointed at.
type Hit struct {
	X, Width, Text string
}

const (
	chartParts  = 120
	chartWidth  = 1000.0
	chartHeight = 180.0
)

// Budget returns how the budget of this window was spent: all of it at the start, the rest
// of it at the end. It is nil without history.
func Budget(st *evaluator.Status) *Chart {
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
	c := &Chart{Rule: fixed(y(0)), X: timeTicks(parts[0].Start, wholeEnd(st, parts)), Excluded: excludedPath(st, parts)}
	for v := 1.0; v >= bottom-1e-9; v -= step {
		c.Y = append(c.Y, Tick{At: fixed(y(v)), Text: humanize.Percent(&v)})
	}
	if step > 1 { // zero is between two steps
		c.Y = append(c.Y, Tick{At: fixed(y(0)), Text: "0" + humanize.Space + "%"})
	}
	c.drawLeft(parts, left, width, y)
	c.Label = "Budget remaining, from 100 % at " + parts[0].Start.UTC().Format("2 Jan 15:04") + " to " +
		humanize.Percent(&left[len(left)-1]) + " at " + parts[len(parts)-1].End.UTC().Format("2 Jan 15:04") + " UTC"
	return c
}

// drawLeft draws the budget left after each part, where that is known.
func (c *Chart) drawLeft(parts []part, left []float64, width float64, y func(float64) float64) {
	each := width / float64(len(parts))
	var line, area, over strings.Builder
	drawn := false // the part before
	end := func() {
		area.WriteString("V" + c.Rule + "Z")
		over.WriteString("V" + c.Rule + "Z")
	}
	for i, p := range parts {
		from, to := fixed(each*float64(i)), fixed(each*float64(i+1))
		known := p.Coverage > 0
		if drawn && !known {
			end()
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
		end()
	}
	c.Line, c.Area, c.Over = line.String(), area.String(), over.String()
}

// Errors returns the share of bad events in each part of the window, on a logarithmic scale
// with a line at the share that the objective allows. It is nil without history.
func Errors(st *evaluator.Status) *Chart {
	parts := merged(st.History, chartParts)
	if len(parts) == 0 {
		return nil
	}
	allowed := summary.Allowed(st)
	most, worst := 10.0, 0
	for i, p := range parts {
		if partBurn(p, allowed) > partBurn(parts[worst], allowed) {
			worst = i
		}
	}
	most = math.Max(most, 1.1*partBurn(parts[worst], allowed))
	y := func(burn float64) float64 { return chartHeight * (1 - logScale(burn, most)) }

	width := filled(st, parts)
	c := &Chart{Rule: fixed(y(1)), X: timeTicks(parts[0].Start, wholeEnd(st, parts)), Excluded: excludedPath(st, parts), Y: []Tick{{At: fixed(chartHeight), Text: "0" + humanize.Space + "%"}}}
	for burn := 1.0; burn <= most && burn*allowed <= 1; burn *= 10 {
		c.Y = append(c.Y, Tick{At: fixed(y(burn)), Text: humanize.Share(burn * allowed)})
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
func (c *Chart) addTop(at float64, text string) {
	const room = 16 // pixels of a line of text
	for _, t := range c.Y {
		if y, err := strconv.ParseFloat(t.At, 64); err != nil || math.Abs(y-at) < room {
			return
		}
	}
	c.Y = append(c.Y, Tick{At: fixed(at), Text: text})
}

// Shares returns the same as Errors for another time, given in parts, with its excluded
// spans.
func Shares(st *evaluator.Status, parts []evaluator.Bucket, excluded []slo.Span) *Chart {
	then := *st
	then.History, then.Excluded.Spans = parts, excluded
	then.Budget.PeriodStart, then.Budget.PeriodEnd = nil, nil
	return Errors(&then)
}

// wholeEnd returns the end of the window of parts. The end of a calendar period is to come.
func wholeEnd(st *evaluator.Status, parts []part) time.Time {
	if end := st.Budget.PeriodEnd; end != nil {
		return *end
	}
	return parts[len(parts)-1].End
}

// filled returns how much of a chart's width the parts take. The rest of a calendar period
// stays empty.
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

// add notes the text of part i, of a width, and whether it is unknown.
func (c *Chart) add(width float64, i int, p part, text string) {
	x := width * float64(i)
	if p.Coverage == 0 && p.Excluded <= 0.99 {
		text = "no data " + spanText(p)
		c.Gaps += fmt.Sprintf("M%.2f 0h%.2fv%sh-%.2fz", x, width, fixed(chartHeight), width)
	}
	c.Hits = append(c.Hits, Hit{X: fixed(x), Width: fixed(width), Text: text})
}

// excludedPath returns the excluded time of the window, to the minute.
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

// timeTicks returns about six round times in UTC between two.
func timeTicks(start, end time.Time) []Tick {
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
	var out []Tick
	for t := start.Truncate(step).Add(step); t.Before(end); t = t.Add(step) {
		at := 100 * float64(t.Sub(start)) / float64(end.Sub(start))
		tk := Tick{At: fixed(at), Text: t.UTC().Format(layout), Anchor: "middle", Minor: len(out)%2 == 1}
		if at > 94 {
			tk.Anchor = "end"
		} else if at < 5 {
			tk.Anchor = "start"
		}
		out = append(out, tk)
	}
	return out
}
