package slo

import (
	"cmp"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// Set is all SLOs of some files, and all that was found in them.
type Set struct {
	SLOs     []*SLO             // sorted by ID; none of a file with errors
	Findings []yamlfile.Finding // sorted by file and place

	from *loading
}

// Load parses files, on all processors, and checks them against each other:
// one slo_id twice is an error that names both places.
func Load(files []File) *Set {
	l := &loading{
		parsed: make([]*parsed, len(files)),
		byID:   map[string]*SLO{}, from: map[*SLO]*parsed{}, failed: map[*parsed]bool{},
	}
	above := map[string]File{}
	for _, f := range files {
		if isDefaults(f) {
			above[directory(f)] = f
		}
	}
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(files))
	for w := range workers {
		wg.Go(func() {
			known := bounds{}
			for i := w; i < len(files); i += workers {
				if isDefaults(files[i]) {
					d := readDefaults(files[i])
					l.parsed[i] = &parsed{in: d.in, file: d.file}
				} else {
					l.parsed[i] = parse(files[i], defaultsOf(files[i], above), known)
				}
			}
		})
	}
	wg.Wait()
	return l.set()
}

func isDefaults(f File) bool { return path.Base(slashed(f.Name)) == yamlfile.DefaultsName }

// directory is where a file is: its path, and its repository unless it is one
// of this machine.
func directory(f File) string {
	dir := path.Dir(slashed(f.Name))
	if f.Revision != "" {
		return f.Source + "\n" + dir
	}
	return dir
}

func slashed(name string) string { return strings.ReplaceAll(name, `\`, "/") }

// defaultsOf are the files of defaults of a file's directory and those above,
// the nearest first.
func defaultsOf(f File, above map[string]File) []File {
	var out []File
	for dir := directory(f); ; {
		if d, ok := above[dir]; ok {
			out = append(out, d)
		}
		head, tail, found := strings.Cut(dir, "\n")
		if !found {
			head, tail = "", dir
		}
		up := path.Dir(tail)
		if up == tail {
			return out
		}
		if dir = up; found {
			dir = head + "\n" + up
		}
	}
}

// loading is what files say, on its way to a Set.
type loading struct {
	parsed []*parsed
	slos   []*SLO // by ID
	byID   map[string]*SLO
	from   map[*SLO]*parsed
	failed map[*parsed]bool // has errors
	extra  []yamlfile.Finding
}

func (l *loading) set() *Set {
	for _, p := range l.parsed {
		l.failed[p] = yamlfile.HasErrors(p.findings())
		for _, s := range p.slos {
			l.from[s] = p
		}
		l.slos = append(l.slos, p.slos...)
	}
	slices.SortStableFunc(l.slos, func(a, b *SLO) int { return cmp.Compare(a.ID(), b.ID()) })
	l.findDuplicates()
	l.journeys()
	l.exclude()
	set := &Set{from: l}
	set.find()
	for _, s := range l.slos {
		if !l.failed[l.from[s]] { // else it is incomplete
			set.SLOs = append(set.SLOs, s)
		}
	}
	return set
}

func (s *Set) find() {
	s.Findings = slices.Clone(s.from.extra)
	for _, p := range s.from.parsed {
		s.Findings = append(s.Findings, p.findings()...)
	}
	s.Findings = yamlfile.Sort(s.Findings)
}

// Report is a finding about a field of an SLO of the set, such as "window" or
// "sli.events.bad".
type Report struct {
	SLO           *SLO
	Field         string // "" for the SLO itself
	Severity      yamlfile.Severity
	Message, Hint string
}

// Add adds findings that others than the parser made, each at the place of its
// field, also in a file of defaults, or of what is nearest to it.
func (s *Set) Add(reports ...Report) {
	if len(reports) == 0 {
		return
	}
	for _, r := range reports {
		at := s.from.from[r.SLO].said[r.SLO].field(r.Field)
		if r.Severity == yamlfile.Error {
			at.Errorf(r.Hint, "%s", r.Message)
		} else {
			at.Warnf(r.Hint, "%s", r.Message)
		}
	}
	s.find()
}

// field is the value of a field, or the nearest that is there.
func (s said) field(path string) yamlfile.Value {
	if inner, is := strings.CutPrefix(path, "alerting."); is && s.fields.get("alerting").Present() {
		return said{s.fields.get("alerting"), s.fields.below("alerting")}.field(inner)
	}
	at := s.at
	for i, key := range strings.Split(path, ".") {
		next := at.Map().Get(key)
		if i == 0 {
			next = s.fields.get(key)
		}
		if !next.Present() {
			break
		}
		at = next
	}
	return at
}

// findDuplicates reports each slo_id that there is twice.
func (l *loading) findDuplicates() {
	for _, b := range l.slos {
		id := b.ID()
		a, taken := l.byID[id]
		l.byID[id] = b
		if !taken || b.Service == "" || b.Name == "" {
			continue
		}
		at := fmt.Sprintf("%s:%d", a.Origin.File, a.Origin.Line)
		if a.Origin.Revision != "" && a.Origin.Source != b.Origin.Source {
			at = a.Origin.Source + ": " + at // names are within a repository
		}
		l.failed[l.from[b]] = true
		l.extra = append(l.extra, yamlfile.Finding{
			File: b.Origin.File, Line: b.Origin.Line, Column: b.Origin.Column, Width: 1, Severity: yamlfile.Error,
			Message: fmt.Sprintf("slo_id %s is taken already, by %s", id, at),
			Hint:    "rename one of them, or its service",
			Snippet: yamlfile.Line(l.from[b].in.Text, b.Origin.Line),
			Source:  b.Origin.Source,
		})
	}
}

// exclude gives the exclusions of files of their own to the SLOs that match.
func (l *loading) exclude() {
	for _, p := range l.parsed {
		for _, x := range p.exclusions {
			matched := false
			for _, s := range l.slos {
				if !x.matches(s) {
					continue
				}
				matched = true
				if !l.failed[p] {
					s.Exclusions = append(s.Exclusions, x.exclusions...)
				}
			}
			if !matched {
				x.at.Warnf("", "the exclusion matches none of the SLOs that were read")
			}
		}
	}
}
