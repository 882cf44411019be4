package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	long := "A " + strings.Repeat("very ", longest-1) + "long" // one word too many
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"README.md": "# Behind a heading\n\nIt is\nwhat stays `of late` in code.\n\n```\nanew\n```\n\n" +
			long + " sentence. Short.\n\n| " + long + " | cell |\n\n- " + long + ": after a colon.\n",
		"CHANGELOG.md":  "## [Unreleased]\n\nAnew.\n\n## [1.0.0]\n\nBehind.\n",
		"new/a.go":      "// Package a says no\n// matter.\npackage a\n\nvar A = \"anew\" // Of late.\n",
		"new/a_test.go": "package a\n\nvar b = \"anew\"\n",
		".dot/a.md":     "behind\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	found, err := check(files)
	require.NoError(t, err)
	require.Equal(t, []string{
		`CHANGELOG.md:3: "anew": say again`,
		`README.md:1: "behind": say after, before, older than or newer than`,
		`README.md:3: "is what": name it by a noun`,
		`README.md:10: a sentence of 42 words: at most 40`,
		`README.md:12: a sentence of 41 words: at most 40`,
		`README.md:14: a sentence of 41 words: at most 40`,
		`new/a.go:1: "no matter": say any, or whether or not`,
		`new/a.go:5: "of late": say recently`,
		`new/a.go:5: "anew": say again`,
	}, found)
}
