package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// other is an SLO file for another SLO of the shop.
func other(name, objective string) string {
	return strings.Replace(checkout(objective), "availability", name, 1)
}

// TestServeStartsBesideABadFile: the others are watched, and everybody hears of
// the bad one, until it is corrected.
func TestServeStartsBesideABadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slos := filepath.Join(dir, "slos")
	write(t, slos, "checkout.yaml", checkout("99"))
	write(t, slos, "bad.yaml", other("bad", "100"))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(slos, "link.yaml")))
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", "specs: [{directory: ./slos}]\nbackends: [{url: '"+checkoutServer(t).URL+"'}]\n"))
	const loaded = `slowburn_source_last_load_successful{source="./slos"}`
	s.untilState(waitLimit, "checkout/availability", evaluator.StateOK)
	require.Equal(t, []string{"checkout/availability"}, s.report().ids())
	require.Equal(t, 0.0, s.metrics()[loaded])
	require.Contains(t, s.metrics(), `slowburn_source_info{revision="",source="./slos"}`)
	require.Contains(t, s.log.String(), "link.yaml is a link to /etc/passwd")
	require.Equal(t, 1, s.log.count("SLO files are rejected"))
	code, text := s.get("/-/ready")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, "slowburn is ready, degraded: ")
	_, page := s.get("/")
	require.Contains(t, page, "link.yaml is a link to /etc/passwd")

	require.NoError(t, os.Remove(filepath.Join(slos, "link.yaml")))
	until(t, soon, "the other bad file alone", func() bool {
		_, page = s.get("/")
		return !strings.Contains(page, "link.yaml")
	})
	require.Contains(t, page, "objective 100 leaves no error budget")
	require.Contains(t, page, "the newest text of 1 of 2 files is not used: ")
	require.Equal(t, []string{"checkout/availability"}, s.report().ids())

	// What is good of it is followed until all of it is.
	write(t, slos, "checkout.yaml", checkout("98"))
	s.untilObjective("checkout/availability", 0.98)
	require.Equal(t, 0.0, s.metrics()[loaded])
	write(t, slos, "checkout.yaml", checkout("101"))
	until(t, soon, "another bad file", func() bool { return strings.Contains(s.log.String(), "objective 101") })
	require.Equal(t, 0.98, s.report().slo("checkout/availability").Objective, "it stays as it was")
	write(t, slos, "checkout.yaml", checkout("97"))
	write(t, slos, "bad.yaml", other("bad", "99"))
	s.untilObjective("checkout/bad", 0.99)
	s.untilObjective("checkout/availability", 0.97)
	require.Empty(t, s.report().Problems)
	require.Equal(t, 1.0, s.metrics()[loaded])
	_, text = s.get("/-/ready")
	require.Equal(t, "slowburn is ready\n", text)
}

// TestServeStartsAtTheNewestGoodCommit of a branch whose newest commit is bad.
func TestServeStartsAtTheNewestGoodCommit(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.commit("checkout.yaml", checkout("99"))
	good := repo.commit("checkout.yaml", checkout("98"))
	repo.commit("bad.yaml", other("bad", "100"))
	newest := repo.commit("checkout.yaml", checkout("97"))
	s := serving(t, "--config", write(t, t.TempDir(), "slowburn.yaml", `
specs: [{git: {url: 'file://`+repo.dir+`', interval: 1s}}]
backends: [{url: '`+checkoutServer(t).URL+`'}]
`))
	s.untilRevision(good)
	r := s.report()
	require.Equal(t, []string{"checkout/availability"}, r.ids())
	require.Equal(t, 0.98, r.SLOs[0].Objective)
	require.Equal(t, "bad.yaml", r.Problems[0].File, "the findings are those of the newest commit")
	require.Equal(t, "commit "+good[:12]+" is used instead of "+newest[:12]+": it is the newest without errors", r.Problems[1].Message)
	require.Equal(t, 1.0, s.metrics()[`slowburn_source_info{revision="`+good+`",source="file://`+repo.dir+`"}`])

	corrected := repo.commit("bad.yaml", other("bad", "99"))
	s.untilRevision(corrected)
	s.untilObjective("checkout/availability", 0.97)
	require.Empty(t, s.report().Problems)
}

// reads lets a reloader read its sources when it is asked to, until the test ends. It waits
// for them, however loaded the machine is.
func reads(t *testing.T, r *reloader) {
	r.patience = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// reloaderOf is a reloader of directories, with what it hands on.
func reloaderOf(t *testing.T, dirs ...string) (r *reloader, ids func() []string, problems *[]evaluator.Problem) {
	var sources []source.Source
	for _, dir := range dirs {
		sources = append(sources, source.NewDirectory(dir, nil))
	}
	return reloaderOfSources(t, sources...)
}

func reloaderOfSources(t *testing.T, sources ...source.Source) (r *reloader, ids func() []string, problems *[]evaluator.Problem) {
	r = newReloader(sources, alerting.BuiltIn().Check, newLogger(t.Output()), prometheus.NewRegistry())
	reads(t, r)
	var mu sync.Mutex
	var live []*slo.SLO
	problems = new([]evaluator.Problem)
	r.apply = func(slos []*slo.SLO, found []evaluator.Problem) {
		mu.Lock()
		defer mu.Unlock()
		live, *problems = slos, found
	}
	return r, func() []string {
		mu.Lock()
		defer mu.Unlock()
		var out []string
		for _, s := range live {
			out = append(out, s.ID())
		}
		return out
	}, problems
}

// TestRescueLeavesOutWhatNeedsABadFile: without its defaults, parts or place an SLO
// would be another one.
func TestRescueLeavesOutWhatNeedsABadFile(t *testing.T) {
	t.Parallel()
	dir, second := t.TempDir(), t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	write(t, dir, "bad.yaml", other("bad", "100"))
	write(t, dir, "journey.yaml", "apiVersion: slowburn/v1\nservice: shop\nslos:\n  - {name: buy, objective: 99, window: 1h, worst_of: [checkout/bad, checkout/availability]}\n")
	write(t, dir, "team/slowburn.defaults.yaml", "apiVersion: slowburn/v1\nkind: Defaults\nwindw: 1h\n")
	write(t, dir, "team/deep/a.yaml", other("a", "99"))
	write(t, second, "twice.yaml", checkout("95"))
	write(t, second, "good.yaml", other("good", "99"))
	r, ids, problems := reloaderOf(t, dir, second, filepath.Join(dir, "none"))
	set, err := r.first(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"checkout/availability", "checkout/good"}, ids())
	require.Len(t, set.SLOs, 2)
	var texts []string
	for _, p := range *problems {
		texts = append(texts, p.Message)
	}
	text := strings.Join(texts, "\n")
	require.Contains(t, text, "none: no such file or directory")
	require.Contains(t, text, "objective 100 leaves no error budget")
	require.Contains(t, text, "slo_id checkout/availability is taken already")
	require.Contains(t, text, "the newest text of 4 of 5 files is not used: "+dir+"/bad.yaml, "+dir+"/journey.yaml, ")
	require.Contains(t, text, "the newest text of 1 of 2 files is not used: "+second+"/twice.yaml")

	err = r.reload(t.Context())
	require.ErrorContains(t, err, "objective 100 leaves no error budget")
	require.Equal(t, []string{"checkout/availability", "checkout/good"}, ids())
}

// TestNewConfigurationNeedsGoodFiles: while an old one runs there is no need to take
// half of a new one.
func TestNewConfigurationNeedsGoodFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	write(t, dir, "bad.yaml", other("bad", "100"))
	r, ids, _ := reloaderOf(t, dir)
	_, err := r.whole(t.Context())
	require.ErrorIs(t, err, errFindings)
	require.Empty(t, ids())
}
