package reload

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
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

// soon is how long a reading of files may take on a loaded machine.
const soon = 20 * time.Second

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(soon)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		require.True(t, time.Now().Before(end), "waited for: %s", what)
		<-poll.C
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// other returns an SLO file for an SLO of the service checkout, with the objective in
// percent.
func other(name, objective string) string {
	return "apiVersion: slowburn/v1\nservice: checkout\nslos:\n  - {name: " + name + ", objective: " + objective + ", window: 1h, sli: {probe: {metric: up}}}\n"
}

func checkout(objective string) string { return other("availability", objective) }

// repository is the directory of a Git repository.
type repository string

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository(t.TempDir())
	r.git(t, "init", "--quiet", "--initial-branch=main")
	return r
}

func (r repository) git(t *testing.T, args ...string) {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
	c.Dir = string(r)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "git %s: %s", strings.Join(args, " "), out)
}

// commit commits an SLO file at a time.
func (r repository) commit(t *testing.T, at time.Time, name, text string) {
	t.Helper()
	t.Setenv("GIT_COMMITTER_DATE", at.Format(time.RFC3339))
	write(t, string(r), name, text)
	r.git(t, "add", "--all")
	r.git(t, "commit", "--quiet", "--message=change")
}

// newReloader returns a Reloader that reads its sources when it is asked to, until the test
// ends. It waits for them, however loaded the machine is.
func newReloader(t *testing.T, sources ...source.Source) *Reloader {
	t.Helper()
	r := New(Options{
		Sources: sources, Check: alerting.BuiltIn().Check, Apply: func([]*slo.SLO, []evaluator.Problem) {},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: prometheus.NewRegistry(), Now: time.Now,
	})
	r.patience = time.Minute
	var running sync.WaitGroup
	running.Go(func() { r.Run(t.Context()) })
	t.Cleanup(running.Wait)
	return r
}

// reloaderOf returns a Reloader of directories, with the SLOs and problems that are live.
func reloaderOf(t *testing.T, dirs ...string) (r *Reloader, ids func() []string, problems *[]evaluator.Problem) {
	var sources []source.Source
	for _, dir := range dirs {
		sources = append(sources, source.NewDirectory(dir, nil))
	}
	return reloaderOfSources(t, sources...)
}

func reloaderOfSources(t *testing.T, sources ...source.Source) (r *Reloader, ids func() []string, problems *[]evaluator.Problem) {
	r = newReloader(t, sources...)
	var mu sync.Mutex
	var live []*slo.SLO
	problems = new([]evaluator.Problem)
	r.Apply = func(slos []*slo.SLO, found []evaluator.Problem) {
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

// TestRescueLeavesOutWhatNeedsABadFile has SLOs that would be other ones without their
// defaults or parts.
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
	set, err := r.First(t.Context())
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
	require.Contains(t, text, "the newest version of 4 of 5 files is not used: "+dir+"/bad.yaml, "+dir+"/journey.yaml, ")
	require.Contains(t, text, "the newest version of 1 of 2 files is not used: "+second+"/twice.yaml")

	err = r.Reload(t.Context())
	require.ErrorContains(t, err, "objective 100 leaves no error budget")
	require.Equal(t, []string{"checkout/availability", "checkout/good"}, ids())
}

// TestNewConfigurationNeedsGoodFiles expects that a new configuration with errors replaces no
// part of the old one.
func TestNewConfigurationNeedsGoodFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "checkout.yaml", checkout("99"))
	write(t, dir, "bad.yaml", other("bad", "100"))
	r, ids, _ := reloaderOf(t, dir)
	_, err := r.Whole(t.Context())
	require.ErrorIs(t, err, ErrFindings)
	require.Empty(t, ids())
}

// TestManyProblems expects at most 1,000 problems on the page, in the API and in the log, at
// least one of each bad source, and how many more there are. No file with errors is used.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	dir, second := t.TempDir(), t.TempDir()
	for i := range 15 {
		write(t, dir, fmt.Sprintf("%02d.yaml", i), "apiVersion: slowburn/v1\nservice: s\nslos:\n"+strings.Repeat("  - {name: "+strings.Repeat("ä", 600)+"}\n", 70+i)+"  - {}\n")
	}
	write(t, dir, "checkout.yaml", checkout("99"))
	write(t, second, "bad.yaml", other("bad", "100"))
	r, ids, problems := reloaderOf(t, dir, second)
	err := r.Reload(t.Context())
	require.Error(t, err)
	require.Less(t, len(err.Error()), 1000*1000)
	require.Equal(t, []string{"checkout/availability"}, ids())
	sources := map[string]int{}
	for _, p := range *problems {
		sources[p.Source]++
		require.LessOrEqual(t, len(p.Message), 500)
	}
	require.Equal(t, 1, sources[""], "how many more there are")
	require.Equal(t, 2, sources[second], "the error, and that its file is not used")
	require.LessOrEqual(t, len(*problems), 1000+1+2)
	more := func(p evaluator.Problem) bool { return p.Source == "" }
	for _, p := range *problems {
		if more(p) {
			require.Regexp(t, `^\d+ errors more of all files are not shown$`, p.Message)
			require.Equal(t, "warning", p.Severity)
		}
	}
}

func TestProblemOnOneLine(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]evaluator.Problem{
		"./slos: slos/a.yaml:3:5: objective is missing":     {Source: "./slos", File: "slos/a.yaml", Line: 3, Column: 5, Message: "objective is missing"},
		"reading slos: no such file or directory":           {Source: "./slos", Message: "reading slos: no such file or directory"},
		`slowburn.yaml:1:2: unknown key "foo"`:              {Source: "slowburn.yaml", File: "slowburn.yaml", Line: 1, Column: 2, Message: `unknown key "foo"`},
		"slowburn.yaml: reading nowhere: no such directory": {Source: "slowburn.yaml", File: "slowburn.yaml", Message: "reading nowhere: no such directory"},
	} {
		require.Equal(t, want, lineOf(p))
	}
}
