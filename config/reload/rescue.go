package reload

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo/humanize"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// collected is the outcome of one reading of all sources.
type collected struct {
	set      *spec.Set // of the usable files
	trees    map[source.Source]source.Tree
	partial  map[source.Source]bool // the tree was never whole
	problems []evaluator.Problem    // of the newest files
	findings []yamlfile.Finding     // likewise
	unread   error                  // of the first source that can't be read
	wants    []*feed                // whose older trees could be used, once they have been read
}

// collect chooses the usable files of the last outcomes. A source with errors keeps its last
// good tree or, without one, its good files.
func (r *Reloader) collect() collected {
	c := collected{trees: map[source.Source]source.Tree{}, partial: map[source.Source]bool{}}
	bad := map[string]bool{}
	for _, source := range r.Sources {
		got, is := r.newest[source]
		if !is {
			got.err = fmt.Errorf("%s is still being read", source.Name())
		}
		tree, err := got.tree, got.err
		if err != nil {
			bad[source.Name()] = true
			p := evaluator.Problem{Source: source.Name(), Severity: "error", Message: yamlfile.Cut(err.Error(), maxMessage)}
			if good := r.good[source]; len(good.Files) > 0 {
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
	c.problems = append(c.problems, Problems(c.findings)...)
	for _, f := range c.findings {
		bad[f.Source] = bad[f.Source] || f.Severity == yamlfile.Error
	}
	r.date(&c, bad)
	r.fallBack(&c, bad)
	for i, p := range c.problems {
		c.problems[i].Since = r.since[p.Source]
	}
	return c
}

// date notes since when sources have errors. For Git, it is the first commit with errors that
// was read. For directories, it is the newest change of a file with errors.
func (r *Reloader) date(c *collected, bad map[string]bool) {
	rejected := map[[2]string]bool{}
	for _, f := range c.findings {
		if f.Severity == yamlfile.Error {
			rejected[[2]string{f.Source, f.File}] = true
		}
	}
	for _, source := range r.Sources {
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

// modified returns the newest change of some files of a tree.
func modified(tree source.Tree, of map[[2]string]bool) time.Time {
	var newest time.Time
	for _, f := range tree.Files {
		if of[[2]string{tree.Source, f.Name}] && f.Modified.After(newest) {
			newest = f.Modified
		}
	}
	return newest
}

// fallBack replaces the trees of bad sources until no error is left.
func (r *Reloader) fallBack(c *collected, bad map[string]bool) {
	newest := map[source.Source]source.Tree{}
	whole := true // every source has a tree that was accepted
	for _, f := range r.feeds {
		source := f.source
		newest[source] = c.trees[source]
		good, is := r.good[source]
		is = is && !r.partial[source]
		whole = whole && is
		r.wanted[source] = bad[source.Name()] && !is
		switch {
		case !bad[source.Name()]:
		case is:
			c.trees[source] = good
		default:
			r.rescue(f, c)
		}
	}
	c.set = r.load(r.files(c.trees))
	if whole && yamlfile.HasErrors(c.set.Findings) { // two sources contradict each other
		for _, source := range r.Sources {
			c.trees[source] = r.good[source]
		}
	}
	unused := r.dropBad(c)
	for _, f := range r.feeds {
		source := f.source
		if slices.Contains(c.wants, f) {
			continue
		}
		if text := notUsed(newest[source], c.trees[source], unused[source]); text != "" {
			c.problems = append(c.problems, evaluator.Problem{Source: source.Name(), Severity: "error", Message: yamlfile.Cut(text, maxMessage)})
		}
	}
}

// rescue replaces the tree of a source that was never good by its newest good commit, or by
// its good files. Until these have been read, the tree stays.
func (r *Reloader) rescue(f *feed, c *collected) {
	got, read := r.newest[f.source]
	switch {
	case !read || !got.rescued:
		if read {
			c.wants = append(c.wants, f)
		}
		c.trees[f.source] = r.good[f.source]
		c.partial[f.source] = true
	case got.bad == nil && got.good.Source != "":
		c.trees[f.source] = got.good
		c.partial[f.source] = got.good.Revision == ""
	default: // the newest tree without its bad files is used
		c.partial[f.source] = true
	}
}

// dropBad removes files with errors from the trees, or replaces them by their last good
// version, until no error is left. It returns the names of these files.
func (r *Reloader) dropBad(c *collected) map[source.Source][]string {
	unused := map[source.Source][]string{}
	for {
		c.set = r.load(r.files(c.trees))
		bad := map[[2]string]bool{}
		for _, f := range c.set.Findings {
			if f.Severity == yamlfile.Error {
				bad[[2]string{f.Source, f.File}] = true
			}
		}
		dropped := 0
		for _, source := range r.Sources {
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

// without returns a tree in which bad files have their earlier version or are missing. With a
// file of defaults, all files that it is for are missing: without their defaults they are
// other SLOs.
func without(tree, before source.Tree, bad map[[2]string]bool) (rest source.Tree, names []string) {
	rest = tree
	rest.Files = nil
	older := map[string]source.File{}
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
			tree.Files = slices.Concat(tree.Files[:i], []source.File{old}, tree.Files[i+1:])
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

// notUsed returns which files of the newest tree of a source are not used, "" for none.
func notUsed(newest, used source.Tree, files []string) string {
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
		text = append(text, fmt.Sprintf("the newest version of %d of %s is not used: %s", n, humanize.Plural(max(len(newest.Files), n), "file"), names))
	}
	return strings.Join(text, "; ")
}
