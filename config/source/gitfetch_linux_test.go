package source

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGitLimitsMemory: what a server says about its branches is as long as it likes.
func TestGitLimitsMemory(t *testing.T) {
	lines := strings.Repeat("003f"+strings.Repeat("1", 40)+" refs/heads/branch\n", 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, err := io.WriteString(w, "001e# service=git-upload-pack\n0000")
		for left := 2 << 30; left > 0 && err == nil; left -= len(lines) {
			_, err = io.WriteString(w, lines)
		}
	}))
	t.Cleanup(server.Close)
	g := newGit(server.URL + "/slos.git")
	require.Contains(t, readError(t, g), "Out of memory")
}
