package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestFailed says once that a backend is down, and otherwise names an SLO.
func TestFailed(t *testing.T) {
	r := &evaluator.Report{}
	for _, name := range []string{"invoices", "pdf", "saves"} {
		r.SLOs = append(r.SLOs, evaluator.Status{
			ID: "billing/" + name, Backend: "eu", State: evaluator.StateQueryFailed,
			StateReason: "querying " + name + "_total: dial tcp 127.0.0.1:1: connect: connection refused",
		})
	}
	require.EqualError(t, failed(r), "3 of 3 SLOs can't be evaluated: backend eu can't be read: dial tcp 127.0.0.1:1: connect: connection refused")
	r.SLOs[2].State = evaluator.StateOK
	require.ErrorContains(t, failed(r), "2 of 3 SLOs can't be evaluated, such as billing/invoices: querying invoices_total: ")
	r.SLOs[1].State = evaluator.StateOK
	require.ErrorContains(t, failed(r), "billing/invoices can't be evaluated: querying invoices_total: ")
	r.SLOs[0].State = evaluator.StateOK
	require.NoError(t, failed(r))
}

// TestIDsThatMayBeMeant are those that are spelt nearly so, or of the same service, not
// the first of the alphabet.
func TestIDsThatMayBeMeant(t *testing.T) {
	var slos []*slo.SLO
	for _, id := range []string{"accounts/availability", "billing/invoices", "billing/pdf", "cart/availability", "cart/latency",
		"catalogue/availability", "checkout/availability", "checkout/latency", "emails/sent", "search/results"} {
		service, name, _ := strings.Cut(id, "/")
		slos = append(slos, &slo.SLO{Service: service, Name: name})
	}
	for text, want := range map[string]string{
		"checkout/nope":         "; did you mean checkout/availability or checkout/latency?",
		"chekout/latency":       "; did you mean checkout/latency?",
		"Billing/pfd":           "; did you mean billing/pdf?",
		"shop/results":          "; did you mean search/results?",
		"latency":               "; did you mean cart/latency or checkout/latency?",
		"something/quite-other": ", there are accounts/availability, billing/invoices, billing/pdf, cart/availability, cart/latency, catalogue/availability, checkout/availability, checkout/latency or others",
	} {
		require.Equal(t, want, suggestions(text, slos), text)
	}
}

func TestExplainWantsTheIDFirst(t *testing.T) {
	dir := filepath.Dir(write(t, t.TempDir(), "checkout.yaml", checkout("99")))
	code, _, stderr := command(t, "explain", dir, "checkout/availability", "--backend", "http://127.0.0.1:1")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "slowburn: "+dir+" is a path; the SLO comes first: slowburn explain checkout/availability "+dir+"\n")
	code, _, stderr = command(t, "explain", dir, "--backend", "http://127.0.0.1:1")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "the id of an SLO comes first: slowburn explain checkout/availability "+dir+"\n")
}

// TestInterruptedInput ends the reading of a terminal on which nobody types.
func TestInterruptedInput(t *testing.T) {
	in, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	require.Equal(t, exitFailure, run(ctx, []string{"validate", "-"}, streams{in, io.Discard, &stderr}))
	require.Equal(t, "slowburn: interrupted\n", stderr.String())
}
