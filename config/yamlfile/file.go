package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// File is one YAML file being read.
type File struct {
	name     string
	text     []byte
	lines    []string
	findings []Finding
}

// byteOrderMark is what some editors put before a text.
const byteOrderMark = "\ufeff"

// DefaultsName is the name of files that give defaults to the SLO files beside
// and below them.
const DefaultsName = "slowburn.defaults.yaml"

// Read starts to read a file; name is what findings call it. A byte order mark
// is no part of the text.
func Read(name string, text []byte) *File {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	return &File{name: name, text: text, lines: strings.Split(string(text), "\n")}
}

// Findings are all findings so far, sorted by place.
func (f *File) Findings() []Finding { return Sort(slices.Clone(f.findings)) }

// Documents are the top values of the file's documents; empty documents are
// left out. What is not YAML gives a finding.
func (f *File) Documents() []Value {
	if !utf8.Valid(f.text) {
		f.foreign()
		return nil
	}
	var docs []Value
	for d := yaml.NewDecoder(bytes.NewReader(f.text)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			f.syntax(err)
			return docs
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 && n.Content[0].Tag != "!!null" {
			docs = append(docs, Value{f, n.Content[0]})
		}
	}
}

// position is a place in the file, both 1-based, the column in characters.
type position struct{ line, column int }

func (f *File) add(s Severity, at position, width int, message, hint string) {
	at.line = min(at.line, len(f.lines)) // YAML knows line ends that nobody uses
	f.findings = append(f.findings, Finding{
		File: f.name, Line: at.line, Column: at.column, Width: max(width, 1),
		Severity: s, Message: message, Hint: hint, Snippet: f.line(at.line),
	})
}

// line is the text of a 1-based line without its line end.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return strings.TrimSuffix(f.lines[n-1], "\r")
}

// Line is the text of a 1-based line without its line end, "" beyond the file.
func Line(text []byte, n int) string {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	for ; n > 1; n-- {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r")))
}

// Value is one value of a file. The zero Value is one that is not there.
type Value struct {
	file *File
	node *yaml.Node
}

// Present reports whether the value is there and not null.
func (v Value) Present() bool { return v.node != nil && v.resolved().Tag != "!!null" }

// Line is the 1-based line where the value begins.
func (v Value) Line() int {
	if v.node == nil {
		return 0
	}
	return v.node.Line
}

// Column is the 1-based column where the value begins.
func (v Value) Column() int {
	if v.node == nil {
		return 0
	}
	return v.node.Column
}

func (v Value) resolved() *yaml.Node {
	n := v.node
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Errorf adds an error at the value.
func (v Value) Errorf(hint, format string, args ...any) {
	v.report(Error, hint, fmt.Sprintf(format, args...))
}

// Warnf adds a warning at the value.
func (v Value) Warnf(hint, format string, args ...any) {
	v.report(Warning, hint, fmt.Sprintf(format, args...))
}

func (v Value) report(s Severity, hint, message string) {
	if v.node == nil {
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
	width = min(width, max(1, utf8.RuneCountInString(v.file.line(at.line))-at.column+1))
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
	at := v.file.inside(n, span[0])
	width := 1
	if to := v.file.inside(n, span[1]); span[1] > span[0] && to.line == at.line {
		width = to.column - at.column
	}
	v.file.add(s, at, width, message, hint)
}

// Text is the value as text: a string, or a number as it is written.
func (v Value) Text() string {
	if !v.Present() {
		return ""
	}
	n := v.resolved()
	if n.Kind != yaml.ScalarNode {
		v.Errorf("", "expected text, found %s", kind(n))
		return ""
	}
	return n.Value
}

// Written is what the file says from where the value begins to the end of the
// line or to what ends a value within braces: for values that YAML reads as
// something else, such as > and !=.
func (v Value) Written() string {
	if v.node == nil {
		return ""
	}
	line := []rune(v.file.line(v.node.Line))
	text := string(line[min(v.node.Column-1, len(line)):])
	if end := strings.IndexAny(text, ",}#\r"); end >= 0 {
		text = text[:end]
	}
	return strings.TrimSpace(text)
}

// Bool is the value as true or false.
func (v Value) Bool() bool {
	if !v.Present() {
		return false
	}
	n := v.resolved()
	if n.Tag != "!!bool" {
		v.Errorf("", "expected true or false, found %s", kind(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// Number is the decimal text of a number, which the caller parses exactly.
func (v Value) Number() string {
	if !v.Present() {
		return ""
	}
	n := v.resolved()
	if n.Kind != yaml.ScalarNode || (n.Tag != "!!int" && n.Tag != "!!float") {
		v.Errorf("write it without quotes and without a unit", "expected a number, found %s", kind(n))
		return ""
	}
	return n.Value
}

// List is the values of a list.
func (v Value) List() []Value {
	if !v.Present() {
		return nil
	}
	n := v.resolved()
	if n.Kind != yaml.SequenceNode {
		v.Errorf(`begin each entry with "- "`, "expected a list, found %s", kind(n))
		return nil
	}
	out := make([]Value, len(n.Content))
	for i, c := range n.Content {
		out[i] = Value{v.file, c}
	}
	return out
}

// Decode decodes the value into a type of another package that reads YAML by
// itself, and reports whether it is there and could be. An error becomes a
// finding at the value.
func (v Value) Decode(into any) bool {
	if !v.Present() {
		return false
	}
	if err := v.node.Decode(into); err != nil {
		message := strings.TrimPrefix(err.Error(), "yaml: ")
		v.Errorf("", "%s", strings.Join(strings.Fields(message), " "))
		return false
	}
	return true
}

// Map is the value as a mapping whose keys are all among known; others are
// findings that name the nearest known key. Without known any key is fine.
func (v Value) Map(known ...string) Map {
	m := v.mapping(map[*yaml.Node]bool{})
	for _, e := range m.Entries {
		if len(known) == 0 || slices.Contains(known, e.Key.node.Value) {
			continue
		}
		hint := "known keys: " + strings.Join(known, ", ")
		if near := Nearest(e.Key.node.Value, known); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
			m.meant = append(m.meant, near)
		}
		e.Key.Errorf(hint, "unknown key %q", e.Key.node.Value)
	}
	return m
}

// Map is a mapping of a file, in the order of the file.
type Map struct {
	Entries []Entry
	self    Value
	meant   []string // keys that unknown ones were probably meant to be
}

// Entry is one key of a mapping with its value.
type Entry struct{ Key, Value Value }

// Get is the value of a key, the zero Value when it is not there.
func (m Map) Get(key string) Value {
	for _, e := range m.Entries {
		if e.Key.node.Value == key {
			return e.Value
		}
	}
	return Value{}
}

// Key is a key itself, for findings about it.
func (m Map) Key(key string) Value {
	for _, e := range m.Entries {
		if e.Key.node.Value == key {
			return e.Key
		}
	}
	return Value{}
}

// Has reports whether the key is there, with whatever value.
func (m Map) Has(key string) bool { return m.Key(key).node != nil }

// Require is Get, with an error at the mapping when the key is not there; a
// misspelt one has its error already.
func (m Map) Require(key string) Value {
	v := m.Get(key)
	if !v.Present() && m.self.node != nil && !slices.Contains(m.meant, key) {
		at := m.self
		if m.Has(key) {
			at = m.Key(key)
		}
		at.Errorf("", "%s is missing", key)
	}
	return v
}

// Texts is the mapping as text by key.
func (m Map) Texts() map[string]string {
	out := make(map[string]string, len(m.Entries))
	for _, e := range m.Entries {
		out[e.Key.Text()] = e.Value.Text()
	}
	return out
}

// mapping reads the keys, merges what "<<" names and finds repeated keys. Each
// mapping is merged once at most, seen or not: an anchor can name itself.
func (v Value) mapping(seen map[*yaml.Node]bool) Map {
	m := Map{self: v}
	if !v.Present() {
		return m
	}
	n := v.resolved()
	if n.Kind != yaml.MappingNode {
		v.Errorf("", "expected a mapping of keys to values, found %s", kind(n))
		return Map{}
	}
	seen[n] = true
	var merged []Value
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Value{v.file, n.Content[i]}, Value{v.file, n.Content[i+1]}
		switch {
		case key.node.Tag == "!!merge":
			merged = append(merged, value)
		case key.node.Kind != yaml.ScalarNode:
			key.Errorf("", "expected a key that is text, found %s", kind(key.node))
		case m.Has(key.node.Value):
			key.Errorf("", "key %q is repeated; it is in line %d already", key.node.Value, m.Key(key.node.Value).Line())
		default:
			m.Entries = append(m.Entries, Entry{key, value})
		}
	}
	for _, from := range merged {
		m.merge(from, seen)
	}
	return m
}

// merge adds the entries that a "<<" names and the mapping lacks.
func (m *Map) merge(from Value, seen map[*yaml.Node]bool) {
	parts := []Value{from}
	if from.resolved().Kind == yaml.SequenceNode {
		parts = from.List()
	}
	for _, part := range parts {
		if seen[part.resolved()] {
			continue
		}
		for _, e := range part.mapping(seen).Entries {
			if !m.Has(e.Key.node.Value) {
				m.Entries = append(m.Entries, e)
			}
		}
	}
}

// kind names a node's kind for people.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return kind(n.Alias)
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "the number " + n.Value
	}
	return fmt.Sprintf("the text %q", n.Value)
}

// IsMap reports whether the value is a mapping.
func (v Value) IsMap() bool { return v.node != nil && v.resolved().Kind == yaml.MappingNode }

// IsList reports whether the value is a list.
func (v Value) IsList() bool { return v.node != nil && v.resolved().Kind == yaml.SequenceNode }

// IsScalar reports whether the value is text or a number.
func (v Value) IsScalar() bool { return v.node != nil && v.resolved().Kind == yaml.ScalarNode }
