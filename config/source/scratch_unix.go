//go:build unix

package source

import (
	"errors"
	"os"
	"syscall"
)

// lockDir locks a directory of this user's until the file is closed, or the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	} else if err != nil {
		return nil, err
	}
	if err := lockFile(f, dir); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func lockFile(f *os.File, dir string) error {
	opened, err := f.Stat()
	if err != nil {
		return err
	}
	if owner := opened.Sys().(*syscall.Stat_t).Uid; int64(owner) != int64(os.Geteuid()) {
		return os.ErrPermission
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errTaken
	case err != nil:
		return err
	}
	if now, err := os.Lstat(dir); err != nil || !os.SameFile(now, opened) {
		return errTaken // it was removed before it was locked
	}
	return nil
}
