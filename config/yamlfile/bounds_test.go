package yamlfile

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestManyFindings: a file keeps 100 findings, its errors before its warnings, and says how
// many more there are. Repeated ones count once.
func TestManyFindings(t *testing.T) {
	f := Read("f.yaml", []byte(strings.Repeat("- a\n", 300)))
	for i, v := range f.Documents()[0].List() {
		for range 2 {
			v.Warnf("", "warning")
			if i >= 250 {
				v.Errorf("", "error")
			}
		}
	}
	found := f.Findings()
	require.Len(t, found, MaxFindings+1)
	errors, warnings := Count(found)
	require.Equal(t, [2]int{50, 300}, [2]int{errors, warnings})
	require.Equal(t, "f.yaml:1:3: warning: warning", found[0].String())
	require.Equal(t, "f.yaml:300:3: error", found[99].String())
	require.Equal(t, "f.yaml: warning: 250 warnings more in this file are not shown", found[100].String())

	for _, v := range f.Documents()[0].List() {
		v.Errorf("", "error")
	}
	found = f.Findings()
	require.Equal(t, "f.yaml: 200 errors and 300 warnings more in this file are not shown", found[100].String())
	require.True(t, HasErrors(found[:1]))
}

// TestAtMost: where findings are cut, each source keeps an error.
func TestAtMost(t *testing.T) {
	var all []Finding
	for i := range 30 {
		all = append(all, Finding{File: "a", Line: i + 1, Severity: Error, Message: "m", Source: "first"}, Finding{File: "a", Line: i + 1, Severity: Warning, Message: "m", Source: "first"})
	}
	all = append(all, More("a", 1000, 1), Finding{File: "z", Line: 1, Severity: Error, Message: "m", Source: "last"})
	all[60].Source = "first"
	require.Equal(t, all, AtMost(62, all))
	some := AtMost(10, all)
	require.Len(t, some, 11)
	require.Equal(t, "last", some[9].Source)
	require.Equal(t, Warning, some[10].Severity, "no source has an error by that")
	errors, warnings := Count(some)
	require.Equal(t, [2]int{1031, 31}, [2]int{errors, warnings})
}

// TestWideLines are shown by what is around the place, with the caret below it.
func TestWideLines(t *testing.T) {
	f := Read("f.yaml", []byte("["+strings.Repeat("ä, ", 1000)+"here, "+strings.Repeat("ö, ", 1000)+"]\n"))
	list := f.Documents()[0].List()
	list[0].Errorf("", "first")
	list[1000].Errorf("", "middle")
	list[2000].Errorf("", "last")
	found := f.Findings()
	for i, text := range []string{"ä", "here", "ö"} {
		lines := strings.Split(found[i].Text(), "\n")
		require.LessOrEqual(t, utf8.RuneCountInString(lines[1]), 220)
		at := strings.IndexByte(lines[2], '^')
		require.Equal(t, text, string([]rune(lines[1])[at:at+utf8.RuneCountInString(text)]))
		require.Equal(t, utf8.RuneCountInString(text), strings.Count(lines[2], "^"))
	}
	require.Equal(t, []int{2, 3002, 6005}, []int{found[0].Column, found[1].Column, found[2].Column})
}

// TestWideLineMarks finds each place of a wide line from a mark near it, so a file in one line
// takes linear time.
func TestWideLineMarks(t *testing.T) {
	f := Read("f.yaml", []byte("a: b\n"+strings.Repeat("aä€😀", 1000)))
	for column := 1; column <= 4001; column++ {
		// Four characters have 1 + 2 + 3 + 4 bytes.
		want := f.lines[1][(column-1)/4*10+[]int{0, 1, 3, 6}[(column-1)%4]:]
		require.Equal(t, want, f.from(position{2, column}))
		_, steps := f.mark(position{2, column})
		require.Less(t, steps, stride)
	}
	require.Empty(t, f.from(position{2, 5000}), "after the end")
	require.Equal(t, "b", f.from(position{1, 4}))
}

// TestLongMessages are cut between characters.
func TestLongMessages(t *testing.T) {
	require.Equal(t, "abc", Cut("abc", 3))
	require.Equal(t, "ab...", Cut("abcdef", 5))
	require.Equal(t, "äöü", Cut("äöü", 6))
	require.Equal(t, "a...", Cut("aäöü", 5), "ä would end at byte 3")
}

// TestLongTexts are errors.
func TestLongTexts(t *testing.T) {
	f := Read("f.yaml", []byte(fmt.Sprintf("a: %s\nb: %s\n", strings.Repeat("x", MaxText), strings.Repeat("x", MaxText+1))))
	m := f.Documents()[0].Map()
	require.Len(t, m.Get("a").Text(), MaxText)
	require.Empty(t, f.Findings())
	m.Get("b").Text()
	require.Equal(t, "f.yaml:2:4: the text is longer than 16 KiB", f.Findings()[0].String())
}

// TestLargeMaps are found by an index, with merge keys and without.
func TestLargeMaps(t *testing.T) {
	var text strings.Builder
	text.WriteString("base: &b {k0: base, other: base}\nlarge:\n  <<: *b\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  k%d: v%d\n", i, i)
	}
	text.WriteString("  k7: again\n")
	f := Read("f.yaml", []byte(text.String()))
	m := f.Documents()[0].Map().Get("large").Map()
	require.Len(t, m.Entries, 101)
	require.Equal(t, "v0", m.Get("k0").Text())
	require.Equal(t, "v99", m.Get("k99").Text())
	require.Equal(t, "base", m.Get("other").Text())
	require.False(t, m.Has("none"))
	require.Equal(t, `f.yaml:104:3: key "k7" is repeated; it is in line 11 already`, f.Findings()[0].String())
	require.Len(t, f.Findings(), 1)
}

// TestManyMerges: a line of merge keys can't add any number of entries.
func TestManyMerges(t *testing.T) {
	var text strings.Builder
	text.WriteString("base: &b\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  k%d: v\n", i)
	}
	text.WriteString("list:\n" + strings.Repeat("  - {<<: *b}\n", 100))
	f := Read("f.yaml", []byte(text.String()))
	for _, v := range f.Documents()[0].Map().Get("list").List() {
		v.Map()
	}
	require.Equal(t, "f.yaml:2053:10: merge keys of this file add more than 100000 keys", f.Findings()[0].String())
}
