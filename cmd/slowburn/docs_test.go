package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting/notify"
	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/reload"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// pages are all that people read, from the top of the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	read := func(file string) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		out[filepath.ToSlash(strings.TrimPrefix(file, "../../"))] = string(text)
	}
	top, err := filepath.Glob("../../*.md")
	require.NoError(t, err)
	for _, file := range top {
		read(file)
	}
	require.NoError(t, filepath.WalkDir("../../docs", func(file string, _ fs.DirEntry, err error) error {
		if filepath.Ext(file) == ".md" {
			read(file)
		}
		return err
	}))
	require.Contains(t, out, "README.md")
	return out
}

// TestPlacesInContributing holds the files and directories that CONTRIBUTING.md leads to.
func TestPlacesInContributing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	require.NoError(t, err)
	places := regexp.MustCompile("`((?:alerting|cmd|config|dashboards|docs|evaluator|slo)/[a-z/._-]+)`").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(places), 30)
	for _, place := range places {
		_, err := os.Stat("../../" + place[1])
		require.NoError(t, err)
	}
}

// TestExamplesInDocs parses every file that the documentation shows: people
// begin with a copy.
func TestExamplesInDocs(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	files := 0
	for page, text := range pages(t) {
		if page == "docs/reference/slo-file.md" {
			continue // evaluated by TestExamplesOfTheSLOFile
		}
		for _, example := range block.FindAllStringSubmatch(text, -1) {
			files++
			if strings.HasPrefix(example[1], "apiVersion:") {
				set := spec.Load([]spec.File{{Name: page, Text: []byte(example[1])}})
				require.Empty(t, set.Findings)
				require.NotEmpty(t, set.SLOs)
				continue
			}
			cfg, findings := config.Parse(page, []byte(example[1]))
			require.Empty(t, findings)
			require.NotEmpty(t, cfg.Sources())
		}
	}
	require.GreaterOrEqual(t, files, 2)
}

// TestKeysOfTheSLOFile holds the headings and tables of docs/reference/slo-file.md
// against the keys that the parser lists in its hints.
func TestKeysOfTheSLOFile(t *testing.T) {
	t.Parallel()
	text := pages(t)["docs/reference/slo-file.md"]
	set := spec.Load([]spec.File{{Name: "x.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: a\nzzzzzzz: 1\nslos:\n- {zzzzzzz: 1, name: a, objective: 99, sli: {zzzzzzz: 1}}\n")}})
	require.Len(t, set.Findings, 3)
	for _, f := range set.Findings {
		_, known, ok := strings.Cut(f.Hint, "known keys: ")
		require.True(t, ok, f.Hint)
		for key := range strings.SplitSeq(known, ", ") {
			require.Regexp(t, "(?m)^(### |\\| \\[?)`"+key+"`", text)
		}
	}
}

// TestKeysOfTheConfiguration holds the headings and tables of the reference against
// the keys of the schema, whose own test holds it against the parser.
func TestKeysOfTheConfiguration(t *testing.T) {
	t.Parallel()
	type object struct {
		Properties map[string]json.RawMessage
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(config.Schema()), &schema))
	all := pages(t)
	documented := func(page string, keys object) {
		require.NotEmpty(t, keys.Properties)
		for key := range keys.Properties {
			require.Regexp(t, "(?m)^(##+ |\\| (`[a-z_]+`, )?)`?"+key+"`?( of a source$|$|[ ,])", all[page], page)
		}
	}
	documented("docs/reference/configuration.md", schema.object)
	for _, name := range []string{"spec", "git", "backend", "alertmanager", "web"} {
		documented("docs/reference/configuration.md", schema.Defs[name])
	}
	documented("docs/reference/alerts.md", schema.Defs["tier"])
}

// TestLinksInDocs follows the links that stay within the repository, to their
// heading.
func TestLinksInDocs(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	code := regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
	all := pages(t)
	followed := 0
	for page, text := range all {
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			followed++
			target := page
			if l[1] != "" {
				target = path.Join(path.Dir(page), l[1])
			}
			if l[2] == "" {
				require.FileExists(t, filepath.Join("../..", target), "%s links to it", page)
			} else {
				require.Contains(t, anchors(all[target]), l[2], "%s links to %s", page, target)
			}
		}
	}
	require.Greater(t, followed, 50)
}

// anchors are the anchors of a page as GitHub makes them of its headings, and
// those that the page sets itself.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, own := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(page, -1) {
		out[own[1]] = true
	}
	page = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(page, "")
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading[1], "$1")
		text = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`).ReplaceAllString(strings.ToLower(text), "")
		anchor := strings.ReplaceAll(text, " ", "-")
		for name, n := anchor, 1; ; n++ {
			if !out[name] {
				out[name] = true
				break
			}
			name = fmt.Sprintf("%s-%d", anchor, n)
		}
	}
	return out
}

// TestMetricsInDocs holds the metrics that docs/reference/metrics.md names against
// those of a service.
func TestMetricsInDocs(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`\bslo(?:wburn)?_[a-z_]+[a-z]\b`)
	documented := map[string]bool{}
	for line := range strings.Lines(pages(t)["docs/reference/metrics.md"]) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| `slo") {
			for _, n := range name.FindAllString(cell, -1) {
				documented[n] = true
			}
		}
	}
	require.Equal(t, strings.Join(metricNames(t), "\n"), strings.Join(slices.Sorted(maps.Keys(documented)), "\n"))
}

// metricNames are the names of all metrics of a service, sorted.
func metricNames(t *testing.T) []string {
	t.Helper()
	r := nameRecorder{Registerer: prometheus.NewRegistry(), names: map[string]bool{}}
	log := newLogger(t.Output())
	reload.New(reload.Options{Log: log, Registerer: r})
	loop.New(loop.Options{Registerer: r, Log: log})
	notify.NewSender(notify.SenderOptions{Registerer: r, Log: log})
	one := 1.0
	status := evaluator.Status{
		ID: "a/b", State: evaluator.StateOK, At: time.Unix(1, 0),
		Windows: []evaluator.WindowStatus{{Name: "1h", BurnRate: &one}, {Name: "30d", Coverage: 1, SLI: &one}},
		Budget:  evaluator.Budget{Allowed: &one, Remaining: &one, ExhaustedInSeconds: &one, PeriodEnd: &time.Time{}},
		Policy:  []evaluator.PolicyStep{{Gate: "warn"}},
		Doubts:  []evaluator.Doubt{{Code: evaluator.DoubtAudit}},
		Groups:  &evaluator.GroupsStatus{}, Spec: &slo.SLO{Exclusions: []slo.Exclusion{{}}},
	}
	for f := range evaluator.Metrics(&evaluator.Report{SLOs: []evaluator.Status{status}}) {
		r.names[f.GetName()] = true
	}
	return slices.Sorted(maps.Keys(r.names))
}

// nameRecorder notes the names of what is registered, series or not.
type nameRecorder struct {
	prometheus.Registerer
	names map[string]bool
}

var fqName = regexp.MustCompile(`fqName: "([^"]*)"`)

func (r nameRecorder) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 10)
	c.Describe(descs)
	close(descs)
	for d := range descs {
		r.names[fqName.FindStringSubmatch(d.String())[1]] = true
	}
	return r.Registerer.Register(c)
}

func (r nameRecorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}
