package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
)

// reloader reads the SLO sources and hands on what is good. A source whose
// newest tree can't be read, or has errors, keeps its last good one.
type reloader struct {
	sources []config.Source
	check   func([]*slo.SLO) []slo.Report // finds more than the parser
	apply   func([]*slo.SLO, []evaluator.Problem)
	log     *slog.Logger

	mu   sync.Mutex
	good map[config.Source]config.Tree
	told string // the problems that the log knows
	conf []evaluator.Problem

	loaded   *prometheus.GaugeVec
	lastGood *prometheus.GaugeVec
	info     *prometheus.GaugeVec
}

func newReloader(sources []config.Source, check func([]*slo.SLO) []slo.Report, log *slog.Logger, reg prometheus.Registerer) *reloader {
	f := promauto.With(reg)
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	return &reloader{
		sources: sources, check: check, log: log, good: map[config.Source]config.Tree{},
		loaded:   gauge("slowburn_source_last_load_successful", "Whether the last load of a source was good.", "source"),
		lastGood: gauge("slowburn_source_last_good_load_timestamp_seconds", "When a source was last loaded whole.", "source"),
		info:     gauge("slowburn_source_info", "1, with the revision of a source that is live.", "source", "revision"),
	}
}

// errFindings says that SLO files have errors, which the findings tell.
var errFindings = errors.New("the SLO files have errors")

// first loads all sources for the first time. There is no last good state yet,
// so any error ends it; the findings come with errFindings.
func (r *reloader) first(ctx context.Context) (*slo.Set, error) {
	var files []slo.File
	for _, source := range r.sources {
		tree, err := source.Read(ctx)
		if err != nil {
			return nil, err // names the source
		}
		r.good[source] = tree
		files = append(files, filesOf(tree)...)
	}
	set := r.load(files)
	if yamlfile.HasErrors(set.Findings) {
		return set, errFindings
	}
	for source, tree := range r.good {
		r.noteGood(source, tree)
	}
	r.apply(set.SLOs, problemsOf(set.Findings))
	return set, nil
}

// reload loads all sources again. The error says that something old stayed.
func (r *reloader) reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	trees := map[config.Source]config.Tree{}
	var problems []evaluator.Problem
	for _, source := range r.sources {
		tree, err := source.Read(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			problems = append(problems, evaluator.Problem{Source: source.Name(), Severity: "error", Message: err.Error(), Hint: "the last good files stay live"})
			tree = r.good[source]
		}
		trees[source] = tree
	}
	set := r.load(r.files(trees))
	problems = append(problems, problemsOf(set.Findings)...)
	if yamlfile.HasErrors(set.Findings) {
		bad := map[string]bool{}
		for _, f := range set.Findings {
			bad[f.Source] = bad[f.Source] || f.Severity == yamlfile.Error
		}
		for source := range trees {
			if bad[source.Name()] {
				trees[source] = r.good[source]
			}
		}
		set = r.load(r.files(trees))
	}
	if yamlfile.HasErrors(set.Findings) { // two sources contradict each other
		trees = r.good
		set = r.load(r.files(trees))
	}
	r.good = trees
	for _, p := range r.conf {
		if !slices.Contains(problems, p) { // files that a new configuration names too
			problems = append(problems, p)
		}
	}
	r.apply(set.SLOs, problems)
	return r.tell(problems)
}

// load parses files and checks what is in them.
func (r *reloader) load(files []slo.File) *slo.Set {
	set := slo.Load(files)
	set.Add(r.check(set.SLOs)...)
	return set
}

// setConfigError notes why the configuration was not taken over; nil when the
// one that is live is the file's.
func (r *reloader) setConfigError(file string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conf = nil
	r.loaded.WithLabelValues(file).Set(1)
	if err == nil {
		return
	}
	r.loaded.WithLabelValues(file).Set(0)
	if found, ok := errors.AsType[findingsError](err); ok {
		for _, p := range problemsOf(found) {
			if p.Source == "" {
				p.Source = file
			}
			r.conf = append(r.conf, p)
		}
		return
	}
	r.conf = []evaluator.Problem{{
		Source: file, File: file, Severity: "error", Message: err.Error(), Hint: "the last good configuration stays live",
	}}
}

// findingsError are findings that keep a configuration from being taken over.
type findingsError []yamlfile.Finding

func (e findingsError) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (r *reloader) files(trees map[config.Source]config.Tree) []slo.File {
	var files []slo.File
	for _, source := range r.sources {
		files = append(files, filesOf(trees[source])...)
	}
	return files
}

// tell notes a reload in the log and the metrics: problems once, not at each
// reload that finds them again.
func (r *reloader) tell(problems []evaluator.Problem) error {
	failed := map[string]bool{}
	var lines []string
	for _, p := range problems {
		if p.Severity == "error" {
			failed[p.Source] = true
			lines = append(lines, lineOf(p))
		}
	}
	text := strings.Join(lines, "; ")
	for source, tree := range r.good {
		if failed[source.Name()] {
			r.loaded.WithLabelValues(source.Name()).Set(0)
		} else {
			r.noteGood(source, tree)
		}
	}
	if text == "" {
		if r.told != "" {
			r.log.Info("Everything can be loaded again")
		}
		r.told = ""
		return nil
	}
	if text != r.told {
		r.log.Error("Reload failed, what was good before stays", "err", text)
	}
	r.told = text
	return fmt.Errorf("what was good before stays:\n%s", strings.Join(lines, "\n"))
}

// lineOf is a problem on one line. Files of a Git repository are told with
// their repository.
func lineOf(p evaluator.Problem) string {
	text := p.Message
	switch {
	case p.Line > 0:
		text = fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
	case p.File != "":
		text = p.File + ": " + text
	}
	if p.File != "" && p.File != p.Source {
		text = p.Source + ": " + text
	}
	return text
}

func (r *reloader) noteGood(source config.Source, tree config.Tree) {
	name := source.Name()
	r.loaded.WithLabelValues(name).Set(1)
	r.lastGood.WithLabelValues(name).Set(float64(time.Now().Unix()))
	r.info.DeletePartialMatch(prometheus.Labels{"source": name})
	r.info.WithLabelValues(name, tree.Revision).Set(1)
}

// watch reloads whenever a source may have changed, until ctx ends.
func (r *reloader) watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, source := range r.sources {
		wg.Go(func() {
			for source.Wait(ctx) == nil {
				_ = r.reload(ctx) // the log, a metric and the page tell
			}
		})
	}
	wg.Wait()
}

func problemsOf(findings []yamlfile.Finding) []evaluator.Problem {
	out := make([]evaluator.Problem, len(findings))
	for i, f := range findings {
		out[i] = evaluator.Problem{
			Source: f.Source, File: f.File, Line: f.Line, Column: f.Column,
			Severity: string(f.Severity), Message: f.Message, Hint: f.Hint,
		}
	}
	return out
}
