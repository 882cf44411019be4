// Package terminal writes reports, proofs and backtests as text: for a terminal of any
// width, for a file, and as Markdown. It reads results and decides nothing about SLOs.
//
// It may import what it shows (slo, evaluator, alerting) and dashboards/summary. A use:
//
//	err := terminal.Table(os.Stdout, report, terminal.NewScreen(os.Stdout, false))
package terminal

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Screen is the place that a text is written for. The zero Screen is a file.
type Screen struct {
	Width   int  // in characters; 0 for any
	Colours bool // escape sequences may be used
}

// NewScreen returns the screen of a writer. It has a width and colours only when the
// writer is a terminal, and no colours when the user wants none (https://no-color.org).
func NewScreen(w io.Writer, withoutColours bool) Screen {
	f, ok := terminalOf(w)
	if !ok {
		return Screen{}
	}
	return Screen{Width: widthOf(f), Colours: !withoutColours && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// terminalOf returns the terminal that a writer writes to.
func terminalOf(w io.Writer) (*os.File, bool) {
	f, isFile := w.(*os.File)
	return f, isFile && term.IsTerminal(int(f.Fd()))
}

// widthOf returns the width of a terminal, 0 when it is unknown.
func widthOf(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

type colour string

// The escape sequences of colours.
const (
	noColour colour = ""
	red      colour = "\x1b[31m"
	yellow   colour = "\x1b[33m"
	grey     colour = "\x1b[90m"

	reset = "\x1b[0m"
)

// line returns a line that fits the screen.
func (sc Screen) line(c colour, text string) string {
	if runes := []rune(text); sc.Width > 1 && len(runes) > sc.Width {
		text = string(runes[:sc.Width-1]) + "…"
	}
	if c != noColour && sc.Colours {
		text = string(c) + text + reset
	}
	return text + "\n"
}

// page is a text in the making.
type page struct {
	strings.Builder
	screen Screen
}

func (p *page) line(c colour, text string) { p.WriteString(p.screen.line(c, text)) }

func (p *page) title(text string) {
	p.WriteByte('\n')
	p.line(noColour, text)
}

// grid writes columns, with their heads if they have any.
func (p *page) grid(columns ...column) {
	head, rows := layOut(columns)
	if head != "" {
		rows = append([]string{head}, rows...)
	}
	for _, row := range rows {
		p.line(noColour, " "+row)
	}
}

// printable replaces the characters of foreign text that would move the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// plain returns a humanized number in the characters of a keyboard, for grep and for
// terminals.
func plain(number string) string {
	return strings.NewReplacer(humanize.Space, " ", humanize.Minus, "-", humanize.Dash, "-").Replace(number)
}

// count returns a number of events, or of anything else that is counted.
func count[T int | float64](n T) string { return plain(humanize.Count(float64(n))) }

func durationText(d time.Duration) string { return plain(humanize.Duration(d)) }

// secondText returns the instant of a sample.
func secondText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }
