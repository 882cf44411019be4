package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// contents are the files of dir by name, hidden ones included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		out[e.Name()] = string(text)
	}
	return out
}

func TestWriteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "rules")
	require.NoError(t, writeFiles(dir, map[string][]byte{"a.yaml": []byte("# own\na"), "b.yaml": []byte("# own\nb")}, "# own"))
	require.Equal(t, map[string]string{"a.yaml": "# own\na", "b.yaml": "# own\nb"}, contents(t, dir))

	// A later run leaves what is right, and what is somebody else's.
	old := time.Unix(1e9, 0)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "a.yaml"), old, old))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte("groups: []"), 0o600))
	require.NoError(t, writeFiles(dir, map[string][]byte{"a.yaml": []byte("# own\na"), "c.yaml": []byte("# own\nc")}, "# own"))
	require.Equal(t, map[string]string{"a.yaml": "# own\na", "c.yaml": "# own\nc", "mine.yaml": "groups: []"}, contents(t, dir))
	info, err := os.Stat(filepath.Join(dir, "a.yaml"))
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(old), "a.yaml was written again")
	info, err = os.Stat(filepath.Join(dir, "c.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())
}

func TestWriteFilesChangesNothingOnError(t *testing.T) {
	before := map[string]string{"a.yaml": "# own\na", "mine.yaml": "groups: []"}
	tests := map[string]map[string][]byte{
		"name taken":     {"a.yaml": []byte("# own\nA"), "mine.yaml": []byte("# own\n")},
		"no marker":      {"a.yaml": []byte("# own\nA"), "b.yaml": []byte("b")},
		"not a name":     {"a.yaml": []byte("# own\nA"), "../b.yaml": []byte("# own\n")},
		"is a directory": {"a.yaml": []byte("# own\nA"), ".": []byte("# own\n")},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range before {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			require.Error(t, writeFiles(dir, files, "# own"))
			require.Equal(t, before, contents(t, dir))
		})
	}
}
