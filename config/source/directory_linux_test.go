package source

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDirectoryUnreadable reads as a user without rights; root would have them.
func TestDirectoryUnreadable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "1")
	require.NoError(t, os.Chmod(dir+"/a.yaml", 0))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	errs := make(chan error)
	go func() {
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // the identity is this thread's, which ends with this function
			_ = syscall.Setfsuid(65534)
		}
		_, err := NewDirectory(dir, nil).Read(t.Context())
		errs <- err
	}()
	require.EqualError(t, <-errs, "reading "+dir+"/a.yaml: permission denied")
}
