package source

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deadline is how long a test waits for what must come.
const deadline = 10 * time.Second

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func link(t *testing.T, target, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.Symlink(target, path))
}

// relink points a symbolic link elsewhere in one step, as Kubernetes and
// git-sync do.
func relink(t *testing.T, target, path string) {
	t.Helper()
	link(t, target, path+"_tmp")
	require.NoError(t, os.Rename(path+"_tmp", path))
}

// texts are the files of a source by name.
func texts(t *testing.T, s Source) map[string]string {
	t.Helper()
	tree, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, s.Name(), tree.Source)
	out := map[string]string{}
	last := ""
	for _, f := range tree.Files {
		require.Less(t, last, f.Name, "files are sorted")
		last = f.Name
		out[f.Name] = string(f.Text)
	}
	return out
}

// wait waits for a source in the background.
func wait(t *testing.T, s Source) <-chan error {
	if d, is := s.(*Directory); is {
		d.poll = 10 * time.Millisecond
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		done <- s.Wait(ctx)
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	return done
}

func returned(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(deadline):
		t.Fatal("Wait did not return")
	}
}

func TestDirectoryRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/b.yaml", "b")
	write(t, dir+"/a/c.yml", "c")
	write(t, dir+"/README.md", "no")
	write(t, dir+"/.hidden.yaml", "no")
	write(t, dir+"/.git/x.yaml", "no")
	link(t, "../b.yaml", dir+"/a/link.yaml")
	link(t, "a", dir+"/again")
	link(t, "/etc/passwd", dir+"/passwd")
	link(t, "nowhere", dir+"/dangling")
	t.Chdir(dir)
	want := map[string]string{"b.yaml": "b", "a/c.yml": "c", "a/link.yaml": "b", "again/c.yml": "c", "again/link.yaml": "b"}
	require.Equal(t, want, texts(t, NewDirectory(".", nil)))
	require.Equal(t, map[string]string{"a/c.yml": "c"}, texts(t, NewDirectory("a/c.yml", nil)))

	tree, err := NewDirectory("./b.yaml", []string{"eu"}).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, Tree{Source: "./b.yaml", Backends: []string{"eu"}, Files: []File{{"./b.yaml", []byte("b"), modified(t, "b.yaml")}}}, tree)
}

// modified is when a file was changed, by the system.
func modified(t *testing.T, file string) time.Time {
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.ModTime().UTC()
}

// TestDirectoryReadsDefaultsBesideAFile holds that one file means the same by
// itself as in its directory, and that a change of the defaults is seen.
func TestDirectoryReadsDefaultsBesideAFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "1")
	write(t, filepath.Join(dir, "b.yaml"), "2")
	write(t, filepath.Join(dir, "slowburn.defaults.yaml"), "d")
	d := NewDirectory(filepath.Join(dir, "a.yaml"), nil)
	require.Equal(t, map[string]string{
		filepath.Join(dir, "a.yaml"): "1", filepath.Join(dir, "slowburn.defaults.yaml"): "d",
	}, texts(t, d))

	done := wait(t, d)
	write(t, filepath.Join(dir, "slowburn.defaults.yaml"), "e")
	returned(t, done)
	require.Equal(t, "e", texts(t, d)[filepath.Join(dir, "slowburn.defaults.yaml")])

	alone := NewDirectory(filepath.Join(dir, "slowburn.defaults.yaml"), nil)
	require.Len(t, texts(t, alone), 1)
}

func TestDirectoryRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		make       func(dir string)
	}{
		{"no directory", "reading slos: no such file or directory", func(string) {}},
		{"link to a file outside", "slos/a.yaml is a link to /etc/passwd, which is outside of slos",
			func(dir string) { link(t, "/etc/passwd", dir+"/slos/a.yaml") }},
		{"link to a directory outside", "slos/etc is a link to /etc, which is outside of slos",
			func(dir string) { link(t, "/etc", dir+"/slos/etc") }},
		{"link to nothing", "following the link slos/a.yaml: no such file or directory",
			func(dir string) { link(t, "b.yaml", dir+"/slos/a.yaml") }},
		{"link to itself", "slos/a/b is a link to a directory that holds it",
			func(dir string) { link(t, "../a", dir+"/slos/a/b") }},
		{"large file", "slos/a.yaml is larger than 1 MiB",
			func(dir string) { write(t, dir+"/slos/a.yaml", strings.Repeat("#", 1<<20+1)) }},
		{"deep directories", "slos" + strings.Repeat("/d", 101) + ": directories are nested more than 100 deep",
			func(dir string) { write(t, dir+"/slos"+strings.Repeat("/d", 101)+"/a.yaml", "#") }},
		{"pipe", "slos/a.yaml is not a regular file", func(dir string) {
			require.NoError(t, os.Mkdir(dir+"/slos", 0o755))
			require.NoError(t, syscall.Mkfifo(dir+"/slos/a.yaml", 0o644))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(dir)
			t.Chdir(dir)
			tree, err := NewDirectory("slos", nil).Read(t.Context())
			require.EqualError(t, err, tt.want)
			require.Zero(t, tree)
		})
	}
}

func TestDirectoryLimits(t *testing.T) {
	t.Chdir(t.TempDir())
	for i := range 64 {
		write(t, "slos/"+strings.Repeat("a", i+1)+".yaml", strings.Repeat("#", 1<<20))
	}
	require.Len(t, texts(t, NewDirectory("slos", nil)), 64)
	write(t, "slos/z.yaml", "#")
	_, err := NewDirectory("slos", nil).Read(t.Context())
	require.EqualError(t, err, "slos/z.yaml: all SLO files together are larger than 64 MiB")
}

// TestDirectoryWait changes a directory in the ways that people and programs
// do, and expects each to be noticed, and read right.
func TestDirectoryWait(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/slos/a.yaml", "1")
	s := NewDirectory(dir+"/slos", nil)
	_, err := s.Read(t.Context())
	require.NoError(t, err)
	for _, step := range []struct {
		name string
		do   func()
		want map[string]string
	}{
		{"write", func() { write(t, dir+"/slos/a.yaml", "2") }, map[string]string{"a.yaml": "2"}},
		{"an editor's write and rename", func() {
			write(t, dir+"/slos/.a.yaml.swp", "3")
			require.NoError(t, os.Rename(dir+"/slos/.a.yaml.swp", dir+"/slos/a.yaml"))
		}, map[string]string{"a.yaml": "3"}},
		{"rename", func() { require.NoError(t, os.Rename(dir+"/slos/a.yaml", dir+"/slos/b.yaml")) }, map[string]string{"b.yaml": "3"}},
		{"new directory", func() { write(t, dir+"/slos/sub/deep/c.yaml", "4") }, map[string]string{"b.yaml": "3", "sub/deep/c.yaml": "4"}},
		{"write in it", func() { write(t, dir+"/slos/sub/deep/c.yaml", "5") }, map[string]string{"b.yaml": "3", "sub/deep/c.yaml": "5"}},
		{"delete", func() { require.NoError(t, os.RemoveAll(dir+"/slos/sub")) }, map[string]string{"b.yaml": "3"}},
		{"vanish", func() { require.NoError(t, os.Rename(dir+"/slos", dir+"/gone")) }, nil},
		{"return", func() { require.NoError(t, os.Rename(dir+"/gone", dir+"/slos")) }, map[string]string{"b.yaml": "3"}},
		{"write after the return", func() { write(t, dir+"/slos/b.yaml", "6") }, map[string]string{"b.yaml": "6"}},
	} {
		done := wait(t, s)
		step.do()
		returned(t, done)
		tree, err := s.Read(t.Context())
		if step.want == nil {
			require.EqualError(t, err, "reading "+dir+"/slos: no such file or directory", step.name)
			continue
		}
		require.NoError(t, err, step.name)
		got := map[string]string{}
		for _, f := range tree.Files {
			got[strings.TrimPrefix(f.Name, dir+"/slos/")] = string(f.Text)
		}
		require.Equal(t, step.want, got, step.name)
	}
}

// TestDirectoryKubernetes updates a volume as the kubelet does: visible links
// lead through ..data, which is swapped, and then the old data goes.
func TestDirectoryKubernetes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/..2026_1/a.yaml", "1")
	write(t, dir+"/..2026_1/sub/b.yaml", "1")
	link(t, "..2026_1", dir+"/..data")
	link(t, "..data/a.yaml", dir+"/a.yaml")
	link(t, "..data/sub", dir+"/sub")
	s := NewDirectory(dir, nil)
	require.Equal(t, map[string]string{dir + "/a.yaml": "1", dir + "/sub/b.yaml": "1"}, texts(t, s))

	done := wait(t, s)
	write(t, dir+"/..2026_2/a.yaml", "2")
	write(t, dir+"/..2026_2/sub/b.yaml", "2")
	relink(t, "..2026_2", dir+"/..data")
	require.NoError(t, os.RemoveAll(dir+"/..2026_1"))
	returned(t, done)
	require.Equal(t, map[string]string{dir + "/a.yaml": "2", dir + "/sub/b.yaml": "2"}, texts(t, s))
}

// TestDirectoryGitSync swaps the link that the directory is, and one on the
// way to it.
func TestDirectoryGitSync(t *testing.T) {
	for name, path := range map[string]string{"the root": "current", "on the way": "current/slos"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/.worktrees/1/slos/a.yaml", "1")
			link(t, ".worktrees/1", dir+"/current")
			s := NewDirectory(filepath.Join(dir, path), nil)
			require.Equal(t, map[string]string{dir + "/current/slos/a.yaml": "1"}, texts(t, s))

			done := wait(t, s)
			write(t, dir+"/.worktrees/2/slos/a.yaml", "2")
			relink(t, ".worktrees/2", dir+"/current")
			require.NoError(t, os.RemoveAll(dir+"/.worktrees/1"))
			returned(t, done)
			require.Equal(t, map[string]string{dir + "/current/slos/a.yaml": "2"}, texts(t, s))
		})
	}
}

func TestDirectoryWaitsForRealChange(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "1")
	s := NewDirectory(dir, nil)
	texts(t, s)
	write(t, dir+"/a.yaml", "1")
	write(t, dir+"/.a.yaml.swp", "2")
	write(t, dir+"/notes.txt", "2")
	require.False(t, s.changed(t.Context()))

	write(t, dir+"/a.yaml", "2")
	returned(t, wait(t, s)) // what happened before the Wait counts
	require.False(t, s.changed(t.Context()), "one change is told once")
}

func TestDirectoryWaitEnds(t *testing.T) {
	s := NewDirectory(t.TempDir(), nil)
	texts(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Wait(ctx), context.Canceled)
	_, err := s.Read(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// TestDirectoryReadGood leaves out what can't be read, and nothing else.
func TestDirectoryReadGood(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "1")
	write(t, dir+"/deep/b.yaml", "2")
	write(t, dir+"/large.yaml", strings.Repeat("#", 2<<20))
	link(t, "/etc/passwd", dir+"/deep/c.yaml")
	link(t, "nowhere", dir+"/d.yaml")
	d := NewDirectory(dir, []string{"eu"})
	_, err := d.Read(t.Context())
	require.Error(t, err)
	tree, err := d.ReadGood(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, Tree{Source: dir, Backends: []string{"eu"}, Files: []File{
		{dir + "/a.yaml", []byte("1"), modified(t, dir+"/a.yaml")}, {dir + "/deep/b.yaml", []byte("2"), modified(t, dir+"/deep/b.yaml")},
	}}, tree)
	_, err = NewDirectory(dir+"/none", nil).ReadGood(t.Context(), nil)
	require.EqualError(t, err, "reading "+dir+"/none: no such file or directory")
}
