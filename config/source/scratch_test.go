package source

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClearScratch removes what processes left that no longer live, and nothing else.
func TestClearScratch(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	used, err := NewScratch("git")
	require.NoError(t, err)
	left, err := NewScratch("demo")
	require.NoError(t, err)
	write(t, left.Dir+"/repo/objects/pack/tmp_pack_x", "PACK")
	require.NoError(t, left.lock.Close()) // as the end of a process does
	other := t.TempDir()
	write(t, other+"/x", "1")
	link(t, other, tmp+"/slowburn-git-link")
	write(t, tmp+"/slowburn-git-file", "1")
	write(t, tmp+"/slowburn-other/x", "1")
	write(t, tmp+"/slowburn-git-foreign/x", "1")

	require.NoError(t, ClearScratch())
	require.NoDirExists(t, left.Dir)
	require.DirExists(t, used.Dir)
	require.FileExists(t, other+"/x")
	require.FileExists(t, tmp+"/slowburn-git-file")
	require.FileExists(t, tmp+"/slowburn-other/x")
	require.FileExists(t, tmp+"/slowburn-git-foreign/x")

	require.NoError(t, used.Remove())
	require.NoDirExists(t, used.Dir)
}
