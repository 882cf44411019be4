package reload

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestSinceWhenCommitsAreRejected expects the time of the first bad commit, also for a process
// that starts later. The next bad commits after a good one have their own.
func TestSinceWhenCommitsAreRejected(t *testing.T) {
	repo := newRepository(t)
	at := func(hour int) time.Time { return time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC) }
	commit := func(hour int, objective string) { repo.commit(t, at(hour), "checkout.yaml", checkout(objective)) }
	begin := func() (*Reloader, *[]evaluator.Problem) {
		git := &source.Git{URL: "file://" + string(repo), Branch: "main", Interval: time.Second}
		r := newReloader(t, git)
		problems := &[]evaluator.Problem{}
		r.Apply = func(_ []*slo.SLO, found []evaluator.Problem) { *problems = found }
		_, err := r.First(t.Context())
		require.NoError(t, err)
		return r, problems
	}
	since := func(problems *[]evaluator.Problem) (out []time.Time) {
		for _, p := range *problems {
			out = append(out, p.Since)
		}
		return out
	}
	commit(1, "99")
	r, problems := begin()
	require.Empty(t, *problems)
	for hour, objective := range []string{3: "100", 4: "101", 5: "102"} {
		if objective == "" {
			continue
		}
		commit(hour, objective)
		require.Error(t, r.Reload(t.Context()))
		require.Equal(t, []time.Time{at(3), at(3)}, since(problems))
		_, fresh := begin()
		require.Equal(t, []time.Time{at(3), at(3)}, since(fresh), "a process that starts at %d", hour)
	}
	commit(6, "98")
	require.NoError(t, r.Reload(t.Context()))
	commit(7, "100")
	require.Error(t, r.Reload(t.Context()))
	require.Equal(t, []time.Time{at(7), at(7)}, since(problems))
}

// TestSinceWhenFilesAreRejected expects the newest change of a file with errors, and of a
// configuration.
func TestSinceWhenFilesAreRejected(t *testing.T) {
	dir := t.TempDir()
	at := func(hour int) time.Time { return time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC) }
	put := func(hour int, name, text string) string {
		file := write(t, dir, name, text)
		require.NoError(t, os.Chtimes(file, at(hour), at(hour)))
		return file
	}
	put(9, "checkout.yaml", checkout("99"))
	put(3, "bad.yaml", other("bad", "100"))
	r, _, problems := reloaderOf(t, dir)
	_, err := r.First(t.Context())
	require.NoError(t, err)
	since := func() time.Time {
		first := (*problems)[0].Since
		for _, p := range *problems {
			require.Equal(t, first, p.Since, p.Message)
		}
		return first
	}
	require.Equal(t, at(3), since())
	put(5, "worse.yaml", other("worse", "101"))
	require.Error(t, r.Reload(t.Context()))
	require.Equal(t, at(5), since())
	put(6, "worse.yaml", other("worse", "99"))
	require.Error(t, r.Reload(t.Context()))
	require.Equal(t, at(3), since())
	put(7, "bad.yaml", other("bad", "99"))
	require.NoError(t, r.Reload(t.Context()))
	require.Empty(t, *problems)

	file := put(8, "slowburn.txt", "specs: 1\n")
	r.SetConfigError(file, os.ErrInvalid)
	require.Error(t, r.Reload(t.Context()))
	require.Equal(t, at(8), since())
	require.Equal(t, file, (*problems)[0].Source)
}
