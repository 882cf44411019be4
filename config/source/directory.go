package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// Directory is a Source: the files *.yaml and *.yml of a directory and of the
// directories below it, or one file. What begins with a dot is left out.
// Symbolic links are followed as long as they stay in the directory, which may
// itself be a link.
type Directory struct {
	name     string
	path     string
	backends []string
	poll     time.Duration

	mu   sync.Mutex
	seen [sha256.Size]byte // what the last Read or Wait found
}

const (
	// directoryPoll is how long after a look at a directory the next one comes.
	directoryPoll = 2 * time.Second
	// shareOfLooks is how much longer than a look the time to the next one is, for large
	// directories.
	shareOfLooks = 20
	// quiet is how long a directory that has changed must stay as it is, so that one change
	// in several steps is one change. After so many looks it is not awaited any more.
	quiet    = 250 * time.Millisecond
	maxLooks = 8
)

// maxDepth is how deep directories may be nested.
const maxDepth = 100

// NewDirectory makes the source of a directory or file. Its SLOs may use the
// backends, or all when there are none.
func NewDirectory(path string, backends []string) *Directory {
	return &Directory{name: path, path: path, backends: backends, poll: directoryPoll}
}

// NewDirectoryIn makes the source of a path that is relative to base, but named without
// it.
func NewDirectoryIn(base, path string, backends []string) *Directory {
	return &Directory{name: path, path: promconfig.JoinDir(base, path), backends: backends, poll: directoryPoll}
}

// Name implements Source: the path as it is configured.
func (d *Directory) Name() string { return d.name }

// Read implements Source.
func (d *Directory) Read(ctx context.Context) (Tree, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tree(d.read(ctx))
}

// ReadGood implements Source. It leaves out files and directories that can't be
// read.
func (d *Directory) ReadGood(ctx context.Context, _ func(Tree) bool) (Tree, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tree(d.readOnce(ctx, true))
}

func (d *Directory) tree(files []File, err error) (Tree, error) {
	if err != nil {
		return Tree{}, err
	}
	return Tree{Source: d.name, Files: files, Backends: d.backends}, nil
}

// Wait implements Source. It reads the directory again and again, because many file systems
// report no changes, such as NFS and those that are mounted into containers.
func (d *Directory) Wait(ctx context.Context) error {
	for pause := d.poll; ; {
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		begun := time.Now() //nolint:forbidigo // how long a look takes, whatever time it is
		if d.changed(ctx) {
			break
		}
		pause = max(d.poll, shareOfLooks*time.Since(begun)) //nolint:forbidigo // likewise
	}
	for range maxLooks {
		if !sleep(ctx, quiet) || !d.changed(ctx) {
			break
		}
	}
	return ctx.Err()
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// changed reads the directory again and reports whether its files differ from
// the last time.
func (d *Directory) changed(ctx context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.seen
	_, _ = d.read(ctx) // an error may be a change as well
	return d.seen != before
}

// fingerprint is a hash of what a read gave, its error included.
func fingerprint(files []File, err error) [sha256.Size]byte {
	h := sha256.New()
	if err != nil {
		fmt.Fprintf(h, "%q", err.Error())
	}
	for _, f := range files {
		fmt.Fprintf(h, "%q %d ", f.Name, len(f.Text))
		h.Write(f.Text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// readAttempts bounds how often a directory is read again because it changed
// during the reading.
const readAttempts = 4

// read reads the directory until it is as it was before, so that no mixture is read that
// never was, as when Kubernetes updates a volume.
func (d *Directory) read(ctx context.Context) ([]File, error) {
	for attempt := 1; ; attempt++ {
		files, err := d.readOnce(ctx, false)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		before := d.seen
		if d.seen = fingerprint(files, err); d.seen == before || attempt == readAttempts {
			return files, err
		}
	}
}

// readOnce reads the directory, if lenient without what can't be read.
func (d *Directory) readOnce(ctx context.Context, lenient bool) ([]File, error) {
	k := &walk{ctx: ctx, shown: d.path, lenient: lenient}
	actual, err := filepath.EvalSymlinks(d.path)
	if err == nil {
		actual, err = filepath.Abs(actual)
	}
	if err != nil {
		return nil, unread(d.path, err)
	}
	info, err := os.Stat(actual)
	if err != nil {
		return nil, unread(d.path, err)
	}
	top := actual
	if !info.IsDir() {
		top = filepath.Dir(actual)
	}
	if k.root, err = os.OpenRoot(top); err != nil {
		return nil, unread(d.path, err)
	}
	defer k.root.Close()
	if info.IsDir() {
		err = k.directory(".", d.path, nil)
	} else {
		err = k.single(filepath.Base(actual), d.path)
	}
	if err != nil {
		return nil, err
	}
	return k.sorted(), nil
}

// walk is one reading of a directory.
type walk struct {
	collector
	ctx   context.Context
	root  *os.Root
	shown string // the directory as it is configured
	dirs  int

	lenient bool // leaves out what can't be read
}

// single reads one file, and the defaults of its directory.
func (k *walk) single(rel, shown string) error {
	if err := k.file(rel, shown); err != nil || rel == yamlfile.DefaultsName {
		return err
	}
	if info, err := k.root.Stat(yamlfile.DefaultsName); err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // there are none
	}
	return k.file(yamlfile.DefaultsName, filepath.Join(filepath.Dir(shown), yamlfile.DefaultsName))
}

// directory reads the directory rel of the root, whose name in findings is
// shown; above are the directories on the way to it, as rel.
func (k *walk) directory(rel, shown string, above []string) error {
	if k.ctx.Err() != nil {
		return k.ctx.Err()
	}
	if slices.Contains(above, rel) {
		return fmt.Errorf("%s is a link to a directory that holds it", shown)
	}
	if len(above) > maxDepth { // each file is opened by way of all directories above it
		return fmt.Errorf("%s: directories are nested more than %d deep", shown, maxDepth)
	}
	if k.dirs++; k.dirs > maxFiles {
		return fmt.Errorf("%s: there are more than %d directories", shown, maxFiles)
	}
	d, err := k.root.Open(rel)
	if err != nil {
		return unread(shown, err)
	}
	entries, err := d.ReadDir(-1)
	_ = d.Close() // it was only read
	if err != nil {
		return unread(shown, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	above = append(slices.Clone(above), rel)
	for _, e := range entries {
		if isHidden(e.Name()) {
			continue
		}
		err := k.entry(e, rel, filepath.Join(shown, e.Name()), above)
		if err != nil && (!k.lenient || k.ctx.Err() != nil) {
			return err
		}
	}
	return nil
}

func (k *walk) entry(e fs.DirEntry, rel, shown string, above []string) error {
	target := filepath.Join(rel, e.Name())
	mode := e.Type()
	if mode&fs.ModeSymlink != 0 {
		var err error
		if target, mode, err = k.follow(target, shown); err != nil || target == "" {
			return err
		}
	}
	switch {
	case mode.IsDir():
		return k.directory(target, shown, above)
	case !isSpec(e.Name()):
		return nil
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a regular file", shown)
	}
	return k.file(target, shown)
}

// follow gives where the link rel leads, as a path in the root, or "" when it
// is of no concern.
func (k *walk) follow(rel, shown string) (target string, mode fs.FileMode, err error) {
	link := filepath.Join(k.root.Name(), rel)
	actual, err := filepath.EvalSymlinks(link)
	if err != nil {
		if !isSpec(rel) {
			return "", 0, nil
		}
		return "", 0, fmt.Errorf("following the link %s: %w", shown, cause(err))
	}
	info, err := os.Lstat(actual)
	if err != nil {
		return "", 0, fmt.Errorf("following the link %s: %w", shown, cause(err))
	}
	target, err = filepath.Rel(k.root.Name(), actual)
	if err != nil || !filepath.IsLocal(target) {
		if !isSpec(rel) && !info.IsDir() {
			return "", 0, nil
		}
		return "", 0, fmt.Errorf("%s is a link to %s, which is outside of %s", shown, actual, k.shown)
	}
	return target, info.Mode().Type(), nil
}

func (k *walk) file(rel, shown string) error {
	f, err := k.root.Open(rel)
	if err != nil {
		return unread(shown, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return unread(shown, err)
	}
	if err := k.admit(shown, int64(len(text))); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return unread(shown, err)
	}
	k.files = append(k.files, File{shown, text, plausible(info.ModTime().UTC())})
	return nil
}

func unread(shown string, err error) error { return fmt.Errorf("reading %s: %w", shown, cause(err)) }

// cause returns an error without the path, which the caller adds in a better form.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
