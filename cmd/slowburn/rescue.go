package main

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// collected is the outcome of one reading of all sources.
type collected struct {
	set      *slo.Set // of what can be used
	trees    map[config.Source]config.Tree
	partial  map[config.Source]bool // the tree was never whole
	problems []evaluator.Problem    // of the newest files
	findings []yamlfile.Finding     // likewise
	unread   error                  // of the first source that can't be read
}

// collect reads all sources and chooses what can be used. A source with errors
// keeps its last good tree, or gives what can be rescued when it has none.
func (r *reloader) collect(ctx context.Context) (collected, error) {
	c := collected{trees: map[config.Source]config.Tree{}, partial: map[config.Source]bool{}}
	bad := map[string]bool{}
	for _, source := range r.sources {
		tree, err := source.Read(ctx)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		if err != nil {
			bad[source.Name()] = true
			p := evaluator.Problem{Source: source.Name(), Severity: "error", Message: yamlfile.Cut(err.Error(), maxMessage)}
			if good, is := r.good[source]; is {
				tree, p.Hint = good, "the last good files stay live"
			}
			c.problems = append(c.problems, p)
			if c.unread == nil {
				c.unread = err // names the source
			}
		}
		c.trees[source] = tree
	}
	c.set = r.load(r.files(c.trees))
	c.findings = c.set.Findings
	c.problems = append(c.problems, problemsOf(c.findings)...)
	for _, f := range c.findings {
		bad[f.Source] = bad[f.Source] || f.Severity == yamlfile.Error
	}
	r.date(&c, bad)
	if err := r.fallBack(ctx, &c, bad); err != nil {
		return c, err
	}
	for i, p := range c.problems {
		c.problems[i].Since = r.since[p.Source]
	}
	return c, nil
}

// date notes since when sources have errors. For Git that is the first commit with errors
// that was seen. For directories it is the newest change of a file with errors.
func (r *reloader) date(c *collected, bad map[string]bool) {
	rejected := map[[2]string]bool{}
	for _, f := range c.findings {
		if f.Severity == yamlfile.Error {
			rejected[[2]string{f.Source, f.File}] = true
		}
	}
	for _, source := range r.sources {
		name, tree := source.Name(), c.trees[source]
		switch _, before := r.since[name]; {
		case !bad[name]:
			delete(r.since, name)
		case slices.ContainsFunc(c.problems, func(p evaluator.Problem) bool { return p.Source == name && p.File == "" }):
			// It can't be read, and the tree is an older one.
		case tree.Revision == "":
			r.since[name] = modified(tree, rejected)
		case !before:
			r.since[name] = tree.Committed
		}
	}
}

// modified is the newest change of some files of a tree.
func modified(tree config.Tree, of map[[2]string]bool) time.Time {
	var newest time.Time
	for _, f := range tree.Files {
		if of[[2]string{tree.Source, f.Name}] && f.Modified.After(newest) {
			newest = f.Modified
		}
	}
	return newest
}

// fallBack replaces the trees of bad sources until all that is left is good.
func (r *reloader) fallBack(ctx context.Context, c *collected, bad map[string]bool) error {
	newest := map[config.Source]config.Tree{}
	whole := true // every source has a tree that was accepted
	for _, source := range r.sources {
		newest[source] = c.trees[source]
		good, is := r.good[source]
		is = is && !r.partial[source]
		whole = whole && is
		if !bad[source.Name()] {
			continue
		}
		if is {
			c.trees[source] = good
		} else if err := r.rescue(ctx, source, c); err != nil {
			return err
		}
	}
	c.set = r.load(r.files(c.trees))
	if whole && yamlfile.HasErrors(c.set.Findings) { // two sources contradict each other
		for _, source := range r.sources {
			c.trees[source] = r.good[source]
		}
	}
	unused := r.dropBad(c)
	for _, source := range r.sources {
		if text := notUsed(newest[source], c.trees[source], unused[source]); text != "" {
			c.problems = append(c.problems, evaluator.Problem{Source: source.Name(), Severity: "error", Message: yamlfile.Cut(text, maxMessage)})
		}
	}
	return nil
}

// rescue replaces the tree of a source that never was whole by the best there is.
func (r *reloader) rescue(ctx context.Context, source config.Source, c *collected) error {
	tree, err := source.ReadGood(ctx, func(tree config.Tree) bool {
		newest := c.trees[source]
		c.trees[source] = tree
		set := r.load(r.files(c.trees))
		c.trees[source] = newest
		good := !slices.ContainsFunc(set.Findings, func(f yamlfile.Finding) bool {
			return f.Source == source.Name() && f.Severity == yamlfile.Error
		})
		if !good {
			r.since[source.Name()] = tree.Committed // the newest first
		}
		return good
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.partial[source] = err != nil || tree.Revision == ""
	if err == nil {
		c.trees[source] = tree
	}
	return nil // the newest tree without its bad files is used
}

// dropBad takes files with errors out of the trees, or takes them as they were
// before, until no error is left. It returns the names of these files.
func (r *reloader) dropBad(c *collected) map[config.Source][]string {
	unused := map[config.Source][]string{}
	for {
		c.set = r.load(r.files(c.trees))
		bad := map[[2]string]bool{}
		for _, f := range c.set.Findings {
			if f.Severity == yamlfile.Error {
				bad[[2]string{f.Source, f.File}] = true
			}
		}
		dropped := 0
		for _, source := range r.sources {
			tree, names := without(c.trees[source], r.good[source], bad)
			if len(names) > 0 {
				c.trees[source], c.partial[source] = tree, true
				unused[source] = append(unused[source], names...)
			}
			dropped += len(names)
		}
		if dropped == 0 {
			return unused
		}
	}
}

// without is a tree in which bad files are as they were before, or missing. A
// file of defaults takes all files that it is for with it: without their
// defaults they are other SLOs.
func without(tree, before config.Tree, bad map[[2]string]bool) (rest config.Tree, names []string) {
	rest = tree
	rest.Files = nil
	older := map[string]config.File{}
	for _, f := range before.Files {
		older[f.Name] = f
	}
	missing := map[string]bool{}
	for i, f := range tree.Files {
		if !bad[[2]string{tree.Source, f.Name}] {
			continue
		}
		names = append(names, f.Name)
		if old, is := older[f.Name]; is && !bytes.Equal(old.Text, f.Text) {
			tree.Files = slices.Concat(tree.Files[:i], []config.File{old}, tree.Files[i+1:])
		} else {
			missing[f.Name] = true
		}
	}
	for _, f := range tree.Files {
		switch {
		case missing[f.Name]:
		case lacksDefaults(f.Name, missing):
			names = append(names, f.Name)
		default:
			rest.Files = append(rest.Files, f)
		}
	}
	return rest, names
}

// lacksDefaults reports whether a file of defaults for a file is missing.
func lacksDefaults(name string, missing map[string]bool) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if missing[path.Join(dir, yamlfile.DefaultsName)] {
			return true
		}
		if dir == path.Dir(dir) {
			return false
		}
	}
}

// notUsed says what of the newest tree of a source is not used, "" when all is.
func notUsed(newest, used config.Tree, files []string) string {
	slices.Sort(files)
	files = slices.Compact(files)
	var text []string
	if newest.Revision != "" && newest.Revision != used.Revision {
		text = append(text, fmt.Sprintf("commit %.12s is used instead of %.12s: it is the newest without errors", used.Revision, newest.Revision))
	}
	if n := len(files); n > 0 {
		names := strings.Join(files[:min(n, 5)], ", ")
		if n > 5 {
			names += fmt.Sprintf(" and %d more", n-5)
		}
		text = append(text, fmt.Sprintf("the newest text of %d of %s is not used: %s", n, plural(max(len(newest.Files), n), "file"), names))
	}
	return strings.Join(text, "; ")
}
