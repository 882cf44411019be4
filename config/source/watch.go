package source

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long a directory must be quiet before it is read, so that one change in
// several steps is one change; and how long at most that is awaited.
const (
	quiet    = 250 * time.Millisecond
	maxQuiet = 2 * time.Second
)

// Wait implements Source. Where the system gives no events, changes are seen
// half a minute late.
func (d *Directory) Wait(ctx context.Context) error {
	for first := true; ; first = false {
		changed, err := d.waitOnce(ctx, first)
		if changed || err != nil {
			return err
		}
	}
}

// waitOnce looks for a change and, when there is none, waits for an event or
// for the poll. Each round makes new watches, so that no watch is left on something
// that has moved away. The look at its beginning finds changes between two rounds.
func (d *Directory) waitOnce(ctx context.Context, first bool) (changed bool, err error) {
	w := newWatch()
	defer w.close()
	changed = d.changed(ctx, w)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case changed && first:
		return true, w.settle(ctx) // nobody has waited for the end of it yet
	case changed:
		return true, nil
	}
	poll := time.NewTimer(d.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-poll.C:
			return false, nil
		case e := <-w.events:
			if w.concerns(e) {
				return false, w.settle(ctx)
			}
		case <-w.errors: //nolint:errcheck // whichever it is, events were lost
			return false, w.settle(ctx)
		}
	}
}

// watch holds the watches while a directory is read and waited for. A nil
// watch watches nothing.
type watch struct {
	watcher *fsnotify.Watcher
	events  <-chan fsnotify.Event // nil where the system has none
	errors  <-chan error
	wholes  map[string]bool // directories of which everything matters
	names   map[string]bool // single entries of other directories
}

func newWatch() *watch {
	w := &watch{wholes: map[string]bool{}, names: map[string]bool{}}
	if watcher, err := fsnotify.NewWatcher(); err == nil {
		w.watcher = watcher
		w.events = watcher.Events
		w.errors = watcher.Errors
	}
	return w
}

func (w *watch) close() {
	if w.watcher != nil {
		_ = w.watcher.Close() // nothing follows from it
	}
}

// whole watches a directory and everything in it. A directory that can't be
// watched is left to the poll.
func (w *watch) whole(dir string) {
	if w == nil {
		return
	}
	w.wholes[dir] = true
	w.watch(dir)
}

func (w *watch) watch(dir string) {
	if w.watcher != nil {
		_ = w.watcher.Add(dir) // left to the poll
	}
}

// way watches the entries that decide where a path leads: its own, and every
// symbolic link and missing directory on the way.
func (w *watch) way(path string) {
	if abs, err := filepath.Abs(path); w != nil && err == nil {
		w.steps(abs, 0)
	}
}

// maxLinks bounds how many links are followed, as the system does.
const maxLinks = 40

func (w *watch) steps(path string, links int) {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		info, err := os.Lstat(p)
		link := err == nil && info.Mode()&os.ModeSymlink != 0
		if p == path || link || err != nil {
			w.entry(p)
		}
		if !link || links == maxLinks {
			continue
		}
		if target, err := os.Readlink(p); err == nil {
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(p), target)
			}
			w.steps(target, links+1)
		}
	}
}

// entry watches one entry of a directory.
func (w *watch) entry(path string) {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		w.names[filepath.Join(dir, filepath.Base(path))] = true
		w.watch(dir)
	}
}

// concerns reports whether an event is about something that is watched. A
// watched directory outside of the source may be a busy one.
func (w *watch) concerns(e fsnotify.Event) bool {
	return w.names[e.Name] || w.wholes[e.Name] || w.wholes[filepath.Dir(e.Name)]
}

// settle waits until nothing happens any more.
func (w *watch) settle(ctx context.Context) error {
	end := time.NewTimer(maxQuiet)
	defer end.Stop()
	for {
		pause := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-end.C:
			pause.Stop()
			return nil
		case <-pause.C:
			return nil
		case <-w.events:
			pause.Stop()
		}
	}
}
