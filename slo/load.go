package slo

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// Set is all SLOs of some files, and all that was found in them.
type Set struct {
	SLOs     []*SLO             // sorted by ID; none of a file with errors
	Findings []yamlfile.Finding // sorted by file and place
}

// Load parses files, on all processors, and checks them against each other:
// one slo_id twice is an error that names both places.
func Load(files []File) *Set {
	type result struct {
		slos     []*SLO
		findings []yamlfile.Finding
	}
	results := make([]result, len(files))
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(files))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(files); i += workers {
				results[i].slos, results[i].findings = parse(files[i])
			}
		})
	}
	wg.Wait()
	set := &Set{}
	for _, r := range results {
		set.SLOs = append(set.SLOs, r.slos...)
		set.Findings = append(set.Findings, r.findings...)
	}
	slices.SortStableFunc(set.SLOs, func(a, b *SLO) int { return cmp.Compare(a.ID(), b.ID()) })
	set.findDuplicates(files)
	set.Findings = yamlfile.Sort(set.Findings)
	set.dropBroken()
	return set
}

// dropBroken removes the SLOs of files with errors: they are incomplete.
func (set *Set) dropBroken() {
	broken := map[[2]string]bool{}
	for _, f := range set.Findings {
		if f.Severity == yamlfile.Error {
			broken[[2]string{f.Source, f.File}] = true
		}
	}
	set.SLOs = slices.DeleteFunc(set.SLOs, func(s *SLO) bool {
		return broken[[2]string{s.Origin.Source, s.Origin.File}]
	})
}

func (set *Set) findDuplicates(files []File) {
	for i := 1; i < len(set.SLOs); i++ {
		a, b := set.SLOs[i-1], set.SLOs[i]
		if a.ID() != b.ID() || a.Service == "" || a.Name == "" {
			continue
		}
		at := fmt.Sprintf("%s:%d", a.Origin.File, a.Origin.Line)
		if a.Origin.Revision != "" && a.Origin.Source != b.Origin.Source {
			at = a.Origin.Source + ": " + at // names are within a repository
		}
		set.Findings = append(set.Findings, yamlfile.Finding{
			File: b.Origin.File, Line: b.Origin.Line, Column: b.Origin.Column, Width: 1, Severity: yamlfile.Error,
			Message: fmt.Sprintf("slo_id %s is taken already, by %s", b.ID(), at),
			Hint:    "rename one of them, or its service",
			Snippet: yamlfile.Line(text(files, b.Origin), b.Origin.Line),
			Source:  b.Origin.Source,
		})
	}
}

func text(files []File, o Origin) []byte {
	for _, f := range files {
		if f.Name == o.File && f.Source == o.Source {
			return f.Text
		}
	}
	return nil
}
