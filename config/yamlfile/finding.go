// Package yamlfile reads YAML that people write, and finds all that is
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

	"github.com/hbollon/go-edlib"
	"github.com/mattn/go-runewidth"
)

// Severity is Error for a mistake and Warning for something that is probably one.
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
	Snippet  string // the text of the line, or of a wide one what is around the place
	Cut      int    // how many characters of the line are missing before Snippet
	Source   string // what the file is part of, for readers of more than one
	More     int    // how many findings that are not shown it stands for

	moreErrors int // of More
}

// More is the finding that there are more in a file, or in all files for no name, than
// are shown.
func More(file string, errors, warnings int) Finding {
	f := Finding{File: file, Severity: Warning, More: errors + warnings, moreErrors: errors}
	if errors > 0 {
		f.Severity = Error
	}
	where := "of all files"
	if file != "" {
		where = "in this file"
	}
	var counts []string
	if errors > 0 {
		counts = append(counts, counted(errors, "error"))
	}
	if warnings > 0 {
		counts = append(counts, counted(warnings, "warning"))
	}
	f.Message = fmt.Sprintf("%s more %s are not shown", strings.Join(counts, " and "), where)
	return f
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Cut is text of at most so many bytes, with "..." where it was longer.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("...")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}

// The excerpt of a wide line, in characters: how many are before the place, and how many
// there are in all.
const (
	excerptBefore = 60
	excerptWidth  = 200
)

// excerpt gives a finding the text of its line.
func (f *File) excerpt(found *Finding) {
	line := f.line(found.Line)
	found.Snippet = line
	if len(line) <= excerptWidth {
		return
	}
	first := max(1, found.Column-excerptBefore)
	rest := f.from(position{found.Line, first})
	end, n := 0, 0
	for end < len(rest) && n < excerptWidth {
		_, size := utf8.DecodeRuneInString(rest[end:])
		end, n = end+size, n+1
	}
	found.Width = max(1, min(found.Width, first+n-found.Column))
	found.Snippet = rest[:end]
	if end < len(rest) {
		found.Snippet += "..."
	}
	if first > 1 {
		found.Snippet, found.Cut = "..."+found.Snippet, first-1-len("...")
	}
}

// String is the finding on one line: "file:line:col: message".
func (f Finding) String() string {
	message := f.Message
	if f.Severity == Warning {
		message = "warning: " + message
	}
	switch {
	case f.Line == 0 && f.File == "":
		return printable(message)
	case f.Line == 0:
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
	line := []rune(f.Snippet)
	begin := min(max(f.Column-f.Cut, 1)-1, len(line))
	end := min(begin+f.Width, len(line))
	var width runewidth.Condition // of no country
	before := strings.Split(string(line[:begin]), "\t")
	for i, text := range before {
		before[i] = strings.Repeat(" ", width.StringWidth(text))
	}
	return strings.Join(before, "\t") + strings.Repeat("^", max(1, width.StringWidth(string(line[begin:end]))))
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

// Sort orders findings by file and place, and drops repeated ones. What stands for more is
// the last of its file.
func Sort(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.File, b.File), cmp.Compare(a.More, b.More), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(findings)
}

// HasErrors reports whether any of the findings is an error.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// AtMost are n of the findings of many files: where there are more, an error of each source,
// then other errors, then warnings. The last one has the number of others.
func AtMost(n int, findings []Finding) []Finding {
	if len(findings) <= n {
		return findings
	}
	var ranked [3][]Finding
	seen := map[string]bool{} // an error of each source
	for _, f := range findings {
		rank := 1
		switch {
		case f.Severity == Warning:
			rank = 2
		case !seen[f.Source]:
			rank = 0
			seen[f.Source] = true
		}
		ranked[rank] = append(ranked[rank], f)
	}
	out := slices.Concat(ranked[:]...)[:n]
	errors, warnings := Count(findings)
	shownErrors, shownWarnings := Count(out)
	more := More("", errors-shownErrors, warnings-shownWarnings)
	more.Severity = Warning // no source has it
	return append(Sort(out), more)
}

// Count counts findings, with those that others stand for.
func Count(findings []Finding) (errors, warnings int) {
	for _, f := range findings {
		errors += f.errors()
		warnings += max(1, f.More) - f.errors()
	}
	return errors, warnings
}

func (f Finding) errors() int {
	switch {
	case f.More > 0:
		return f.moreErrors
	case f.Severity == Error:
		return 1
	}
	return 0
}

// Nearest is the known word that text was probably meant to be, or "".
func Nearest(text string, known []string) string {
	length := utf8.RuneCountInString(text)
	best, least := "", max(1, (length+1)/3)+1
	for _, k := range known {
		if apart := length - utf8.RuneCountInString(k); apart >= least || -apart >= least {
			continue
		}
		if d := edlib.OSADamerauLevenshteinDistance(strings.ToLower(text), k); d < least {
			best, least = k, d
		}
	}
	return best
}
