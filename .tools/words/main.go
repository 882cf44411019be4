// Words holds the plain words of the documentation, of comments and of messages.
// It runs at the top of the repository, prints what it finds as file:line: message,
// and exits with 1 if there is anything.
//
//	go run ./.tools/words
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// instead has better words for those that readers had to read twice.
var instead = []struct{ word, better string }{
	{"behind", "say after, before, older than or newer than"},
	{"of late", "say recently"},
	{"anew", "say again"},
	{"no matter", "say any, or whether or not"},
	{"is what", "name it by a noun"},
}

// longest is how many words a sentence of the documentation may have.
const longest = 40

func main() {
	found, err := check(os.DirFS("."))
	if err != nil {
		found = append(found, err.Error())
	}
	for _, f := range found {
		fmt.Fprintln(os.Stdout, f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// check returns the findings in all files.
func check(files fs.FS) ([]string, error) {
	var all []string
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md" && path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		found, err := findings(name, string(text))
		for _, f := range found {
			all = append(all, fmt.Sprintf("%s:%d: %s", name, f.line, f.message))
		}
		return err
	})
	return all, err
}

func findings(name, text string) ([]finding, error) {
	switch {
	case name == "CHANGELOG.md":
		return markdown(current(text)), nil
	case path.Ext(name) == ".md":
		return markdown(text), nil
	}
	return code(name, text)
}

// current is the changelog without what was released.
func current(text string) string {
	if sections := section.FindAllStringIndex(text, 2); len(sections) == 2 {
		return text[:sections[1][0]]
	}
	return text
}

type finding struct {
	line    int
	message string
}

// words finds words to be said in another way in a text that begins at a line.
func words(text string, line int) []finding {
	var found []finding
	for _, w := range instead {
		at := regexp.MustCompile(`(?i)\b` + strings.ReplaceAll(w.word, " ", `\s+(?://\s*)?`) + `\b`)
		for _, i := range at.FindAllStringIndex(text, -1) {
			found = append(found, finding{line + strings.Count(text[:i[0]], "\n"), fmt.Sprintf("%q: %s", w.word, w.better)})
		}
	}
	return found
}

var (
	section = regexp.MustCompile(`(?m)^## `)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	inline  = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\([^)]*\)`)
	mark    = regexp.MustCompile(`^(?:[-*] |\d+\. |\|)`)
	ends    = regexp.MustCompile(`[.!?:][*_)"]*\s|[|]`)
	oneWord = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}'’.,_-]*`)
)

// markdown finds words and sentences in a page. Code is left out.
func markdown(text string) []finding {
	blank := func(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) }
	text = fence.ReplaceAllStringFunc(text, blank)
	text = inline.ReplaceAllString(link.ReplaceAllString(text, "]"), "X")
	found := words(text, 1)
	para, began := "", 0
	end := func() {
		for _, s := range ends.Split(para, -1) {
			if n := len(oneWord.FindAllString(s, -1)); n > longest {
				found = append(found, finding{began, fmt.Sprintf("a sentence of %d words: at most %d", n, longest)})
			}
		}
		para = ""
	}
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		indented := para == "" && strings.HasPrefix(line, "    ")
		if trimmed == "" || indented || strings.HasPrefix(trimmed, "#") || mark.MatchString(trimmed) {
			end()
		}
		if trimmed == "" || indented || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if para == "" {
			began = i + 1
		}
		para += trimmed + "\n"
	}
	end()
	return found
}

// code finds words in the comments of a Go file, and in the texts of one that is no
// test.
func code(name, text string) ([]finding, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var found []finding
	in := func(n ast.Node) {
		begin, end := files.Position(n.Pos()), files.Position(n.End())
		found = append(found, words(text[begin.Offset:end.Offset], begin.Line)...)
	}
	for _, group := range f.Comments {
		in(group)
	}
	if strings.HasSuffix(name, "_test.go") {
		return found, nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			in(lit)
		}
		return true
	})
	return found, nil
}
