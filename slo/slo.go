// Package slo says what a service level objective is: the type, the parser of
// SLO files with its checks, the burn-rate arithmetic and the names of series.
//
// A use, from the text of one file to the SLOs in it:
//
//	set := slo.Load([]slo.File{{Name: "checkout.yaml", Text: text}})
//	for _, f := range set.Findings { fmt.Print(f.Text()) }
//	for _, s := range set.SLOs { fmt.Println(s.ID(), s.Objective.Percent()) }
package slo

// SLO is one service level objective. The parser makes it; every other
// package takes it and leaves it unchanged.
type SLO struct {
	Service     string
	Name        string
	Description string
	Owner       string
	Labels      map[string]string // on slo_info and on every alert
	Links       map[string]string // by name: runbook, dashboard, ...
	Objective   Objective
	Window      Window
	Indicator   Indicator
	Origin      Origin
}

// Origin says where an SLO was read.
type Origin struct {
	Source   string // the directory or the repository, as the configuration names it
	Revision string // the commit, or "" for a directory
	File     string // path of the file, as shown in findings
	Line     int    // 1-based place of the SLO in it
	Column   int
	Backends []string // names of the backends that the source may use; empty for all
}

// ID is the SLO's identity over all sources: "checkout/availability".
func (s *SLO) ID() string { return s.Service + "/" + s.Name }
