package yamlfile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// operator is one that YAML takes for something else.
var operator = regexp.MustCompile(`: *(>=|!=|>)`)

// syntax turns the library's error into a finding. The error has a line at
// most, and that of the list or mapping around the mistake.
func (f *File) syntax(err error) {
	message, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		message = m[2]
		line, _ = strconv.Atoi(m[1]) // 0 when it has none
	}
	if at := f.mistake(); at > 0 {
		line = at
	}
	line = min(max(line, 1), len(f.lines))
	text := f.line(line)
	blank := len(text) - len(strings.TrimLeft(text, " \t"))
	column, hint := blank+1, ""
	switch {
	case strings.Contains(text[:blank], "\t"):
		column, hint = strings.Index(text, "\t")+1, "indent with spaces; YAML does not allow tabs"
	case strings.HasPrefix(message, "mapping values are not allowed") && strings.Count(text, ": ") > 1:
		first := strings.Index(text, ": ") + 2
		column = utf8.RuneCountInString(text[:first+strings.Index(text[first:], ": ")]) + 1
		hint = `put text with ": " in it in quotes`
	case operator.MatchString(text):
		hint = `put an operator in quotes, as in op: ">="`
	case strings.HasPrefix(message, "did not find expected") && strings.ContainsAny(text, `"'{[`):
		hint = "is a quote or a bracket left open? Put text that holds quotes or braces, such as a query, in single quotes"
	}
	f.reportAt(position{line, column}, "not YAML: "+message, hint)
}

// mistakeWork bounds how many bytes are read in search of a mistake.
const mistakeWork = 1 << 20

// mistake is the line of a syntax error: the last one whose lines above are
// YAML by themselves, up to where the library gave up. It is 0 when that is not
// found.
func (f *File) mistake() int {
	r := &lineReader{lines: f.lines}
	ignore := func(*yaml.Node) {}
	_ = decodeAll(r, ignore)
	size := 0 // of the lines before n
	for _, line := range f.lines[:max(r.next-1, 0)] {
		size += len(line) + 1
	}
	for n, work := r.next, mistakeWork; n > 0 && work > size; n-- {
		if decodeAll(bytes.NewReader(f.text[:size]), ignore) == nil {
			return n
		}
		work -= size
		if n > 1 {
			size -= len(f.lines[n-2]) + 1
		}
	}
	return 0
}

// decodeAll calls f for each document, up to an error.
func decodeAll(r io.Reader, f func(*yaml.Node)) error {
	for d := yaml.NewDecoder(r); ; {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		f(&n)
	}
}

// lineReader gives one line at a time, to count how many are read.
type lineReader struct {
	lines []string
	next  int
	rest  []byte
}

// Read implements io.Reader.
func (r *lineReader) Read(to []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next == len(r.lines) {
			return 0, io.EOF
		}
		r.rest = []byte(r.lines[r.next] + "\n")
		r.next++
	}
	n := copy(to, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// foreign finds the first character that is not UTF-8.
func (f *File) foreign() {
	at := 0
	for at < len(f.text) {
		r, size := utf8.DecodeRune(f.text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	line := f.text[bytes.LastIndexByte(f.text[:at], '\n')+1 : at]
	f.reportAt(position{bytes.Count(f.text[:at], []byte("\n")) + 1, utf8.RuneCount(line) + 1},
		"the file is not UTF-8 text", "save it as UTF-8")
}
