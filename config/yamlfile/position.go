package yamlfile

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// begin is where a node's value begins, behind an anchor or a tag.
func (f *File) begin(n *yaml.Node) position {
	at := position{n.Line, n.Column}
	line := []rune(f.line(at.line))
	for at.column <= len(line) && (line[at.column-1] == '&' || line[at.column-1] == '!') {
		for at.column <= len(line) && line[at.column-1] != ' ' {
			at.column++
		}
		for at.column <= len(line) && line[at.column-1] == ' ' {
			at.column++
		}
	}
	return at
}

// inside is where byte off of a scalar's decoded text stands in the file. It
// walks the decoded and the written text side by side, and so knows what each
// style of YAML folds, escapes and indents.
func (f *File) inside(n *yaml.Node, off int) position {
	w := walker{file: f, style: n.Style}
	at := f.begin(n)
	text := n.Value[:min(max(off, 0), len(n.Value))]
	switch {
	case w.isBlock():
		w.block(n.Value, at.line)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		w.move(at.line, at.column+1)
	default:
		w.move(at.line, at.column)
	}
	for _, r := range text {
		w.step(r)
	}
	if w.ended() && off < len(n.Value) {
		w.step(' ') // the next character stands on the next line
	}
	return w.at
}

// walker is a place in the written text of a scalar.
type walker struct {
	file   *File
	style  yaml.Style
	indent int // of a block scalar
	at     position
	line   []rune // the line of at
	text   int    // characters of the line that are not trailing blanks
}

func (w *walker) isBlock() bool { return w.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

func (w *walker) move(line, column int) {
	s := w.file.line(line)
	w.at, w.line = position{line, column}, []rune(s)
	w.text = utf8.RuneCountInString(strings.TrimRight(s, " \t"))
}

// block moves to the first character of a block scalar whose header is in line.
func (w *walker) block(value string, line int) {
	first := strings.TrimLeft(value, "\n")
	lead := len(first) - len(strings.TrimLeft(first, " "))
	for at := line + 1 + len(value) - len(first); at <= len(w.file.lines); at++ {
		if s := w.file.line(at); strings.TrimSpace(s) != "" {
			w.indent = max(0, len(s)-len(strings.TrimLeft(s, " "))-lead)
			break
		}
	}
	w.move(line+1, w.indent+1)
}

// step moves over what stands for one decoded character.
func (w *walker) step(decoded rune) {
	if w.ended() {
		w.nextLine(decoded)
		return
	}
	rest := w.line[min(w.at.column-1, len(w.line)):]
	switch {
	case w.style&yaml.DoubleQuotedStyle != 0 && len(rest) > 1 && rest[0] == '\\':
		w.at.column += escapeLength(rest[1])
	case w.style&yaml.SingleQuotedStyle != 0 && len(rest) > 1 && rest[0] == '\'' && rest[1] == '\'':
		w.at.column += 2
	default:
		w.at.column++
	}
}

// nextLine moves to where the text goes on after a line's end. Folding styles
// write one space for a line end and drop the blanks around it.
func (w *walker) nextLine(decoded rune) {
	next := w.at.line + 1
	if w.isBlock() {
		if w.style&yaml.FoldedStyle != 0 && decoded == '\n' && w.file.line(next) == "" {
			next++ // a blank line is what a folded line feed is written as
		}
		w.move(next, w.indent+1)
		return
	}
	for next < len(w.file.lines) && strings.TrimSpace(w.file.line(next)) == "" {
		next++
	}
	s := w.file.line(next)
	w.move(next, len(s)-len(strings.TrimLeft(s, " \t"))+1)
}

// ended reports whether the rest of the line holds no more text.
func (w *walker) ended() bool {
	if w.at.line >= len(w.file.lines) {
		return false
	}
	if w.isBlock() {
		return w.at.column > len(w.line)
	}
	return w.at.column > w.text
}

// escapeLength is the number of characters of an escape with this character
// behind the backslash (YAML 1.2, section 5.7).
func escapeLength(r rune) int {
	switch r {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}
