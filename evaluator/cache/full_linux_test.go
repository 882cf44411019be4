package cache_test

import (
	"os/signal"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/cache"
)

// A write that the disk refuses leaves the old entry, and no other file.
func TestADiskThatIsFull(t *testing.T) {
	path := t.TempDir()
	// A limit of the size of files stands in for the disk: it fails in the same way, by a
	// short write and an error, and needs no privilege.
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	})
	d := cache.NewDirectory(path, 1<<20, "1.0")
	require.NoError(t, d.Write(header(keyA), []byte("old")))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: before.Max}))
	random := make([]byte, 1<<20)
	state := uint32(1)
	for i := range random {
		state = state*1664525 + 1013904223
		random[i] = byte(state >> 24)
	}
	require.ErrorIs(t, d.Write(header(keyA), random), syscall.EFBIG)
	_, data, err := d.Read(keyA)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	require.Equal(t, []string{keyA + ".slowburn"}, files(t, path))
}
