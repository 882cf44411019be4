package yamlfile

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// stride is how many characters of a wide line are between two marks.
const stride = 256

// marksOf returns the byte of each stride-th character of the lines that are wide, by
// line. A whole file can be one line, with as many places as it has values.
func marksOf(lines []string) map[int][]int {
	out := map[int][]int{}
	for i, line := range lines {
		if len(line) <= stride {
			continue
		}
		n := 0
		for at := range line {
			if n%stride == 0 {
				out[i+1] = append(out[i+1], at)
			}
			n++
		}
	}
	return out
}

// mark returns the rest of a line from the last mark before a place on, and how many
// characters of it are before the place.
func (f *File) mark(at position) (rest string, before int) {
	rest, before = f.line(at.line), at.column-1
	if marks := f.marks[at.line]; marks != nil {
		i := min(before/stride, len(marks)-1)
		rest, before = rest[marks[i]:], before-i*stride
	}
	return rest, before
}

// from is the rest of the line that begins at a place.
func (f *File) from(at position) string {
	rest, before := f.mark(at)
	for range before {
		_, size := utf8.DecodeRuneInString(rest) // none at the end
		rest = rest[size:]
	}
	return rest
}

// begin is where a node's value begins, after an anchor or a tag.
func (f *File) begin(n *yaml.Node) position {
	at := position{n.Line, n.Column}
	rest := f.from(at)
	for rest != "" && (rest[0] == '&' || rest[0] == '!') {
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		next := strings.TrimLeft(rest[end:], " ")
		at.column += utf8.RuneCountInString(rest[:len(rest)-len(next)])
		rest = next
	}
	return at
}

// inside is where byte off of a scalar's decoded text stands in the file. All styles of YAML
// fold and indent by blanks only. So it walks over as many other characters as are before off.
func (f *File) inside(n *yaml.Node, off int) position {
	w := walker{file: f, style: n.Style}
	switch at := f.begin(n); {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		w.move(at.line+1, 1)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		w.move(at.line, at.column+1)
	default:
		w.move(at.line, at.column)
	}
	off = min(max(off, 0), len(n.Value))
	blanks := 0 // before off, after the last other character
	for _, r := range n.Value[:off] {
		if isBlank(r) {
			blanks++
			continue
		}
		blanks = 0
		w.skipBlanks()
		chars, _ := w.next()
		w.skip(chars)
	}
	if r, _ := utf8.DecodeRuneInString(n.Value[off:]); off < len(n.Value) && !isBlank(r) {
		w.skipBlanks()
		return w.at
	}
	for chars, blank := w.next(); blank && chars > 0 && blanks > 0; chars, blank = w.next() {
		w.skip(chars)
		blanks--
	}
	return w.at
}

// isBlank reports whether a character is one that folding adds or drops.
func isBlank(r rune) bool { return strings.ContainsRune(" \t\r\n\u0085\u2028\u2029", r) }

// walker is a place in the written text of a scalar.
type walker struct {
	file  *File
	style yaml.Style
	at    position
	rest  string // of the line, from at on
}

func (w *walker) move(line, column int) {
	w.at = position{line, column}
	w.rest = w.file.from(w.at)
}

// next returns how many characters stand for the next decoded one, 0 at the end of a line.
func (w *walker) next() (chars int, blank bool) {
	switch {
	case w.rest == "":
		return 0, true
	case w.style&yaml.DoubleQuotedStyle != 0 && w.rest == `\`: // the line's end is escaped
		return 1, true
	case w.style&yaml.DoubleQuotedStyle != 0 && w.rest[0] == '\\':
		return escapeLength(w.rest[1]), strings.IndexByte(" \trntNLP", w.rest[1]) >= 0
	case w.style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(w.rest, "''"):
		return 2, false
	}
	r, _ := utf8.DecodeRuneInString(w.rest)
	return 1, isBlank(r)
}

// skip moves over characters of the line.
func (w *walker) skip(n int) {
	for range n {
		_, size := utf8.DecodeRuneInString(w.rest) // none at the end
		w.rest = w.rest[size:]
		w.at.column++
	}
}

// skipBlanks moves to the next character that is no blank.
func (w *walker) skipBlanks() {
	for chars, blank := w.next(); blank; chars, blank = w.next() {
		switch {
		case chars > 0:
			w.skip(chars)
		case w.at.line < len(w.file.lines):
			w.move(w.at.line+1, 1)
		default:
			return
		}
	}
}

// escapeLength is the number of characters of an escape with this character
// after the backslash (YAML 1.2, section 5.7).
func escapeLength(c byte) int {
	switch c {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}
