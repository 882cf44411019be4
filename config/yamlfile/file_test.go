package yamlfile

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// texts are all findings of a file as a terminal shows them.
func texts(f *File) string {
	var b strings.Builder
	for _, finding := range f.Findings() {
		b.WriteString(finding.Text())
	}
	return b.String()
}

func TestFindings(t *testing.T) {
	tests := []struct {
		name, in string
		walk     func(Value)
		want     string
	}{
		{"unknown key", "servce: a\nowner: b\n", func(v Value) { v.Map("service", "owner") },
			`f.yaml:1:1: unknown key "servce"
    1 | servce: a
      | ^^^^^^
  hint: did you mean "service"? known keys: service, owner
`},
		{"repeated key", "a: 1\nb: 2\na: 3\n", func(v Value) { v.Map("a", "b") },
			`f.yaml:3:1: key "a" is repeated; it is in line 1 already
    3 | a: 3
      | ^
`},
		{"wrong types", "a: [x]\nb: \"7\"\nc: {d: e}\n", func(v Value) {
			m := v.Map("a", "b", "c")
			m.Get("a").Text()
			m.Get("b").Number()
			m.Get("c").List()
		},
			`f.yaml:1:4: expected text, found a list
    1 | a: [x]
      |    ^
f.yaml:2:4: expected a number, found the text "7"
    2 | b: "7"
      |    ^^^
  hint: write it without quotes and without a unit
f.yaml:3:4: expected a list, found a mapping
    3 | c: {d: e}
      |    ^
  hint: begin each entry with "- "
`},
		{"missing and null", "m:\n  a:\n", func(v Value) {
			m := v.Map("m").Get("m").Map("a", "b")
			m.Require("a")
			m.Require("b")
		},
			`f.yaml:2:3: a is missing
    2 |   a:
      |   ^
f.yaml:2:3: b is missing
    2 |   a:
      |   ^
`},
		{"misspelt and required", "servce: a\n", func(v Value) { v.Map("service", "owner").Require("service") },
			`f.yaml:1:1: unknown key "servce"
    1 | servce: a
      | ^^^^^^
  hint: did you mean "service"? known keys: service, owner
`},
		{"byte order mark", "\ufeffa: 1\n", func(v Value) { v.Map("other") },
			`f.yaml:1:1: unknown key "a"
    1 | a: 1
      | ^
  hint: known keys: other
`},
		{"wide characters", "{日本: 'e\u0301', größe: 語語}\n", func(v Value) { v.Map("日本", "größe").Get("größe").Number() },
			`f.yaml:1:19: expected a number, found the text "語語"
    1 | {日本: 'é', größe: 語語}
      |                    ^^^^
  hint: write it without quotes and without a unit
`},
		{"characters that a terminal obeys", "\"\\e[2J\": \"\u009b2J\"\n", func(Value) {},
			`f.yaml:1:1: not YAML: control characters are not allowed
    1 | "\e[2J": "` + "\ufffd" + `2J"
      | ^
`},
		{"not UTF-8", "a: b\nc: ä\xfc\n", func(Value) {},
			`f.yaml:2:5: the file is not UTF-8 text
    2 | c: ä�
      |     ^
  hint: save it as UTF-8
`},
		{"not YAML", "a: b\n\tc: d\n", func(Value) {},
			`f.yaml:2:1: not YAML: found a tab character that violates indentation
    2 | 	c: d
      | ^
  hint: indent with spaces; YAML does not allow tabs
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := Read("f.yaml", []byte(tt.in))
			for _, d := range f.Documents() {
				tt.walk(d)
			}
			require.Equal(t, tt.want, texts(f))
		})
	}
}

// TestSyntaxErrors holds where a mistake is found against where it is: the
// YAML library knows the list or mapping around it at most.
func TestSyntaxErrors(t *testing.T) {
	for name, tt := range map[string]struct{ in, want, hint string }{
		"operator":         {"a: 1\nop: >=\nvalue: 3\n", "2:1: did not find expected comment or line break", `in quotes, as in op: ">="`},
		"operator in flow": {"a: 1\nb: {op: !=, value: 3}\n", "2:1: did not find expected ',' or '}'", `in quotes, as in op: ">="`},
		"brace left open":  {"a:\n  - {b: c\n  - {d: e}\n", "2:3: did not find expected ',' or '}'", "is a quote or a bracket"},
		"quote in quotes":  {"a:\n  b: 1\n  c: \"x{y=\"z\"}\"\n  d: 2\n", "3:3: did not find expected key", "is a quote or a bracket"},
		"brace in a flow":  {"a: {b: x{y=\"z\"}, c: d}\nb: 1\n", "1:1: did not find expected ',' or '}'", "is a quote or a bracket"},
		"quote left open":  {"a: 1\nb: 'c\nd: 2\n", "2:1: found unexpected end of stream", ""},
		"after a long one": {"a: [\n  1,\n  2\n]\nb: {c: [}\nd: 2\n", "5:1: did not find expected node content", "is a quote or a bracket"},
		"text with colon":  {"a: 1\nb: ä: d\n", "2:5: mapping values are not allowed in this context", "quotes"},
		"tab below a list": {"a:\n  - b: c\n\td: e\n", "3:1: found a tab character that violates indentation", "indent with spaces"},
		"indented wrongly": {"a:\n  - b: c\n   d: e\n", "3:4: did not find expected '-' indicator", ""},
		"unknown anchor":   {"a: 1\nb: *c\n", "2:1: unknown anchor 'c' referenced", ""},
		"second document":  {"a: 1\n---\nb: [1\nc: 2\n", "3:1: did not find expected ',' or ']'", "is a quote or a bracket"},
	} {
		t.Run(name, func(t *testing.T) {
			f := Read("f", []byte(tt.in))
			f.Documents()
			require.Len(t, f.Findings(), 1)
			require.Equal(t, tt.want, strings.Replace(strings.TrimPrefix(f.Findings()[0].String(), "f:"), "not YAML: ", "", 1))
			require.Contains(t, f.Findings()[0].Hint, tt.hint)
		})
	}
}

func TestMergeKeys(t *testing.T) {
	f := Read("f.yaml", []byte("base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  b: 3\n"))
	m := f.Documents()[0].Map("base", "use").Get("use").Map("a", "b")
	require.Equal(t, map[string]string{"a": "1", "b": "3"}, textsOf(m))
	require.Empty(t, f.Findings())
}

func TestMergeOfItself(t *testing.T) {
	f := Read("f.yaml", []byte("a: &a\n  <<: [{<<: *a}, {c: 2}]\n  b: 1\n"))
	m := f.Documents()[0].Map("a").Get("a").Map("b", "c")
	require.Equal(t, map[string]string{"b": "1", "c": "2"}, textsOf(m))
	require.Empty(t, f.Findings())
}

// TestInside marks one character of a query with an ! and expects a finding
// just there, in each style that YAML has for text.
func TestInside(t *testing.T) {
	for name, in := range map[string]string{
		"plain":             "q: sum(x!y)\n",
		"plain over lines":  "q: sum(a) +\n     sum(x!y)\n",
		"single quotes":     "q: 'a{b=''c''} x!y'\n",
		"double quotes":     "q: \"a{b=\\\"c\\u00e4\\\"}\\n x!y\"\n",
		"double over lines": "q: \"sum(a) +\n\n     x!y\"\n",
		"literal":           "q: |\n  sum(\n    x!y\n  )\n",
		"literal, indent":   "q: |2-\n    sum(\n    x!y\n  )\n",
		"literal, blank":    "q: |\n\n\n  a\n\n  x!y\n",
		"folded":            "q: >-\n  sum(a) +\n  sum(b) +\n  x!y\n",
		"folded, blank":     "q: >\n  sum(a) +\n\n  x!y\n",
		"first of a line":   "q: |\n  sum(\n  !\n  )\n",
		"beyond ASCII":      "q: |\n  ä{ö=\"ü\"} !\n",
		"anchor":            "q: &a x!y\n",
		"CRLF":              "q: |\r\n  a\r\n  x!y\r\n",
		"in a flow":         "{r: [s, 'x!y'], q: 'x?y'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			mark := "!"
			if name == "in a flow" {
				mark = "?"
			}
			f := Read("f.yaml", []byte(in))
			q := f.Documents()[0].Map().Get("q")
			at := strings.Index(q.Text(), mark)
			q.ErrorInside(at, at+1, "", "here")
			got := f.Findings()[0]
			line := strings.Split(in, "\n")[got.Line-1]
			require.Equal(t, mark, string([]rune(line)[got.Column-1]), "%d:%d", got.Line, got.Column)
			require.Equal(t, 1, got.Width)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a: &x [1, {b: c}]\nd: *x\n<<: *x\n", 3)
	f.Add("a: |\n  b\n  c\n", 1)
	f.Fuzz(func(t *testing.T, in string, off int) {
		file := Read("f", []byte(in))
		for _, d := range file.Documents() {
			for _, e := range d.Map("a").Entries {
				e.Value.ErrorInside(off, off+1, "", "here")
			}
		}
		for _, finding := range file.Findings() {
			require.LessOrEqual(t, finding.Line, len(file.lines))
			require.NotEmpty(t, finding.Text())
		}
	})
}

// TestWritten holds what a file says where YAML reads something else.
func TestWritten(t *testing.T) {
	f := Read("f.yaml", []byte("a: >\nb: != # not\nc: {d: <=, e: ä}\nf:\n"))
	m := f.Documents()[0].Map()
	require.Empty(t, f.Findings())
	require.Equal(t, ">", m.Get("a").Written())
	require.Equal(t, "!=", m.Get("b").Written())
	require.Equal(t, "<=", m.Get("c").Map().Get("d").Written())
	require.Equal(t, "ä", m.Get("c").Map().Get("e").Written())
	require.Empty(t, m.Get("f").Written())
	require.Empty(t, m.Get("missing").Written())
}

// TestFindingsTwice holds that findings can be asked for more than once, and
// added to in between.
func TestFindingsTwice(t *testing.T) {
	f := Read("f.yaml", []byte("a: 1\n"))
	v := f.Documents()[0]
	v.Errorf("", "one")
	v.Errorf("", "one")
	require.Len(t, f.Findings(), 1)
	v.Errorf("", "two")
	require.Len(t, f.Findings(), 2)
	require.Len(t, f.Findings(), 2)
}

// textsOf returns the texts of a mapping by its keys.
func textsOf(m Map) map[string]string {
	out := map[string]string{}
	for _, e := range m.Entries {
		out[e.Key.Text()] = e.Value.Text()
	}
	return out
}
