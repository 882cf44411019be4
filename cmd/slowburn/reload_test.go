package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soon is how long a change of files may take to be seen, on a loaded machine.
const soon = 20 * time.Second

func (s *served) untilObjective(id string, want float64) {
	s.t.Helper()
	until(s.t, soon, "the objective of "+id, func() bool {
		st := s.report().slo(id)
		return st != nil && st.Objective == want
	})
}

func TestServeFollowsADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slos := filepath.Join(dir, "slos")
	write(t, slos, "checkout.yaml", checkout("99.9"))
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", "specs: [{directory: ./slos}]\nbackends: [{url: '"+checkoutServer(t).URL+"'}]\n"))
	s.untilState(waitLimit, "checkout/availability", "ok")
	const loaded = `slowburn_source_last_load_successful{source="./slos"}`
	require.Equal(t, 1.0, s.metrics()[loaded])

	write(t, slos, "checkout.yaml", checkout("99.5"))
	s.untilObjective("checkout/availability", 0.995)
	require.Equal(t, "ok", string(s.report().slo("checkout/availability").State), "another objective needs no other counts")

	// A bad file: all of the source stays as it was, and everybody says so.
	write(t, slos, "checkout.yaml", checkout("100"))
	write(t, slos, "other.yaml", strings.Replace(checkout("99"), "availability", "other", 1))
	until(t, soon, "a problem", func() bool { return len(s.report().Problems) > 0 })
	r := s.report()
	require.Equal(t, []string{"checkout/availability"}, r.ids())
	require.Equal(t, 0.995, r.SLOs[0].Objective)
	require.Equal(t, "objective 100 leaves no error budget", r.Problems[0].Message)
	require.Equal(t, "./slos", r.Problems[0].Source)
	require.Equal(t, [2]int{5, 16}, [2]int{r.Problems[0].Line, r.Problems[0].Column})
	require.Equal(t, 0.0, s.metrics()[loaded])
	_, page := s.get("/")
	require.Contains(t, page, "objective 100 leaves no error budget")
	code, text := post(t, s.URL+"/-/reload")
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, text, "checkout.yaml:5:16: objective 100 leaves no error budget")
	require.Equal(t, 1, s.log.count("SLO files are rejected"), "the same problem is not new at each reload")

	write(t, slos, "checkout.yaml", checkout("99"))
	s.untilObjective("checkout/availability", 0.99)
	s.untilObjective("checkout/other", 0.99)
	require.Empty(t, s.report().Problems)
	require.Equal(t, 1.0, s.metrics()[loaded])
	code, text = post(t, s.URL+"/-/reload")
	require.Equal(t, http.StatusOK, code, text)

	require.NoError(t, os.Rename(filepath.Join(slos, "checkout.yaml"), filepath.Join(slos, "shop.yaml")))
	until(t, soon, "the file's new name", func() bool {
		_, page := s.get("/slo/checkout/availability")
		return strings.Contains(page, "shop.yaml:")
	})
	require.NoError(t, os.Remove(filepath.Join(slos, "shop.yaml")))
	until(t, soon, "an SLO is gone", func() bool { return s.report().slo("checkout/availability") == nil })
	for series := range s.metrics() {
		require.NotContains(t, series, `slo_id="checkout/availability"`, "it leaves nothing behind")
	}

	// Without its directory the source can't be read, which is not the same as empty.
	require.NoError(t, os.RemoveAll(slos))
	until(t, soon, "a problem", func() bool { return len(s.report().Problems) > 0 })
	require.Equal(t, []string{"checkout/other"}, s.report().ids())
	require.Equal(t, 0.0, s.metrics()[loaded])
	write(t, slos, "checkout.yaml", checkout("98"))
	s.untilObjective("checkout/availability", 0.98)
	require.Equal(t, []string{"checkout/availability"}, s.report().ids())
}

// TestServeFollowsSymlinks swaps directories under the service, as Kubernetes
// does with ConfigMaps and git-sync with checkouts.
func TestServeFollowsSymlinks(t *testing.T) {
	t.Parallel()
	prom := checkoutServer(t)
	for name, layout := range map[string]func(dir string) (specs, link string){
		"ConfigMap": func(dir string) (string, string) {
			specs := filepath.Join(dir, "volume")
			require.NoError(t, os.MkdirAll(specs, 0o755))
			require.NoError(t, os.Symlink("..data/checkout.yaml", filepath.Join(specs, "checkout.yaml")))
			return specs, filepath.Join(specs, "..data")
		},
		"git-sync": func(dir string) (string, string) { return filepath.Join(dir, "link"), filepath.Join(dir, "link") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			specs, link := layout(t.TempDir())
			swap := func(version, objective string) {
				write(t, filepath.Join(filepath.Dir(link), version), "checkout.yaml", checkout(objective))
				require.NoError(t, os.Symlink(version, link+"_tmp"))
				require.NoError(t, os.Rename(link+"_tmp", link))
			}
			swap("..v1", "99")
			s := serving(t, "--specs", specs, "--backend", prom.URL)
			s.untilObjective("checkout/availability", 0.99)
			swap("..v2", "98")
			s.untilObjective("checkout/availability", 0.98)
			require.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(link), "..v1")))
			swap("..v3", "97")
			s.untilObjective("checkout/availability", 0.97)
			require.NotContains(t, s.log.String(), "SLO files are rejected")
		})
	}
}

// repository is a Git repository to commit to.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	c := exec.Command("git", args...)
	c.Dir = r.dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := c.CombinedOutput()
	require.NoError(r.t, err, "git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

// commit commits files, given as name and text, and gives the hash.
func (r repository) commit(files ...string) string {
	r.t.Helper()
	for i := 0; i < len(files); i += 2 {
		write(r.t, r.dir, files[i], files[i+1])
	}
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message=change")
	return r.git("rev-parse", "HEAD")
}

func (s *served) untilRevision(revision string) {
	s.t.Helper()
	until(s.t, soon, "revision "+revision, func() bool {
		r := s.report()
		return len(r.SLOs) > 0 && r.SLOs[0].Revision == revision
	})
}

func TestServeFollowsAGitBranch(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	other := strings.Replace(checkout("99"), "availability", "other", 1)
	first := repo.commit("slos/checkout.yaml", checkout("99"), "slos/other.yaml", other, "readme.yaml", "not: ours")
	config := write(t, t.TempDir(), "slowburn.yaml", `
specs: [{git: {url: 'file://`+repo.dir+`', path: slos, interval: 1s}}]
backends: [{url: '`+checkoutServer(t).URL+`'}]
`)
	s := serving(t, "--config", config)
	s.untilRevision(first)
	requireShownRevision(t, s, config, first)

	second := repo.commit("slos/checkout.yaml", checkout("98"))
	s.untilRevision(second)
	s.untilObjective("checkout/availability", 0.98)
	requireShownRevision(t, s, config, second)
	for series := range s.metrics() {
		require.NotContains(t, series, first, "an old revision leaves nothing behind")
	}

	// One good change and one bad one: the commit is not loaded at all.
	bad := repo.commit("slos/checkout.yaml", checkout("97"), "slos/other.yaml", strings.Replace(other, "objective: 99", "objective: 0", 1))
	until(t, soon, "a problem", func() bool { return len(s.report().Problems) > 0 })
	r := s.report()
	require.Equal(t, 0.98, r.slo("checkout/availability").Objective)
	require.Equal(t, 0.99, r.slo("checkout/other").Objective)
	for _, st := range r.SLOs {
		require.Equal(t, second, st.Revision)
	}
	require.Equal(t, "slos/other.yaml", r.Problems[0].File)
	loaded := `slowburn_source_last_load_successful{source="file://` + repo.dir + `"}`
	require.Equal(t, 0.0, s.metrics()[loaded])
	require.NotContains(t, s.log.String(), bad+" ")

	third := repo.commit("slos/other.yaml", other)
	s.untilRevision(third)
	s.untilObjective("checkout/availability", 0.97)
	require.Empty(t, s.report().Problems)
	require.Equal(t, 1.0, s.metrics()[loaded])
}

// requireShownRevision finds the commit that is live wherever one looks for it.
func requireShownRevision(t *testing.T, s *served, config, revision string) {
	t.Helper()
	until(t, soon, "the revision in slo_info", func() bool {
		_, ok := s.metrics()[`slo_info{owner="",revision="`+revision+`",slo="availability",slo_id="checkout/availability",slo_service="checkout",source="evaluator",window="1h"}`]
		return ok
	})
	_, page := s.get("/")
	require.Contains(t, page, revision)
	_, page = s.get("/slo/checkout/availability")
	require.Contains(t, page, revision)
	code, stdout, stderr := command(t, "status", "--config", config)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "at commit "+revision[:12])
	code, stdout, stderr = command(t, "status", "--config", config, "-o", "json")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, revision, decodeReport(t, stdout).SLOs[0].Revision)
}

// TestServeReloadsWhenTold looks at a branch at once on SIGHUP and on a POST,
// however long its interval is.
func TestServeReloadsWhenTold(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.commit("checkout.yaml", checkout("99"))
	s := serving(t, "--config", write(t, t.TempDir(), "slowburn.yaml", `
specs: [{git: {url: 'file://`+repo.dir+`', interval: 1d}}]
backends: [{url: '`+checkoutServer(t).URL+`'}]
`))
	second := repo.commit("checkout.yaml", checkout("98"))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	s.untilRevision(second)
	third := repo.commit("checkout.yaml", checkout("97"))
	var code int
	var text string
	untilRead := func() { // a reload waits two seconds for git
		t.Helper()
		until(t, soon, "git", func() bool {
			code, text = post(t, s.URL+"/-/reload")
			return !strings.Contains(text, "still being read")
		})
	}
	untilRead()
	require.Equal(t, http.StatusOK, code, text)
	s.untilRevision(third)

	repo.git("branch", "--move", "main", "elsewhere")
	untilRead()
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, text, "the repository has no such branch")
	require.Equal(t, third, s.report().SLOs[0].Revision)
}
