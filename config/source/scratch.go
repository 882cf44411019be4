package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Scratch is a directory for temporary files. It is locked while its process lives, so
// that ClearScratch finds the directories of processes that were killed.
type Scratch struct {
	Dir  string
	lock *os.File // nil where there are no locks
}

// NewScratch makes a directory whose name begins with slowburn- and a kind.
func NewScratch(kind string) (*Scratch, error) {
	for {
		dir, err := os.MkdirTemp("", "slowburn-"+kind+"-")
		if err != nil {
			return nil, err
		}
		lock, err := lockDir(dir)
		if errors.Is(err, errTaken) {
			continue // a process that starts has seen it before it was locked
		}
		return &Scratch{dir, lock}, nil // also without a lock, which some file systems don't have
	}
}

// Remove removes the directory and all in it.
func (s *Scratch) Remove() error {
	err := os.RemoveAll(s.Dir)
	if s.lock != nil {
		_ = s.lock.Close() // after the removal, for it ends the lock
	}
	return err
}

// errTaken says that another process has locked or removed a directory.
var errTaken = errors.New("the directory is taken")

// ClearScratch removes the directories of processes that no longer live.
func ClearScratch() error {
	var errs []error
	for _, kind := range []string{"git", "demo"} {
		dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "slowburn-"+kind+"-*"))
		errs = append(errs, err)
		for _, dir := range dirs {
			lock, err := lockDir(dir)
			if err != nil {
				continue // somebody uses it, or it is no directory of this program's
			}
			if err := (&Scratch{dir, lock}).Remove(); err != nil {
				errs = append(errs, fmt.Errorf("removing %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}
