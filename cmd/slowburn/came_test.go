package main

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestWhenAnSLOCame: by the commit that had it first since the process began, from a
// directory when it was loaded. A later commit changes the time of no SLO that was there.
func TestWhenAnSLOCame(t *testing.T) {
	came := map[string]time.Time{}
	of := func(from source.Source) *reloader {
		r := newReloader([]source.Source{from}, alerting.BuiltIn().Check, newLogger(t.Output()), prometheus.NewRegistry())
		reads(t, r)
		r.apply = func(slos []*slo.SLO, _ []evaluator.Problem) {
			clear(came)
			for _, s := range slos {
				came[s.Name] = s.Origin.Came
			}
		}
		return r
	}
	repo := newRepository(t)
	at := func(hour int) time.Time { return time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC) }
	commit := func(hour int, files ...string) {
		t.Setenv("GIT_COMMITTER_DATE", at(hour).Format(time.RFC3339))
		repo.commit(files...)
	}
	commit(1, "checkout.yaml", checkout("99"))
	git := of(&source.Git{URL: "file://" + repo.dir, Branch: "main", Interval: time.Second})
	_, err := git.first(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]time.Time{"availability": at(1)}, came)
	commit(5, "other.yaml", other("other", "99"), "checkout.yaml", checkout("98"))
	require.NoError(t, git.reload(t.Context()))
	require.Equal(t, map[string]time.Time{"availability": at(1), "other": at(5)}, came)

	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	begun := time.Now().UTC()
	files := of(source.NewDirectory(dir, nil))
	_, err = files.first(t.Context())
	require.NoError(t, err)
	require.False(t, came["availability"].Before(begun) || came["availability"].After(time.Now()))
	before := came["availability"]
	write(t, dir, "checkout.yaml", checkout("98"))
	require.NoError(t, files.reload(t.Context()))
	require.Equal(t, before, came["availability"])
}
