package reload

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestWhenAnSLOCame expects the commit that had an SLO first since the process began, and
// for a directory the time of loading. Later commits change no SLO that was there.
func TestWhenAnSLOCame(t *testing.T) {
	came := map[string]time.Time{}
	of := func(from source.Source) *Reloader {
		r := newReloader(t, from)
		r.Apply = func(slos []*slo.SLO, _ []evaluator.Problem) {
			clear(came)
			for _, s := range slos {
				came[s.Name] = s.Origin.Came
			}
		}
		return r
	}
	repo := newRepository(t)
	at := func(hour int) time.Time { return time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC) }
	repo.commit(t, at(1), "checkout.yaml", checkout("99"))
	git := of(&source.Git{URL: "file://" + string(repo), Branch: "main", Interval: time.Second})
	_, err := git.First(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]time.Time{"availability": at(1)}, came)
	write(t, string(repo), "other.yaml", other("other", "99"))
	repo.commit(t, at(5), "checkout.yaml", checkout("98"))
	require.NoError(t, git.Reload(t.Context()))
	require.Equal(t, map[string]time.Time{"availability": at(1), "other": at(5)}, came)

	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	begun := time.Now().UTC()
	files := of(source.NewDirectory(dir, nil))
	_, err = files.First(t.Context())
	require.NoError(t, err)
	require.False(t, came["availability"].Before(begun) || came["availability"].After(time.Now()))
	before := came["availability"]
	write(t, dir, "checkout.yaml", checkout("98"))
	require.NoError(t, files.Reload(t.Context()))
	require.Equal(t, before, came["availability"])
}
