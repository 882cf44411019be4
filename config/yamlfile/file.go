package yamlfile

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// File is one YAML file being read. Several goroutines may read its values.
type File struct {
	name  string
	text  []byte
	lines []string
	marks map[int][]int // of wide lines

	mu       sync.Mutex
	errors   kept
	warnings kept
	maps     sync.Map // of those that cost much to read, by mapKey
	merged   int      // entries that "<<" added
}

type mapKey struct {
	node  *yaml.Node
	known string
}

// byteOrderMark is put before a text by some editors.
const byteOrderMark = "\ufeff"

// DefaultsName is the name of files that give defaults to the SLO files of their
// directory and below.
const DefaultsName = "slowburn.defaults.yaml"

// Read starts to read a file. Findings use name for it. A byte order mark
// is no part of the text.
func Read(name string, text []byte) *File {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	lines := strings.Split(string(text), "\n")
	return &File{name: name, text: text, lines: lines, marks: marksOf(lines)}
}

// Documents are the top values of the file's documents; empty documents are
// left out. What is not YAML gives a finding.
func (f *File) Documents() []Value {
	if !utf8.Valid(f.text) {
		f.foreign()
		return nil
	}
	var docs []Value
	err := decodeAll(bytes.NewReader(f.text), func(n *yaml.Node) {
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 && n.Content[0].Tag != "!!null" {
			docs = append(docs, Value{f, n.Content[0]})
		}
	})
	if err != nil {
		f.syntax(err)
	}
	return docs
}

// line is the text of a 1-based line without its line end.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return strings.TrimSuffix(f.lines[n-1], "\r")
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
	if len(n.Value) > MaxText {
		v.Errorf("", "the text is longer than %d KiB", MaxText>>10)
		return Cut(n.Value, MaxText+1)
	}
	if at := strings.IndexFunc(n.Value, isForbidden); at >= 0 {
		r, size := utf8.DecodeRuneInString(n.Value[at:])
		v.ErrorInside(at, at+size, "remove it", fmt.Sprintf("the text holds the control character %U", r))
	}
	return n.Value
}

// Filled is the value as text, which must have more than blanks.
func (v Value) Filled(what, hint string) string {
	text := v.Text()
	if strings.TrimSpace(text) != "" {
		return text
	}
	if v.Present() && v.IsScalar() {
		v.Errorf(hint, "%s is empty", what)
	}
	return ""
}

// nameForm matches what can be part of a URL and of an slo_id.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Name is the value as a name of something.
func (v Value) Name(what string) string {
	text := v.Filled(what, "")
	if text != "" && !nameForm.MatchString(text) {
		v.Errorf("use a-z, 0-9, - and _, at most 63 of them, the first a letter or a digit", "%s %q is not a valid name", what, text)
	}
	return text
}

// OneOf is the value as one of a few words; others give an error and "".
func (v Value) OneOf(what string, words ...string) string {
	text := v.Text()
	if !v.IsScalar() || !v.Present() || slices.Contains(words, text) {
		return text
	}
	hint := "write one of: " + strings.Join(words, ", ")
	if near := Nearest(text, words); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	v.Errorf(hint, "%s %q is unknown", what, text)
	return ""
}

// MaxText is how long a text may be, in bytes.
const MaxText = 16 << 10

// isForbidden reports whether a character is one that no text needs and YAML may not
// hold: of those that control, only tabs and line ends have a use.
func isForbidden(r rune) bool {
	const byteOrder, none, last = '\ufeff', '\ufffe', '\uffff'
	switch r {
	case '\t', '\n', '\r':
		return false
	case byteOrder, none, last:
		return true
	}
	return unicode.IsControl(r)
}

// OneLine is the value as text on one line, for what becomes a label or a name.
func (v Value) OneLine() string {
	text := v.Text()
	if at := strings.IndexAny(text, "\t\n\r\u2028\u2029"); at >= 0 {
		_, size := utf8.DecodeRuneInString(text[at:])
		v.ErrorInside(at, at+size, "", "the text must be on one line, without tabs")
	}
	return text
}

// Target is the value that an alias stands for, or the value itself. As a key of a map it
// identifies a value of a file.
func (v Value) Target() Value {
	if v.node == nil {
		return v
	}
	return Value{v.file, v.resolved()}
}

// In reports whether a file holds the value.
func (v Value) In(f *File) bool { return v.file == f }

// Len is the number of entries of a list or a mapping.
func (v Value) Len() int {
	switch {
	case v.IsList():
		return len(v.resolved().Content)
	case v.IsMap():
		return len(v.resolved().Content) / 2
	}
	return 0
}

// Written returns the text of the file from the beginning of the value to the end of
// the line, or to the end of a value within braces. It serves values that YAML reads
// as something else, such as > and !=.
func (v Value) Written() string {
	if v.node == nil {
		return ""
	}
	text := v.file.from(position{v.node.Line, v.node.Column})
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
// finding at the value, with a hint.
func (v Value) Decode(into any, hint string) bool {
	if !v.Present() {
		return false
	}
	if err := v.node.Decode(into); err != nil {
		message := strings.TrimPrefix(err.Error(), "yaml: ")
		v.Errorf(hint, "%s", strings.Join(strings.Fields(message), " "))
		return false
	}
	return true
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
		return "the number " + Cut(n.Value, maxMessage)
	}
	return fmt.Sprintf("the text %q", Cut(n.Value, maxMessage))
}

// IsMap reports whether the value is a mapping.
func (v Value) IsMap() bool { return v.node != nil && v.resolved().Kind == yaml.MappingNode }

// IsList reports whether the value is a list.
func (v Value) IsList() bool { return v.node != nil && v.resolved().Kind == yaml.SequenceNode }

// IsScalar reports whether the value is text or a number.
func (v Value) IsScalar() bool { return v.node != nil && v.resolved().Kind == yaml.ScalarNode }
