package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhatKillLeaves is gone: git at once, its directory at the next start. What another
// process uses stays.
func TestWhatKillLeaves(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	asked, gone := make(chan struct{}, 100), make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		trickle(w, r)
		gone <- struct{}{}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	dir := t.TempDir()
	write(t, dir, "slos/checkout.yaml", checkout("99"))
	config := write(t, dir, "slowburn.yaml", `
specs: [{git: {url: '`+server.URL+`/slos.git'}}, {directory: ./slos}]
backends: [{url: '`+checkoutServer(t).URL+`'}]
`)
	// asking runs a service, until git of it is at the server and has a directory.
	asking := func() (kill func(), left string) {
		t.Helper()
		before, err := filepath.Glob(tmp + "/slowburn-git-*")
		require.NoError(t, err)
		_, kill = running(t, "--config", config)
		<-asked
		after, err := filepath.Glob(tmp + "/slowburn-git-*")
		require.NoError(t, err)
		for _, dir := range after {
			if !slices.Contains(before, dir) {
				return kill, dir
			}
		}
		require.Fail(t, "git has no directory")
		return nil, ""
	}

	kill, left := asking()
	_, used := asking()
	require.DirExists(t, left, "a start leaves alone what another process uses")
	kill()
	select {
	case <-gone:
	case <-time.After(soon):
		t.Fatal("git goes on without its parent")
	}
	require.DirExists(t, left)
	require.NoError(t, os.WriteFile(left+"/repo/large", make([]byte, 1<<20), 0o600))
	asking()
	require.NoDirExists(t, left)
	require.DirExists(t, used)
}
