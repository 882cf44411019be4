//go:build !unix

package source

import (
	"errors"
	"os"
)

// lockDir fails where there is no lock that ends with a process.
func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
