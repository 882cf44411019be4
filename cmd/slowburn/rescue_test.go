package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
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
	require.Contains(t, page, "the newest version of 1 of 2 files is not used: ")
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
