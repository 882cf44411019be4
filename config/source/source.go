// Package source reads SLO files from where they are: directories, and branches of Git
// repositories, within limits.
//
// A use:
//
//	tree, err := source.NewDirectory("./slos", nil).Read(ctx)
//	for _, f := range tree.Files { fmt.Println(f.Name) }
package source

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Source is where SLO files come from. One goroutine may Read while another
// Waits.
type Source interface {
	// Name is the source as it is configured: "./slos", or a repository's URL.
	Name() string
	// Read is the whole tree as of now, or an error, which names the source,
	// and nothing of it.
	Read(ctx context.Context) (Tree, error)
	// ReadGood reads the best tree when the newest one is not whole. For Git that
	// is the tree of the newest of the last commits which whole accepts, for a
	// directory everything that can be read.
	ReadGood(ctx context.Context, whole func(Tree) bool) (Tree, error)
	// Wait blocks until the tree may differ from what the last Read gave, an
	// error of it included. Its own error is that of ctx.
	Wait(ctx context.Context) error
}

// Tree is all SLO files of a source at one time. It must not be changed, for
// the source may give the same tree again.
type Tree struct {
	Source    string    // the source's name
	Revision  string    // hash of the commit, "" for a directory
	Committed time.Time // when the commit was made; zero for a directory
	Files     []File    // sorted by name
	Backends  []string  // names of the backends that its SLOs may use; empty for all
}

// File is one SLO file.
type File struct {
	Name     string // as findings show it; inside the repository for Git
	Text     []byte
	Modified time.Time // zero for Git
}

// The limits of a source, in bytes and files. People write SLO files: a file
// larger than this is something else that has the wrong name.
const (
	maxFileSize  = 1 << 20
	maxTotalSize = 64 << 20
	maxFiles     = 10_000
)

// collector gathers the files of a tree and holds them to the limits.
type collector struct {
	files []File
	total int64
}

// admit reports as an error what a file of so many bytes would break.
func (c *collector) admit(name string, size int64) error {
	if size > maxFileSize {
		return tooLarge(name)
	}
	if c.total += size; c.total > maxTotalSize {
		return fmt.Errorf("%s: all SLO files together are larger than %d MiB", name, maxTotalSize>>20)
	}
	if len(c.files) >= maxFiles {
		return fmt.Errorf("%s: there are more than %d SLO files", name, maxFiles)
	}
	return nil
}

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than %d MiB", name, maxFileSize>>20)
}

// plausible is a time, or none where it is in no year that people write: who makes a
// commit or a file says when.
func plausible(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}
	}
	return t
}

// sorted is all files by name.
func (c *collector) sorted() []File {
	slices.SortFunc(c.files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return c.files
}

// isSpec reports whether a file of this name holds SLOs.
func isSpec(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// isHidden reports whether a file or directory of this name is left out.
func isHidden(name string) bool { return strings.HasPrefix(name, ".") }
