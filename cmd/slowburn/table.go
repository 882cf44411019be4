package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// palette are the escape sequences of a terminal; empty without colours.
type palette struct{ red, yellow, green, grey, reset string }

// colours is the palette of a writer: empty unless it is a terminal, or when
// the user wants none (https://no-color.org).
func colours(w io.Writer, off bool) palette {
	f, isFile := w.(*os.File)
	if off || os.Getenv("NO_COLOR") != "" || !isFile {
		return palette{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return palette{}
	}
	return palette{red: "\x1b[31m", yellow: "\x1b[33m", green: "\x1b[32m", grey: "\x1b[90m", reset: "\x1b[0m"}
}

// printTable prints a line per SLO, those with an alert marked first.
func printTable(w io.Writer, r *evaluator.Report, p palette) error {
	rows := [][]string{{" ", "SERVICE", "SLO", "OBJECTIVE", "WINDOW", "SLI", "BUDGET LEFT", "BURN 1h", "ENDS IN", "ALERTS"}}
	colour := []string{""}
	for i := range r.SLOs {
		s := &r.SLOs[i]
		mark, c := markOf(s, p)
		rows = append(rows, append([]string{mark, s.Service, s.SLO, percent(s.Objective), s.Window}, numbersOf(s)...))
		colour = append(colour, c)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			if i > 0 {
				line.WriteString(" ")
			}
			line.WriteString(" ")
		}
		text := strings.TrimRight(line.String(), " ")
		if colour[n] != "" {
			text = colour[n] + text + p.reset
		}
		b.WriteString(text + "\n")
	}
	fmt.Fprintf(&b, "\nat %s%s\n", r.EvaluatedAt.Format("2006-01-02 15:04 MST"), sourcesOf(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// sourcesOf names the commits that are shown.
func sourcesOf(r *evaluator.Report) string {
	var out []string
	seen := map[string]bool{}
	for _, s := range r.SLOs {
		text := fmt.Sprintf("%s at commit %.12s", s.Source, s.Revision)
		if s.Revision != "" && !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ", " + strings.Join(out, ", ")
}

// markOf is a row's first character and colour: ! for a page or a spent budget,
// ~ for a ticket, ? for what is not known.
func markOf(s *evaluator.Status, p palette) (mark, colour string) {
	severity := ""
	for _, a := range s.Alerts {
		if severity != "page" {
			severity = a.Severity
		}
	}
	switch {
	case severity == "page" || s.Budget.Remaining != nil && *s.Budget.Remaining <= 0:
		return "!", p.red
	case severity == "ticket":
		return "~", p.yellow
	case s.State != evaluator.StateOK:
		return "?", p.grey
	}
	return " ", p.green
}

func numbersOf(s *evaluator.Status) []string {
	if len(s.Windows) == 0 || s.Budget.Remaining == nil {
		return []string{stateText(s), "-", "-", "-", alertText(s)}
	}
	own := s.Windows[len(s.Windows)-1]
	sli := "-"
	if own.SLI != nil {
		sli = percent(*own.SLI)
	}
	if s.State != evaluator.StateOK {
		sli = stateText(s)
	}
	burn := "-"
	for _, w := range s.Windows {
		if w.Seconds == 3600 && w.BurnRate != nil {
			burn = strconv.FormatFloat(*w.BurnRate, 'f', 1, 64)
		}
	}
	left := *s.Budget.Remaining
	return []string{sli, fmt.Sprintf("%6s  %s", whole(left), bar(left)), burn, endsIn(s), alertText(s)}
}

func stateText(s *evaluator.Status) string {
	text := strings.ReplaceAll(string(s.State), "_", " ")
	if s.StateSince != nil && s.State != evaluator.StateOK {
		text += " since " + s.StateSince.Format("Jan 2 15:04")
	}
	return text
}

func alertText(s *evaluator.Status) string {
	var out []string
	for _, a := range s.Alerts {
		out = append(out, a.Severity+" since "+a.Since.Format("Jan 2 15:04"))
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

func endsIn(s *evaluator.Status) string {
	switch at := s.Budget.ExhaustedInSeconds; {
	case *s.Budget.Remaining <= 0:
		return "spent"
	case at == nil:
		return "-"
	default:
		return span(time.Duration(*at) * time.Second)
	}
}

// span prints a duration with its two largest units.
func span(d time.Duration) string {
	days, hours, minutes := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
	return fmt.Sprintf("%d min", minutes)
}

// percent prints a ratio with the digits that tell it from 100 %: two of those
// behind the nines. It never rounds up to 100.
func percent(ratio float64) string {
	digits := 2
	if rest := 1 - ratio; rest > 0 && rest < 0.1 {
		digits = min(9, int(math.Ceil(-math.Log10(rest)-1e-9)))
	}
	text := strconv.FormatFloat(math.Floor(ratio*100*math.Pow10(digits)+1e-6)/math.Pow10(digits), 'f', digits, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " %"
}

func whole(ratio float64) string {
	return strconv.FormatFloat(math.Floor(ratio*100+1e-9), 'f', 0, 64) + " %"
}

func bar(ratio float64) string {
	const width = 10
	full := int(min(max(ratio, 0), 1) * width)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
