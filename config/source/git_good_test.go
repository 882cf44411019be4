package source

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGitReadGood takes the newest of the last 50 commits that is whole, whatever
// keeps the newer ones from being used.
func TestGitReadGood(t *testing.T) {
	dir := newRepository(t)
	write(t, dir+"/slos/a.yaml", "good")
	good := commit(t, dir)
	write(t, dir+"/slos/a.yaml", "bad")
	commit(t, dir)
	link(t, "/etc/passwd", dir+"/slos/b.yaml")
	commit(t, dir)
	g := newGit("file://" + dir)
	require.Contains(t, readError(t, g), "which is outside of the repository")
	tried := 0
	whole := func(tree Tree) bool {
		tried++
		return string(tree.Files[0].Text) == "good"
	}
	tree, err := g.ReadGood(t.Context(), whole)
	require.NoError(t, err)
	require.Equal(t, good, tree.Revision)
	require.Equal(t, []File{{Name: "slos/a.yaml", Text: []byte("good")}}, tree.Files)
	require.Equal(t, 2, tried, "what can't be loaded is not asked about")

	for range 48 {
		run(t, dir, "git", "commit", "--quiet", "--allow-empty", "--message=x")
	}
	_, err = g.ReadGood(t.Context(), whole)
	require.EqualError(t, err, "reading branch main of file://"+dir+": none of the last 50 commits loads whole")
}

// TestGitReadGoodFollowsTheBranch: commits of a branch that was merged never were
// what the branch said.
func TestGitReadGoodFollowsTheBranch(t *testing.T) {
	dir := newRepository(t)
	write(t, dir+"/slos/a.yaml", "good, old")
	good := commit(t, dir)
	run(t, dir, "git", "checkout", "--quiet", "-b", "work")
	write(t, dir+"/slos/a.yaml", "good, but never on main")
	commit(t, dir)
	run(t, dir, "git", "checkout", "--quiet", "main")
	run(t, dir, "git", "merge", "--quiet", "--no-ff", "--no-commit", "work")
	write(t, dir+"/slos/a.yaml", "bad")
	commit(t, dir)
	tree, err := newGit("file://"+dir).ReadGood(t.Context(), func(tree Tree) bool { return strings.HasPrefix(string(tree.Files[0].Text), "good") })
	require.NoError(t, err)
	require.Equal(t, good, tree.Revision)
}
