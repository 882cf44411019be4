// Package spec reads files of slowburn/v1: it makes SLOs of them with their defaults and
// exclusions, and findings with file, line, column and a hint.
package spec

import (
	"cmp"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// Set is all SLOs of some files, and all that was found in them.
type Set struct {
	SLOs     []*slo.SLO         // sorted by ID; none of a file with errors
	Findings []yamlfile.Finding // sorted by file and place

	from *loading
}

// Load parses files within the default limits.
func Load(files []File) *Set { return Limits{}.Load(files) }

// Load parses files, on all processors, and checks them against each other:
// one slo_id twice is an error that names both places. A limit of 0 is the default one.
func (limits Limits) Load(files []File) *Set {
	l := &loading{
		limits: limits.orDefault(), parsed: make([]*parsed, len(files)), above: map[folder]*defaults{}, chains: map[folder][]*defaults{},
		byID: map[string]*slo.SLO{}, from: map[*slo.SLO]*parsed{}, failed: map[*parsed]bool{},
	}
	for i, f := range files {
		if isDefaults(f) {
			d := l.readDefaults(f)
			l.parsed[i], l.above[folderOf(f)] = &parsed{in: f, file: d.file}, d
		}
	}
	above := make([][]*defaults, len(files))
	for i, f := range files {
		above[i] = l.chain(folderOf(f))
	}
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(files))
	for w := range workers {
		wg.Go(func() {
			known := slo.BucketMatchers{}
			for i := w; i < len(files); i += workers {
				if l.parsed[i] == nil {
					l.parsed[i] = l.parse(files[i], above[i], known)
				}
			}
		})
	}
	wg.Wait()
	return l.set()
}

func isDefaults(f File) bool { return path.Base(slashed(f.Name)) == yamlfile.DefaultsName }

// folder is a directory, of this machine or of a repository.
type folder struct{ repository, dir string }

func folderOf(f File) folder {
	at := folder{dir: path.Dir(slashed(f.Name))}
	if f.Revision != "" {
		at.repository = f.Source
	}
	return at
}

func slashed(name string) string { return strings.ReplaceAll(name, `\`, "/") }

// chain is the files of defaults of a directory and those above, the nearest first, up to
// one more than there may be.
func (l *loading) chain(at folder) []*defaults {
	if chain, done := l.chains[at]; done {
		return chain
	}
	var chain []*defaults
	if d, ok := l.above[at]; ok {
		chain = []*defaults{d}
	}
	if up := path.Dir(at.dir); up != at.dir {
		chain = append(chain, l.chain(folder{at.repository, up})...)
	}
	chain = chain[:min(len(chain), maxDefaults+1)]
	l.chains[at] = chain
	return chain
}

// loading has the content of files, on its way to a Set.
type loading struct {
	limits Limits
	memo   sync.Map
	above  map[folder]*defaults
	chains map[folder][]*defaults
	parsed []*parsed
	slos   []*slo.SLO // by ID
	byID   map[string]*slo.SLO
	from   map[*slo.SLO]*parsed
	failed map[*parsed]bool // has errors

	ids      []string // sorted, once they are needed
	compared int      // of these with others
}

func (l *loading) set() *Set {
	for _, p := range l.parsed {
		l.failed[p] = p.failed()
		for _, s := range p.slos {
			l.from[s] = p
		}
		l.slos = append(l.slos, p.slos...)
	}
	l.countSLOs()
	slices.SortStableFunc(l.slos, func(a, b *slo.SLO) int { return cmp.Compare(a.ID(), b.ID()) })
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
	s.Findings = nil
	for _, p := range s.from.parsed {
		s.Findings = append(s.Findings, p.findings()...)
	}
	s.Findings = yamlfile.Sort(s.Findings)
}

// Add adds findings that others than the parser made, each at the place of its
// field, also in a file of defaults, or of what is nearest to it.
func (s *Set) Add(findings ...slo.Finding) {
	if len(findings) == 0 {
		return
	}
	for _, r := range findings {
		at := s.from.from[r.SLO].said[r.SLO].field(r.Field)
		if r.Wrong {
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
		l.from[b].said[b].at.Errorf("rename one of them, or its service", "slo_id %s is taken already, by %s", id, at)
	}
}

// countSLOs reports the first SLO of each source that is one too many.
func (l *loading) countSLOs() {
	count := map[string]int{}
	for _, s := range l.slos {
		p := l.from[s]
		if count[p.in.Source]++; count[p.in.Source] > l.limits.SLOsPerSource {
			if !l.failed[p] {
				p.said[s].at.Errorf(limitHint("slos_per_source"), "%s has more than %d SLOs", cmp.Or(p.in.Source, "the source"), l.limits.SLOsPerSource)
			}
			l.failed[p] = true
		}
	}
}
