package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
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
	good := source.NewDirectory(filepath.Dir(write(t, t.TempDir(), "checkout.yaml", checkout("99"))), nil)
	slow := &gated{Directory: source.NewDirectory(filepath.Dir(write(t, t.TempDir(), "slow.yaml", other("slow", "99"))), nil), gate: make(chan struct{})}
	r, ids, problems := reloaderOfSources(t, slow, good)
	r.patience = 2 * time.Second
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
	r.deadline = 3 * time.Second // the good one takes less
	_, err = r.first(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability"}, ids())
	require.EqualError(t, r.reload(t.Context()), "what was good before stays:\nreading "+slow.Name()+" took longer than 3s")
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
	good := source.NewDirectory(dir, nil)
	slow := &gated{Directory: source.NewDirectory(t.TempDir(), nil), gate: make(chan struct{})}
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

// TestManySlowSourcesAreTakenOverTogether: what has been read while others are taken over is
// taken over at once.
func TestManySlowSourcesAreTakenOverTogether(t *testing.T) {
	t.Parallel()
	const many = 40
	gate, read := make(chan struct{}), new(sync.WaitGroup)
	read.Add(many)
	var sources []source.Source
	for i := range many {
		file := write(t, t.TempDir(), "slow.yaml", other(fmt.Sprintf("slow%d", i), "99"))
		sources = append(sources, &gated{Directory: source.NewDirectory(filepath.Dir(file), nil), gate: gate, read: read.Done})
	}
	r, ids, _ := reloaderOfSources(t, sources...)
	apply, times := r.apply, 0 // with the lock of r held
	r.apply = func(slos []*slo.SLO, problems []evaluator.Problem) {
		if times++; len(slos) > 0 {
			read.Wait()
		}
		apply(slos, problems)
	}
	r.patience = 0
	require.Error(t, r.reload(t.Context()))
	close(gate)
	until(t, soon, "all sources", func() bool { return len(ids()) == many })
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Less(t, times, 10)
}

// gated is a directory that is read when a gate opens.
type gated struct {
	*source.Directory
	gate chan struct{}
	read func() // is called once it has been read; nil for nothing
}

func (g *gated) Read(ctx context.Context) (source.Tree, error) {
	select {
	case <-ctx.Done():
		return source.Tree{}, ctx.Err()
	case <-g.gate:
	}
	if g.read != nil {
		defer g.read()
	}
	return g.Directory.Read(ctx)
}
