package yamlfile

import (
	"fmt"
	"hash/maphash"
	"slices"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// MaxFindings is how many findings of one file are kept. The others are counted.
const MaxFindings = 100

// maxMessage is the length of a message or a hint in bytes.
const maxMessage = 500

// kept are the findings of one severity, each once.
type kept struct {
	list []Finding
	seen map[uint64]bool // hashes of all
}

// position is a place in the file, both 1-based, the column in characters.
type position struct{ line, column int }

// claim identifies a finding among those of one severity.
type claim struct {
	at            position
	start         int // within a text
	message, hint string
}

var claimSeed = maphash.MakeSeed()

// of are the findings of a severity.
func (f *File) of(s Severity) *kept {
	if s == Error {
		return &f.errors
	}
	return &f.warnings
}

// admit counts a finding, and reports whether it is new and one of those to keep.
func (f *File) admit(s Severity, c claim) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, hash := f.of(s), maphash.Comparable(claimSeed, c)
	if k.seen[hash] {
		return false
	}
	if k.seen == nil {
		k.seen = map[uint64]bool{}
	}
	k.seen[hash] = true
	return len(k.seen) <= MaxFindings
}

// add keeps a finding that was admitted.
func (f *File) add(s Severity, at position, width int, message, hint string) {
	at.line = min(at.line, len(f.lines)) // YAML knows line ends that nobody uses
	found := Finding{
		File: f.name, Line: at.line, Column: at.column, Width: max(width, 1),
		Severity: s, Message: Cut(message, maxMessage), Hint: Cut(hint, maxMessage),
	}
	f.excerpt(&found)
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.of(s)
	k.list = append(k.list, found)
}

// Findings are the findings so far, sorted by place. Beyond MaxFindings, of which errors
// are the first to stay, the last one has the number of others.
func (f *File) Findings() []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs, warnings := len(f.errors.seen), len(f.warnings.seen)
	out := slices.Concat(f.errors.list, f.warnings.list)
	out = Sort(out[:min(len(out), MaxFindings)])
	moreErrors := max(0, errs-MaxFindings)
	if more := errs + warnings - len(out); more > 0 {
		out = append(out, More(f.name, moreErrors, more-moreErrors))
	}
	return out
}

// HasErrors reports whether any finding so far is an error.
func (f *File) HasErrors() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.errors.list) > 0
}

// Errorf adds an error at the value.
func (v Value) Errorf(hint, format string, args ...any) {
	v.report(Error, hint, sprintf(format, args))
}

// Warnf adds a warning at the value.
func (v Value) Warnf(hint, format string, args ...any) {
	v.report(Warning, hint, sprintf(format, args))
}

// sprintf formats a message, of texts that are not longer than it will be.
func sprintf(format string, args []any) string {
	for i, a := range args {
		if text, is := a.(string); is && len(text) > maxMessage {
			args[i] = Cut(text, maxMessage)
		}
	}
	return fmt.Sprintf(format, args...)
}

func (v Value) report(s Severity, hint, message string) {
	if v.node == nil || !v.file.admit(s, claim{position{v.node.Line, v.node.Column}, -1, message, hint}) {
		return
	}
	width := 1
	if v.node.Kind == yaml.ScalarNode && v.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		width = utf8.RuneCountInString(v.node.Value)
		if v.node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			width += 2
		}
	}
	at := v.file.begin(v.node)
	width = min(width, max(1, utf8.RuneCountInString(v.file.from(at))))
	v.file.add(s, at, width, message, hint)
}

// ErrorInside adds an error about the bytes start to end of the value's text,
// pointing at their place in the file whatever the style of the scalar.
func (v Value) ErrorInside(start, end int, hint, message string) {
	v.reportInside(Error, [2]int{start, end}, hint, message)
}

// WarnInside is ErrorInside with a warning.
func (v Value) WarnInside(start, end int, hint, message string) {
	v.reportInside(Warning, [2]int{start, end}, hint, message)
}

func (v Value) reportInside(s Severity, span [2]int, hint, message string) {
	n := v.resolved()
	if !v.file.admit(s, claim{position{n.Line, n.Column}, span[0], message, hint}) {
		return
	}
	at := v.file.inside(n, span[0])
	width := 1
	if to := v.file.inside(n, span[1]); span[1] > span[0] && to.line == at.line {
		width = to.column - at.column
	}
	v.file.add(s, at, width, message, hint)
}

// reportAt adds an error at a place.
func (f *File) reportAt(at position, message, hint string) {
	if f.admit(Error, claim{at, -1, message, hint}) {
		f.add(Error, at, 1, message, hint)
	}
}
