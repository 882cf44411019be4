package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config"
)

// slowGit is a Git server that hangs, or that goes on for ever with an answer that is fine
// so far. It reports each request.
func slowGit(t *testing.T, trickles bool) (url string, asked <-chan struct{}) {
	t.Helper()
	requests := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		if !trickles {
			<-r.Context().Done()
			return
		}
		trickle(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL + "/slos.git", requests
}

// trickle answers a Git program without end, until that goes.
func trickle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	text := "001e# service=git-upload-pack\n0000"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(text)); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		text = "003f" + strings.Repeat("1", 40) + " refs/heads/branch\n"
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// TestOneBadSourceStarvesNobody: beside Git servers that hang or trickle the service starts
// with its directory, follows it, and reloads it when asked to.
func TestOneBadSourceStarvesNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slos := filepath.Join(dir, "slos")
	write(t, slos, "checkout.yaml", checkout("99"))
	hanging, _ := slowGit(t, false)
	trickling, _ := slowGit(t, true)
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", `
specs: [{git: {url: '`+hanging+`'}}, {git: {url: '`+trickling+`'}}, {directory: ./slos}]
backends: [{url: '`+checkoutServer(t).URL+`'}]
`))
	s.untilObjective("checkout/availability", 0.99)
	var texts []string
	for _, p := range s.report().Problems {
		texts = append(texts, p.Message)
	}
	require.Equal(t, []string{hanging + " is still being read", trickling + " is still being read"}, texts)
	require.Equal(t, 0.0, s.metrics()[`slowburn_source_last_load_successful{source="`+hanging+`"}`])
	require.Equal(t, 1.0, s.metrics()[`slowburn_source_last_load_successful{source="./slos"}`])

	write(t, slos, "checkout.yaml", checkout("98"))
	s.untilObjective("checkout/availability", 0.98)

	write(t, slos, "checkout.yaml", checkout("97"))
	begun := time.Now()
	code, text := post(t, s.URL+"/-/reload")
	require.Less(t, time.Since(begun), soon)
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, text, hanging+", "+trickling+": still being read, taken over when that ends")
	s.untilObjective("checkout/availability", 0.97)
}

// TestASlowNewConfiguration holds up neither the files of the old one nor the next one.
func TestASlowNewConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slos := filepath.Join(dir, "slos")
	write(t, slos, "checkout.yaml", checkout("99"))
	hanging, asked := slowGit(t, false)
	backend := checkoutServer(t).URL
	configure := func(more string) string {
		return write(t, dir, "slowburn.yaml", "specs: [{directory: ./slos}"+more+"]\nbackends: [{url: '"+backend+"'}]\n")
	}
	s := serving(t, "--config", configure(""))
	s.untilObjective("checkout/availability", 0.99)
	file := configure(", {git: {url: '" + hanging + "'}}")
	select {
	case <-asked:
	case <-time.After(soon):
		t.Fatal("the new configuration is not read")
	}
	write(t, slos, "checkout.yaml", checkout("98"))
	begun := time.Now()
	code, text := post(t, s.URL+"/-/reload")
	require.Less(t, time.Since(begun), soon)
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, text, file+": sources of the new configuration are still being read")
	s.untilObjective("checkout/availability", 0.98)

	write(t, dir, "more/other.yaml", other("other", "97"))
	configure(", {directory: ./more}")
	s.untilObjective("checkout/other", 0.97)
	require.Empty(t, s.report().Problems)
	code, text = post(t, s.URL+"/-/reload")
	require.Equal(t, http.StatusOK, code, text)
}

// TestASlowSourceIsTakenOver when it has been read, though nobody waits for it any more. A
// source that takes too long is reported, and was not read.
func TestASlowSourceIsTakenOver(t *testing.T) {
	t.Parallel()
	good := config.NewDirectory(filepath.Dir(write(t, t.TempDir(), "checkout.yaml", checkout("99"))), nil)
	slow := &gated{Directory: config.NewDirectory(filepath.Dir(write(t, t.TempDir(), "slow.yaml", other("slow", "99"))), nil), gate: make(chan struct{})}
	r, ids, problems := reloaderOfSources(t, slow, good)
	r.patience = 100 * time.Millisecond
	_, err := r.first(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability"}, ids())
	require.Equal(t, slow.Name()+" is still being read", (*problems)[0].Message)
	require.EqualError(t, r.reload(t.Context()), "what was good before stays:\n"+slow.Name()+" is still being read\n"+
		slow.Name()+": still being read, taken over when that ends")
	close(slow.gate)
	until(t, soon, "the slow source", func() bool { return slices.Equal(ids(), []string{"checkout/availability", "checkout/slow"}) })
	require.NoError(t, r.reload(t.Context()))

	slow = &gated{Directory: slow.Directory, gate: make(chan struct{})}
	r, ids, _ = reloaderOfSources(t, slow, good)
	r.deadline = 10 * time.Millisecond
	_, err = r.first(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability"}, ids())
	require.EqualError(t, r.reload(t.Context()), "what was good before stays:\nreading "+slow.Name()+" took longer than 10ms")
	close(slow.gate)
	r.deadline = time.Minute
	require.NoError(t, r.reload(t.Context()))
	require.Equal(t, []string{"checkout/availability", "checkout/slow"}, ids())
}

// TestWhoAsksMayGo: what was read for a client that hangs up is taken over.
func TestWhoAsksMayGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	good := config.NewDirectory(dir, nil)
	slow := &gated{Directory: config.NewDirectory(t.TempDir(), nil), gate: make(chan struct{})}
	r, ids, _ := reloaderOfSources(t, slow, good)
	r.patience = time.Millisecond
	_, err := r.first(t.Context())
	require.NoError(t, err)
	r.patience = time.Minute

	write(t, dir, "other.yaml", other("other", "99"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.reload(ctx) }()
	until(t, soon, "the directory", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.newest[good].tree.Files) == 2
	})
	cancel()
	require.Error(t, <-ended)
	until(t, soon, "what was read", func() bool { return slices.Equal(ids(), []string{"checkout/availability", "checkout/other"}) })
}

// gated is a directory that is read when a gate opens.
type gated struct {
	*config.Directory
	gate chan struct{}
}

func (g *gated) Read(ctx context.Context) (config.Tree, error) {
	select {
	case <-ctx.Done():
		return config.Tree{}, ctx.Err()
	case <-g.gate:
	}
	return g.Directory.Read(ctx)
}
