// Package golden compares what a test computes with a file that people review, or with
// a part of a document. It is for tests only.
//
// A use:
//
//	golden.Require(t, "testdata/rules.golden.yaml", string(text))
//
// `go test ./PACKAGE -update` writes what differs. Review the diff.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Updating reports whether the test was called with -update.
func Updating() bool { return *update }

// Require fails the test unless the file contains the text.
func Require(t testing.TB, file, text string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "%s is written by go test with -update", file)
}

// Part is the text of a document between the comments `<!-- NAME -->` and
// `<!-- end of NAME -->`.
func Part(t testing.TB, file, name string) string {
	t.Helper()
	_, text, _ := cut(t, file, name)
	return text
}

// RequirePart fails the test unless that part of the document is the text.
func RequirePart(t testing.TB, file, name, text string) {
	t.Helper()
	head, old, tail := cut(t, file, name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(head+text+tail), 0o644))
		return
	}
	require.Equal(t, old, text, "part %q of %s is written by go test with -update", name, file)
}

// cut returns a part of a document, and what is before and after it.
func cut(t testing.TB, file, name string) (head, part, tail string) {
	t.Helper()
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	begins, ends := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	first, last := strings.Index(string(page), begins), strings.Index(string(page), ends)
	require.True(t, first >= 0 && last > first, "%s has no part %q", file, name)
	first += len(begins)
	return string(page[:first]), string(page[first:last]), string(page[last:])
}
