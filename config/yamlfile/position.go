package yamlfile

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// cursor is a place in the file and the byte of its line.
type cursor struct {
	position
	offset int
}

// offset is the byte of a line at which a column begins, or the line's length. It is found
// from the place before, for there are wide lines with many places.
func (f *File) offset(at position) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	line := f.line(at.line)
	c := &f.cursor
	if c.line != at.line {
		*c = cursor{position: position{at.line, 1}}
	}
	for c.column < at.column && c.offset < len(line) {
		_, size := utf8.DecodeRuneInString(line[c.offset:])
		c.offset += size
		c.column++
	}
	for c.column > at.column && c.offset > 0 {
		_, size := utf8.DecodeLastRuneInString(line[:c.offset])
		c.offset -= size
		c.column--
	}
	return c.offset
}

// from is the rest of the line that begins at a place.
func (f *File) from(at position) string { return f.line(at.line)[f.offset(at):] }

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

// inside is where byte off of a scalar's decoded text stands in the file. It
// walks the decoded and the written text side by side, by the rules of
// each style of YAML for folding, escapes and indentation.
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
	rest   string // of the line, from at on
	text   int    // bytes of rest that are not trailing blanks
}

func (w *walker) isBlock() bool { return w.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

func (w *walker) move(line, column int) {
	w.at = position{line, column}
	w.rest = w.file.from(w.at)
	w.text = len(strings.TrimRight(w.rest, " \t"))
}

// skip moves over characters of the line.
func (w *walker) skip(n int) {
	for range n {
		_, size := utf8.DecodeRuneInString(w.rest) // none at the end
		w.rest = w.rest[size:]
		w.text -= size
		w.at.column++
	}
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
	switch {
	case w.style&yaml.DoubleQuotedStyle != 0 && len(w.rest) > 1 && w.rest[0] == '\\':
		w.skip(escapeLength(w.rest[1]))
	case w.style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(w.rest, "''"):
		w.skip(2)
	default:
		w.skip(1)
	}
}

// nextLine moves to where the text goes on after a line's end. Folding styles
// write one space for a line end and drop the blanks around it.
func (w *walker) nextLine(decoded rune) {
	next := w.at.line + 1
	if w.isBlock() {
		if w.style&yaml.FoldedStyle != 0 && decoded == '\n' && w.file.line(next) == "" {
			next++ // a folded line feed is written as a blank line
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
		return w.rest == ""
	}
	return w.text <= 0
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
