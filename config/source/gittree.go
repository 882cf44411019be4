package source

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// The modes of entries of a tree that matter here.
const (
	modeLink      = "120000"
	modeSubmodule = "160000"
)

// entry is one file or symbolic link of a commit.
type entry struct {
	name string // its path in the repository
	link bool
}

// object is the end of a path of a commit, after all links.
type object struct {
	hash string
	kind string // "blob" or "tree"; "missing", "symlink" (it leads outside), "dangling", "loop" or "notdir"
	size int64  // of a blob, in bytes
	text string // of a blob that is read; where a symlink leads
}

// load reads the SLO files of a commit below a path.
func (s *session) load(ctx context.Context, commit, below string) ([]File, error) {
	top := path.Clean("/" + below)[1:]
	beside := path.Join(path.Dir(top), yamlfile.DefaultsName)
	found, err := s.resolve(ctx, commit, []string{top, beside}, withoutText)
	if err != nil {
		return nil, err
	}
	g := &gathering{session: s, commit: commit}
	switch o := found[0]; o.kind {
	case "tree":
		err = g.tree(ctx, o.hash, top, nil)
	case "blob":
		if err = g.take(entry{name: top}, o); err == nil && top != beside && found[1].kind == "blob" {
			err = g.take(entry{name: beside}, found[1])
		}
	case "symlink":
		err = leadsOutside(top, o)
	default:
		err = fmt.Errorf("there is no %s in the repository", top)
	}
	if err != nil {
		return nil, err
	}
	return g.read(ctx)
}

// gathering finds the SLO files of a commit.
type gathering struct {
	*session
	collector
	commit string
}

// tree gathers the files of a tree and of those that links in it lead to;
// above are the trees on the way to it.
func (g *gathering) tree(ctx context.Context, hash, prefix string, above []string) error {
	if slices.Contains(above, hash) {
		return fmt.Errorf("%s is a link to a directory that holds it", prefix)
	}
	entries, err := g.list(ctx, hash, prefix)
	if err != nil || len(entries) == 0 {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	objects, err := g.resolve(ctx, g.commit, names, withoutText)
	if err != nil {
		return err
	}
	above = append(slices.Clone(above), hash)
	for i, e := range entries {
		if objects[i].kind == "tree" {
			err = g.tree(ctx, objects[i].hash, e.name, above)
		} else {
			err = g.take(e, objects[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list is the SLO files of a tree, and its symbolic links, which may lead to
// more of them. Submodules and what is hidden are left out.
func (s *session) list(ctx context.Context, hash, prefix string) ([]entry, error) {
	out, err := s.git(ctx, "", "ls-tree", "-r", "-z", hash)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for line := range strings.SplitSeq(out, "\x00") {
		head, rel, _ := strings.Cut(line, "\t")
		mode, _, _ := strings.Cut(head, " ")
		if rel == "" || mode == modeSubmodule || slices.ContainsFunc(strings.Split(rel, "/"), isHidden) {
			continue
		}
		link := mode == modeLink
		if !link && !isSpec(rel) {
			continue
		}
		name := path.Join(prefix, rel)
		if control.MatchString(name) {
			return nil, fmt.Errorf("%q has control characters in its name", name)
		}
		entries = append(entries, entry{name, link})
	}
	return entries, nil
}

// take adds one file, or returns why it must not.
func (g *gathering) take(e entry, o object) error {
	switch {
	case o.kind == "symlink":
		return leadsOutside(e.name, o)
	case !isSpec(e.name) && e.link:
		return nil
	case o.kind == "missing": // left out when it was fetched
		return tooLarge(e.name)
	case o.kind != "blob":
		return fmt.Errorf("%s is a link to nothing", e.name)
	}
	if err := g.admit(e.name, o.size); err != nil {
		return err
	}
	g.files = append(g.files, File{Name: e.name})
	return nil
}

// read reads the texts of the files, which are within the limits.
func (g *gathering) read(ctx context.Context) ([]File, error) {
	files := g.sorted()
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	objects, err := g.resolve(ctx, g.commit, names, withText)
	if err != nil {
		return nil, err
	}
	for i, o := range objects {
		files[i].Text = []byte(o.text)
	}
	return files, nil
}

func leadsOutside(name string, o object) error {
	leads := o.text
	if len(leads) > 100 || control.MatchString(leads) {
		leads = fmt.Sprintf("%.100q", leads)
	}
	return fmt.Errorf("%s is a link to %s, which is outside of the repository", name, leads)
}

// What git prints of the objects that are there. Links may lead to files of any size.
const (
	withoutText = "--batch-check"
	withText    = "--batch"
)

// resolve returns the objects that the paths of a commit lead to.
func (s *session) resolve(ctx context.Context, commit string, paths []string, printed string) ([]object, error) {
	var in strings.Builder
	for _, p := range paths {
		in.WriteString(commit + ":" + p + "\n")
	}
	out, err := s.git(ctx, in.String(), "cat-file", printed, "--follow-symlinks")
	if err != nil {
		return nil, err
	}
	objects := make([]object, len(paths))
	for i, p := range paths {
		line, rest, _ := strings.Cut(out, "\n")
		out = rest
		o := &objects[i]
		if line == commit+":"+p+" missing" {
			o.kind = "missing"
			continue
		}
		fields := strings.Split(line, " ") // a hash, where there is one, a kind and a size
		size, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		text := len(fields) < 3 || printed == withText // so many bytes come after the line
		if err != nil || len(fields) > 3 || len(fields) < 2 || text && int64(len(out)) <= size {
			return nil, fmt.Errorf("git cat-file printed %q for %s", line, p)
		}
		o.kind, o.size = fields[len(fields)-2], size
		if len(fields) == 3 {
			o.hash = fields[0]
		}
		if text {
			o.text, out = out[:size], out[size+1:]
		}
	}
	return objects, nil
}
