package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
