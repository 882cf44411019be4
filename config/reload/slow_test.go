package reload

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestASlowSourceIsTakenOver expects that a source is used when it has been read, though nobody
// waits any more. A source that takes too long is an error.
func TestASlowSourceIsTakenOver(t *testing.T) {
	t.Parallel()
	good := source.NewDirectory(filepath.Dir(write(t, t.TempDir(), "checkout.yaml", checkout("99"))), nil)
	slow := &gated{Directory: source.NewDirectory(filepath.Dir(write(t, t.TempDir(), "slow.yaml", other("slow", "99"))), nil), gate: make(chan struct{})}
	r, ids, problems := reloaderOfSources(t, slow, good)
	r.patience = 2 * time.Second
	_, err := r.First(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability"}, ids())
	require.Equal(t, slow.Name()+" is still being read", (*problems)[0].Message)
	require.EqualError(t, r.Reload(t.Context()), "the last good files stay live:\n"+slow.Name()+" is still being read\n"+
		slow.Name()+": still being read, taken over when that ends")
	close(slow.gate)
	until(t, "the slow source", func() bool { return slices.Equal(ids(), []string{"checkout/availability", "checkout/slow"}) })
	require.NoError(t, r.Reload(t.Context()))

	slow = &gated{Directory: slow.Directory, gate: make(chan struct{})}
	r, ids, _ = reloaderOfSources(t, slow, good)
	r.deadline = 3 * time.Second // the good one takes less
	_, err = r.First(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability"}, ids())
	require.EqualError(t, r.Reload(t.Context()), "the last good files stay live:\nreading "+slow.Name()+" took longer than 3s")
	close(slow.gate)
	r.deadline = time.Minute
	require.NoError(t, r.Reload(t.Context()))
	require.Equal(t, []string{"checkout/availability", "checkout/slow"}, ids())
}

// TestWhoAsksMayGo expects that files which were read for a client that hangs up are used.
func TestWhoAsksMayGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	good := source.NewDirectory(dir, nil)
	slow := &gated{Directory: source.NewDirectory(t.TempDir(), nil), gate: make(chan struct{})}
	r, ids, _ := reloaderOfSources(t, slow, good)
	r.patience = time.Millisecond
	_, err := r.First(t.Context())
	require.NoError(t, err)
	r.patience = time.Minute

	write(t, dir, "other.yaml", other("other", "99"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Reload(ctx) }()
	until(t, "the directory", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.newest[good].tree.Files) == 2
	})
	cancel()
	require.Error(t, <-ended)
	until(t, "what was read", func() bool { return slices.Equal(ids(), []string{"checkout/availability", "checkout/other"}) })
}

// TestManySlowSourcesAreTakenOverTogether expects few updates for many sources that end together.
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
	apply, times := r.Apply, 0 // with the lock of r held
	r.Apply = func(slos []*slo.SLO, problems []evaluator.Problem) {
		if times++; len(slos) > 0 {
			read.Wait()
		}
		apply(slos, problems)
	}
	r.patience = 0
	require.Error(t, r.Reload(t.Context()))
	close(gate)
	until(t, "all sources", func() bool { return len(ids()) == many })
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
