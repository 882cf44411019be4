package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Scratch is a directory for temporary files. A file in it is locked while its process lives,
// so that ClearScratch finds the directories of processes that were killed.
type Scratch struct {
	Dir  string
	lock *flock.Flock
}

func lockOf(dir string, option ...flock.Option) *flock.Flock {
	return flock.New(filepath.Join(dir, "lock"), option...)
}

// NewScratch makes a directory whose name begins with slowburn- and a kind.
func NewScratch(kind string) (*Scratch, error) {
	for {
		dir, err := os.MkdirTemp("", "slowburn-"+kind+"-")
		if err != nil {
			return nil, err
		}
		lock := lockOf(dir)
		locked, err := lock.TryLock()
		// A process that starts may have seen the directory before it was locked.
		if _, gone := os.Stat(dir); gone == nil && (locked || err != nil) {
			return &Scratch{dir, lock}, nil //nolint:nilerr // some file systems have no locks
		}
	}
}

// Remove removes the directory and all in it.
func (s *Scratch) Remove() error {
	return errors.Join(s.lock.Close(), os.RemoveAll(s.Dir))
}

// ClearScratch removes the directories of processes that no longer live.
func ClearScratch() error {
	var errs []error
	for _, kind := range []string{"git", "demo"} {
		dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "slowburn-"+kind+"-*"))
		errs = append(errs, err)
		for _, dir := range dirs {
			lock := lockOf(dir, flock.SetFlag(os.O_RDWR)) // does not make the file
			if locked, err := lock.TryLock(); err != nil || !locked {
				continue // somebody uses it, or it is no directory of this program's
			}
			if err := (&Scratch{dir, lock}).Remove(); err != nil {
				errs = append(errs, fmt.Errorf("removing %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}
