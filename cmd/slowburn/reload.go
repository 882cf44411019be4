package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/slowburn-slo/slowburn/config/source"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// reloader reads the SLO sources and hands on what is good. A source whose
// newest tree can't be read, or has errors, keeps its last good one; one that
// never was good gives what is good of it.
type reloader struct {
	sources []source.Source
	limits  spec.Limits
	check   func([]*slo.SLO) []slo.Finding // finds more than the parser
	apply   func([]*slo.SLO, []evaluator.Problem)
	log     *slog.Logger

	feeds     []*feed
	unsettled chan struct{} // has room for one
	deadline  time.Duration // of one reading of a source
	patience  time.Duration // of a reload with slow sources, before it takes over the others

	mu      sync.Mutex // never held while a source is read
	newest  map[source.Source]reading
	wanted  map[source.Source]bool // whose newest tree is bad, and which never was whole
	good    map[source.Source]source.Tree
	partial map[source.Source]bool // whose good tree is what could be rescued
	told    string                 // the problems that the log knows
	came    map[string]time.Time   // when SLOs came, by their ids
	since   map[string]time.Time   // since when sources have errors, by their names
	conf    []evaluator.Problem

	loaded   *prometheus.GaugeVec
	lastGood *prometheus.GaugeVec
	info     *prometheus.GaugeVec
}

func newReloader(sources []source.Source, check func([]*slo.SLO) []slo.Finding, log *slog.Logger, reg prometheus.Registerer) *reloader {
	f := promauto.With(reg)
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	feeds := make([]*feed, len(sources))
	for i, source := range sources {
		feeds[i] = &feed{source: source, wake: make(chan struct{}, 1)}
	}
	return &reloader{
		sources: sources, check: check, log: log, feeds: feeds, unsettled: make(chan struct{}, 1), deadline: sourceDeadline, patience: patience,
		newest: map[source.Source]reading{}, wanted: map[source.Source]bool{},
		good: map[source.Source]source.Tree{}, came: map[string]time.Time{}, since: map[string]time.Time{},
		loaded:   gauge("slowburn_source_last_load_successful", "Whether the last load of a source was good.", "source"),
		lastGood: gauge("slowburn_source_last_good_load_timestamp_seconds", "When a source was last loaded whole.", "source"),
		info:     gauge("slowburn_source_info", "1, with the revision of a source that is live.", "source", "revision"),
	}
}

// errFindings says that SLO files have errors, which the findings tell.
var errFindings = errors.New("the SLO files have errors")

// whole loads the newest files of all sources for the first time. Any error ends
// it; the findings come with errFindings. run must be running.
func (r *reloader) whole(ctx context.Context) (set *spec.Set, err error) {
	_, err = r.renew(ctx, 2*r.deadline, r.feeds, func(c collected) error { // none is late
		switch {
		case c.unread != nil:
			return c.unread
		case yamlfile.HasErrors(c.findings):
			set = &spec.Set{Findings: c.findings}
			return errFindings
		}
		set = c.set
		return r.take(c)
	})
	return set, err
}

// first loads what can be used of all sources, so that one bad file leaves nobody
// unwatched. It waits for a slow source for as long as there is nothing else. Nothing at
// all is an error; the findings come with errFindings. The findings of the set are those
// of the newest files. run must be running.
func (r *reloader) first(ctx context.Context) (set *spec.Set, err error) {
	take := func(c collected) error {
		set = &spec.Set{SLOs: c.set.SLOs, Findings: c.findings}
		switch bad := c.unread != nil || yamlfile.HasErrors(c.findings); {
		case !bad || len(set.SLOs) > 0:
			_ = r.take(c) // the log, a metric and the page report it
			return nil
		case c.unread != nil:
			return c.unread
		default:
			return errFindings
		}
	}
	late, err := r.renew(ctx, max(r.patience, firstPatience), r.feeds, take)
	if err != nil && len(late) > 0 && ctx.Err() == nil {
		_, err = r.renew(ctx, 2*r.deadline, r.feeds, take)
	}
	return set, err
}

// reload reads all sources again. It waits for slow ones for a moment; they are taken over
// when they have been read. The error says that something old stayed. run must be running.
func (r *reloader) reload(ctx context.Context) error {
	late, err := r.renew(ctx, r.patience, r.feeds, r.take)
	switch {
	case ctx.Err() != nil: // who asked has gone, and nobody else takes over what was read for it
		r.settleSoon()
		return ctx.Err()
	case len(late) == 0:
		return err
	}
	slow := fmt.Errorf("%s: still being read, taken over when that ends", strings.Join(names(late), ", "))
	return errors.Join(err, slow)
}

// take makes what was collected live. The lock is held.
func (r *reloader) take(c collected) error {
	r.good, r.partial = c.trees, c.partial
	problems := c.problems
	for _, p := range r.conf {
		same := func(o evaluator.Problem) bool { o.Since = p.Since; return o == p }
		if !slices.ContainsFunc(problems, same) { // files that a new configuration names too
			problems = append(problems, p)
		}
	}
	r.apply(c.set.SLOs, problems)
	return r.tell(problems)
}

// load parses files and checks what is in them.
func (r *reloader) load(files []spec.File) *spec.Set {
	set := r.limits.Load(files)
	set.Add(r.check(set.SLOs)...)
	r.note(set.SLOs)
	return set
}

// note notes when SLOs came: by the first commit, or the first load, that had them since
// the process began. A later commit changes that of no SLO that was there.
func (r *reloader) note(slos []*slo.SLO) {
	for _, s := range slos {
		id := s.ID()
		if _, known := r.came[id]; !known {
			r.came[id] = s.Origin.Came
			if s.Origin.Came.IsZero() {
				r.came[id] = time.Now().UTC()
			}
		}
		s.Origin.Came = r.came[id]
	}
}

// known returns when SLOs came.
func (r *reloader) known() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.came)
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
	var modified time.Time
	if info, statErr := os.Stat(file); statErr == nil {
		modified = info.ModTime().UTC()
	}
	if found, ok := errors.AsType[findingsError](err); ok {
		for _, p := range problemsOf(found) {
			if p.Source == "" {
				p.Source = file
			}
			p.Since = modified
			r.conf = append(r.conf, p)
		}
		return
	}
	r.conf = []evaluator.Problem{{
		Source: file, File: file, Severity: "error", Message: yamlfile.Cut(err.Error(), maxMessage), Hint: "the last good configuration stays live", Since: modified,
	}}
}

// findingsError are findings that keep a configuration from being taken over.
type findingsError []yamlfile.Finding

func (e findingsError) Error() string {
	found := yamlfile.AtMost(maxFindings, e)
	lines := make([]string, len(found))
	for i, f := range found {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (r *reloader) files(trees map[source.Source]source.Tree) []spec.File {
	var files []spec.File
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
		name := source.Name()
		r.info.DeletePartialMatch(prometheus.Labels{"source": name})
		r.info.WithLabelValues(name, tree.Revision).Set(1)
		if failed[name] {
			r.loaded.WithLabelValues(name).Set(0)
		} else {
			r.loaded.WithLabelValues(name).Set(1)
			r.lastGood.WithLabelValues(name).Set(float64(time.Now().Unix()))
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
		r.log.Error("SLO files are rejected, the last good ones are used", "err", text)
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

// watch reads a source again whenever it may have changed, until ctx ends.
func (r *reloader) watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range r.feeds {
		wg.Go(func() {
			for f.source.Wait(ctx) == nil {
				_, _ = r.renew(ctx, 2*r.deadline, []*feed{f}, r.take) // the log, a metric and the page report it
			}
		})
	}
	wg.Wait()
}

// maxMessage is how long a message is, in bytes.
const maxMessage = 500

// maxFindings is how many findings of all files are shown.
const maxFindings = 1000

// problemsOf are findings as the page, the API and the log have them.
func problemsOf(findings []yamlfile.Finding) []evaluator.Problem {
	findings = yamlfile.AtMost(maxFindings, findings)
	out := make([]evaluator.Problem, len(findings))
	for i, f := range findings {
		out[i] = evaluator.Problem{
			Source: f.Source, File: f.File, Line: f.Line, Column: f.Column,
			Severity: string(f.Severity), Message: f.Message, Hint: f.Hint,
		}
	}
	return out
}
