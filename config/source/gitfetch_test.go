package source

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// stalling passes on so many bytes of an answer, and then nothing until the client goes.
type stalling struct {
	http.ResponseWriter
	request *http.Request
	left    int
}

func (s *stalling) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	s.left -= n
	if err == nil && s.left == 0 {
		_ = http.NewResponseController(s.ResponseWriter).Flush() // fails when the client has gone
		<-s.request.Context().Done()
		err = s.request.Context().Err()
	}
	return n, err
}

// gitServer serves the directory of repositories, and stalls after so many bytes of an answer.
func gitServer(t *testing.T, root string, after int) *httptest.Server {
	t.Helper()
	backend := httpBackend(t, root, "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend.ServeHTTP(&stalling{w, r, after}, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestGitLimitsAFetch in bytes and in files, as soon as what has come breaks them.
func TestGitLimitsAFetch(t *testing.T) {
	dir := newRepository(t)
	noise := rand.NewChaCha8([32]byte{})
	for i := range 5 {
		text := make([]byte, 700<<10)
		_, _ = noise.Read(text) // never fails
		write(t, fmt.Sprintf("%s/pictures/%d.png", dir, i), string(text))
	}
	commit(t, dir)
	for _, after := range []int{2 << 20, 1 << 30} { // the second passes all of it on
		server := gitServer(t, filepath.Dir(dir), after)
		g := newGit(server.URL + "/slos.git")
		g.MaxSize = 1 << 20
		require.Equal(t, "reading branch main of "+g.URL+": the repository is larger than 1MiB; keep SLO files in a repository of their own, "+
			"or raise limits.git_size of the service's own file", readError(t, g))
		g.MaxSize, g.MaxFiles = 0, 9
		require.Equal(t, "reading branch main of "+g.URL+": the repository has 10 files, directories and commits, more than 9; keep SLO files in a repository of their own, "+
			"or raise limits.git_files of the service's own file", readError(t, g))
		_, err := g.ReadGood(t.Context(), func(Tree) bool { return true })
		require.ErrorContains(t, err, "more than 9; keep SLO files")
	}
	g := newGit(gitServer(t, filepath.Dir(dir), 1<<30).URL + "/slos.git")
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))
	g = newGit(g.URL)
	g.MaxSize, g.MaxFiles = 5<<20, 10
	require.Equal(t, map[string]string{"slos/a.yaml": "1"}, texts(t, g))
}
