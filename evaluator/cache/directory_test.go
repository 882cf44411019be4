package cache_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/cache"
)

var until = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

var keyA, keyB = cache.KeyOf("a"), cache.KeyOf("b")

func header(key string) cache.Header {
	return cache.Header{Key: key, Name: "shop/" + key, Until: until}
}

// files returns the names of the files of a directory.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range all {
		out = append(out, f.Name())
	}
	return out
}

func TestDirectoryReturnsWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	d := cache.NewDirectory(path, 1<<20, "1.0")
	_, _, err := d.Read(keyA)
	require.ErrorIs(t, err, cache.ErrNone)
	entries, err := d.Entries()
	require.NoError(t, err)
	require.Empty(t, entries)

	require.NoError(t, d.Write(header(keyA), []byte("old")))
	require.NoError(t, d.Write(header(keyA), []byte("new")))
	require.NoError(t, d.Write(header(keyB), nil))
	h, data, err := d.Read(keyA)
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
	require.Equal(t, cache.Header{Version: "1.0", Key: keyA, Name: "shop/" + keyA, Until: until}, h)
	require.Len(t, files(t, path), 2)
	info, err := os.Stat(filepath.Join(path, files(t, path)[0]))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	_, _, err = cache.NewDirectory(path, 1<<20, "1.1").Read(keyA)
	require.ErrorContains(t, err, "version 1.0")
	entries, err = d.Entries()
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, until, entries[0].Until)
	n, size, err := d.Clear()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Positive(t, size)
	require.Empty(t, files(t, path))
}

// No bit of a file can change, and no end of it be lost, without an error.
func TestDamagedEntriesAreRefused(t *testing.T) {
	path := t.TempDir()
	d := cache.NewDirectory(path, 1<<20, "1.0")
	require.NoError(t, d.Write(header(keyA), []byte(strings.Repeat("history ", 50))))
	file := filepath.Join(path, files(t, path)[0])
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for n := range whole {
		damaged := bytes.Clone(whole)
		damaged[n] ^= 1 << (n % 8)
		for _, text := range [][]byte{damaged, whole[:n]} {
			require.NoError(t, os.WriteFile(file, text, 0o600))
			_, _, err := d.Read(keyA)
			require.Error(t, err, "byte %d", n)
		}
	}
	entries, err := d.Entries()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Error(t, entries[0].Err)
	require.NoError(t, os.Rename(file, filepath.Join(path, keyB+".slowburn")))
	require.NoError(t, os.WriteFile(filepath.Join(path, keyB+".slowburn"), whole, 0o600))
	_, _, err = d.Read(keyB)
	require.ErrorContains(t, err, "something else")
}

// The entries that were written longest ago go first. Files of others stay.
func TestTheSizeOfADirectoryIsBounded(t *testing.T) {
	path := t.TempDir()
	d := cache.NewDirectory(path, 2500, "1.0")
	now := time.Now()
	require.NoError(t, os.WriteFile(filepath.Join(path, "notes.txt"), make([]byte, 5000), 0o600))
	for name, age := range map[string]time.Duration{"of-others.tmp": 2 * time.Hour, keyA + "-1.tmp": 2 * time.Hour, keyA + "-2.tmp": time.Minute} {
		require.NoError(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
		require.NoError(t, os.Chtimes(filepath.Join(path, name), now, now.Add(-age)))
	}
	for i := range 5 {
		random := make([]byte, 700) // does not get smaller
		for j := range random {
			random[j] = byte((i*7919 + j*j*104729 + j*31) >> 3)
		}
		key := cache.KeyOf(fmt.Sprint(i))
		require.NoError(t, d.Write(header(key), random))
		require.NoError(t, os.Chtimes(filepath.Join(path, key+".slowburn"), now, now.Add(-time.Duration(i)*time.Hour)))
	}
	size, err := d.Trim(now)
	require.NoError(t, err)
	require.LessOrEqual(t, size, int64(2500))
	n := len(files(t, path)) - 3 // the others are listed below
	require.Positive(t, n)
	want := []string{"notes.txt", "of-others.tmp", keyA + "-2.tmp"}
	for i := range n {
		want = append(want, cache.KeyOf(fmt.Sprint(i))+".slowburn")
	}
	require.ElementsMatch(t, want, files(t, path))
}

// A process that is killed at any moment leaves whole entries, and two that write at the
// same time don't damage each other's.
func TestKilledAndConcurrentWriters(t *testing.T) {
	if dir := os.Getenv("SLOWBURN_CACHE_WRITER"); dir != "" {
		d := cache.NewDirectory(dir, 1<<30, "1.0")
		for i := 0; ; i++ {
			require.NoError(t, d.Write(header(keyA), bytes.Repeat([]byte{byte(i)}, 300_000)))
			if i == 0 {
				_, err := os.Stdout.WriteString("written")
				require.NoError(t, err)
			}
		}
	}
	path := t.TempDir()
	d := cache.NewDirectory(path, 1<<30, "1.0")
	for range 5 {
		var writers []*exec.Cmd
		for range 2 {
			c := exec.Command(os.Args[0], "-test.run=TestKilledAndConcurrentWriters")
			c.Env = append(os.Environ(), "SLOWBURN_CACHE_WRITER="+path)
			out, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			_, err = out.Read(make([]byte, 1)) // the first entry is written
			require.NoError(t, err)
			writers = append(writers, c)
		}
		for range 200 {
			requireWhole(t, d)
		}
		for _, c := range writers {
			require.NoError(t, c.Process.Kill())
			_ = c.Wait() // it was killed
		}
		requireWhole(t, d)
	}
	_, err := d.Trim(time.Now().Add(2 * time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{keyA + ".slowburn"}, files(t, path))
}

// requireWhole requires that an entry is one that a writer wrote, whole.
func requireWhole(t *testing.T, d *cache.Directory) {
	t.Helper()
	_, data, err := d.Read(keyA)
	require.NoError(t, err)
	require.Len(t, data, 300_000)
	require.Equal(t, 300_000, bytes.Count(data, data[:1]))
}
