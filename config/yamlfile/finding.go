// Package yamlfile reads YAML that people write, and tells them all that is
// wrong with it in one go, each finding at its line and column.
//
// A use: walk the document by keys, ask each value for the type it should
// have, and look at the findings afterwards. A value of the wrong type gives a
// finding and a zero value, so the walk needs no error handling of its own.
//
//	f := yamlfile.Read("slowburn.yaml", text)
//	for _, doc := range f.Documents() {
//		m := doc.Map("web", "specs")
//		listen := m.Get("web").Map("listen").Get("listen").Text()
//	}
//	for _, finding := range f.Findings() { fmt.Println(finding.Text()) }
package yamlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity tells what must be mended from what is probably not meant.
type Severity string

// The severities of findings.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong in a file.
type Finding struct {
	File     string
	Line     int // 1-based; 0 when the finding is about the whole file
	Column   int // 1-based, in characters
	Width    int // how many characters it is about, at least 1
	Severity Severity
	Message  string
	Hint     string // what to do about it, or ""
	Snippet  string // the text of the line
	Source   string // what the file is part of, for readers of more than one
}

// String is the finding on one line: "file:line:col: message".
func (f Finding) String() string {
	message := f.Message
	if f.Severity == Warning {
		message = "warning: " + message
	}
	if f.Line == 0 {
		return printable(f.File + ": " + message)
	}
	return printable(fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, message))
}

// Text is the finding with the line of the file, a caret below the place and
// the hint, as a terminal shows it. It ends with a newline.
func (f Finding) Text() string {
	var b strings.Builder
	b.WriteString(f.String() + "\n")
	if f.Line > 0 && f.Snippet != "" {
		number := fmt.Sprintf("%5d", f.Line)
		fmt.Fprintf(&b, "%s | %s\n", number, printable(f.Snippet))
		fmt.Fprintf(&b, "%s | %s\n", strings.Repeat(" ", len(number)), f.carets())
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "  hint: %s\n", printable(f.Hint))
	}
	return b.String()
}

// carets stand below the part of the snippet that the finding is about.
func (f Finding) carets() string {
	var b strings.Builder
	line := []rune(f.Snippet)
	for i := range f.Column - 1 + max(f.Width, 1) {
		r := ' '
		if i < len(line) {
			r = line[i]
		}
		switch {
		case i >= f.Column-1:
			b.WriteString(strings.Repeat("^", max(cells(r), 1)))
		case r == '\t':
			b.WriteRune(r)
		default:
			b.WriteString(strings.Repeat(" ", cells(r)))
		}
	}
	return b.String()
}

// cells is how many columns of a terminal a character takes.
func cells(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xff01 && r <= 0xff60:
		return 2
	}
	return 1
}

// printable replaces what would move a terminal's cursor, or worse: files are
// other people's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Sort orders findings by file and place, and drops repeated ones.
func Sort(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(findings)
}

// HasErrors reports whether any of the findings is an error.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// Nearest is the known word that text was probably meant to be, or "".
func Nearest(text string, known []string) string {
	best, least := "", max(1, (utf8.RuneCountInString(text)+1)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(text), k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of single characters to insert, delete, replace or
// swap with their neighbour that makes a into b (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row := make([]int, len(t)+1)
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}
