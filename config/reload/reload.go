// Package reload keeps SLOs up to date with the files of their sources. One bad file, or
// one slow source, keeps no other SLO from being watched.
//
// It may import config/source, slo/spec, and evaluator for the problems that pages show. A use:
//
//	r := reload.New(reload.Options{Sources: sources, Check: policies.Check, Apply: loop.SetSLOs, Log: log, Registerer: reg})
//	go r.Run(ctx)
//	set, err := r.First(ctx)
//	go r.Watch(ctx)
package reload

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

// Options configure a Reloader. All but Limits and Came must be set.
type Options struct {
	Sources []source.Source
	Limits  spec.Limits
	// Check finds more than the parser.
	Check func([]*slo.SLO) []slo.Finding
	// Apply makes SLOs live, with the problems of the newest files.
	Apply func([]*slo.SLO, []evaluator.Problem)
	// Came contains when SLOs came, by their ids, from an earlier Reloader.
	Came       map[string]time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Reloader reads the SLO sources and makes good SLOs live. A source whose newest tree can't
// be read, or has errors, keeps its last good one. If a source was never good, its good files
// are used.
type Reloader struct {
	Options

	feeds     []*feed
	unsettled chan struct{} // has room for one
	deadline  time.Duration // of one reading of a source
	patience  time.Duration // of a reload with slow sources, before it takes over the others

	mu      sync.Mutex // never held while a source is read
	newest  map[source.Source]reading
	wanted  map[source.Source]bool // whose newest tree is bad, and which never was whole
	good    map[source.Source]source.Tree
	partial map[source.Source]bool // whose good tree lacks bad files
	logged  string                 // the problems that the log has
	came    map[string]time.Time   // when SLOs came, by their ids
	since   map[string]time.Time   // since when sources have errors, by their names
	conf    []evaluator.Problem    // of the configuration

	loaded   *prometheus.GaugeVec
	lastGood *prometheus.GaugeVec
	info     *prometheus.GaugeVec
}

// New returns a Reloader, of which nothing runs yet.
func New(o Options) *Reloader {
	f := promauto.With(o.Registerer)
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	feeds := make([]*feed, len(o.Sources))
	for i, from := range o.Sources {
		feeds[i] = &feed{source: from, wake: make(chan struct{}, 1)}
	}
	came := maps.Clone(o.Came)
	if came == nil {
		came = map[string]time.Time{}
	}
	return &Reloader{
		Options: o, feeds: feeds, unsettled: make(chan struct{}, 1), deadline: sourceDeadline, patience: Patience,
		newest: map[source.Source]reading{}, wanted: map[source.Source]bool{},
		good: map[source.Source]source.Tree{}, came: came, since: map[string]time.Time{},
		loaded:   gauge("slowburn_source_last_load_successful", "Whether the last load of a source was good.", "source"),
		lastGood: gauge("slowburn_source_last_good_load_timestamp_seconds", "When a source was last loaded whole.", "source"),
		info:     gauge("slowburn_source_info", "1, with the revision of a source that is live.", "source", "revision"),
	}
}

// ErrFindings is returned when SLO files have errors. The findings describe them.
var ErrFindings = errors.New("the SLO files have errors")

// Whole loads the newest files of all sources for the first time. Any error ends it. With
// ErrFindings, the set has the findings. Run must be running.
func (r *Reloader) Whole(ctx context.Context) (set *spec.Set, err error) {
	_, err = r.renew(ctx, 2*r.deadline, r.feeds, func(c collected) error { // none is late
		switch {
		case c.unread != nil:
			return c.unread
		case yamlfile.HasErrors(c.findings):
			set = &spec.Set{Findings: c.findings}
			return ErrFindings
		}
		set = c.set
		return r.take(c)
	})
	return set, err
}

// First loads the good files of all sources. It waits for a slow source as long as there is
// nothing else. Nothing at all is an error. The findings of the set are those of the newest
// files, also with ErrFindings. Run must be running.
func (r *Reloader) First(ctx context.Context) (set *spec.Set, err error) {
	take := func(c collected) error {
		set = &spec.Set{SLOs: c.set.SLOs, Findings: c.findings}
		switch bad := c.unread != nil || yamlfile.HasErrors(c.findings); {
		case !bad || len(set.SLOs) > 0:
			_ = r.take(c) // the log, a metric and the page report it
			return nil
		case c.unread != nil:
			return c.unread
		default:
			return ErrFindings
		}
	}
	late, err := r.renew(ctx, max(r.patience, firstPatience), r.feeds, take)
	if err != nil && len(late) > 0 && ctx.Err() == nil {
		_, err = r.renew(ctx, 2*r.deadline, r.feeds, take)
	}
	return set, err
}

// Reload reads all sources again. It waits a moment for slow ones, which are taken over
// when they have been read. The error says that something old stayed. Run must be running.
func (r *Reloader) Reload(ctx context.Context) error {
	late, err := r.renew(ctx, r.patience, r.feeds, r.take)
	switch {
	case ctx.Err() != nil: // the caller has gone, and nobody else takes over the files that were read for it
		r.settleSoon()
		return ctx.Err()
	case len(late) == 0:
		return err
	}
	slow := fmt.Errorf("%s: still being read, taken over when that ends", strings.Join(names(late), ", "))
	return errors.Join(err, slow)
}

// take makes collected SLOs live. The caller holds the lock.
func (r *Reloader) take(c collected) error {
	r.good, r.partial = c.trees, c.partial
	problems := c.problems
	for _, p := range r.conf {
		same := func(o evaluator.Problem) bool { o.Since = p.Since; return o == p }
		if !slices.ContainsFunc(problems, same) { // files that a new configuration names too
			problems = append(problems, p)
		}
	}
	r.Apply(c.set.SLOs, problems)
	return r.report(problems)
}

// load parses files and checks their SLOs.
func (r *Reloader) load(files []spec.File) *spec.Set {
	set := r.Limits.Load(files)
	set.Add(r.Check(set.SLOs)...)
	r.note(set.SLOs)
	return set
}

// note notes when SLOs came: at the first commit, or the first load, that had them since the
// process began. Later commits don't change that.
func (r *Reloader) note(slos []*slo.SLO) {
	for _, s := range slos {
		id := s.ID()
		if _, known := r.came[id]; !known {
			r.came[id] = s.Origin.Came
			if s.Origin.Came.IsZero() {
				r.came[id] = r.Now().UTC()
			}
		}
		s.Origin.Came = r.came[id]
	}
}

// Known returns when SLOs came, by their ids.
func (r *Reloader) Known() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.came)
}

// SetConfigError notes why the configuration was not taken over. It is nil when the live
// one is that of the file.
func (r *Reloader) SetConfigError(file string, err error) {
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
	if found, ok := errors.AsType[FindingsError](err); ok {
		for _, p := range Problems(found) {
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

// FindingsError contains findings that keep a configuration from being taken over.
type FindingsError []yamlfile.Finding

func (e FindingsError) Error() string {
	found := yamlfile.AtMost(MaxFindings, e)
	lines := make([]string, len(found))
	for i, f := range found {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (r *Reloader) files(trees map[source.Source]source.Tree) []spec.File {
	var files []spec.File
	for _, source := range r.Sources {
		files = append(files, Files(trees[source])...)
	}
	return files
}

// report notes a reload in the log and the metrics. It logs the same problems only once.
func (r *Reloader) report(problems []evaluator.Problem) error {
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
			r.lastGood.WithLabelValues(name).Set(float64(r.Now().Unix()))
		}
	}
	if text == "" {
		if r.logged != "" {
			r.Log.Info("All files are good again")
		}
		r.logged = ""
		return nil
	}
	if text != r.logged {
		r.Log.Error("SLO files are rejected, the last good ones are used", "err", text)
	}
	r.logged = text
	return fmt.Errorf("the last good files stay live:\n%s", strings.Join(lines, "\n"))
}

// lineOf returns a problem on one line. Files of a Git repository have its name.
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

// Watch reads a source again whenever it may have changed, until ctx ends.
func (r *Reloader) Watch(ctx context.Context) {
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

// MaxFindings is how many findings of all files are shown.
const MaxFindings = 1000

// Problems returns findings in the form of the page, the API and the log.
func Problems(findings []yamlfile.Finding) []evaluator.Problem {
	findings = yamlfile.AtMost(MaxFindings, findings)
	out := make([]evaluator.Problem, len(findings))
	for i, f := range findings {
		out[i] = evaluator.Problem{
			Source: f.Source, File: f.File, Line: f.Line, Column: f.Column,
			Severity: string(f.Severity), Message: f.Message, Hint: f.Hint,
		}
	}
	return out
}

// Files returns a source's files for the parser.
func Files(t source.Tree) []spec.File {
	files := make([]spec.File, len(t.Files))
	for i, f := range t.Files {
		files[i] = spec.File{Name: f.Name, Text: f.Text, Source: t.Source, Revision: t.Revision, Backends: t.Backends, Came: t.Committed}
	}
	return files
}
