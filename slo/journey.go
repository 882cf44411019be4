package slo

import (
	"maps"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// journeys finds the parts of SLOs of other SLOs. What has errors is not part
// of anything, and neither is what that would be part of.
func (l *loading) journeys() {
	w := walk{edges: map[*SLO][]edge{}, state: map[*SLO]int{}}
	for _, p := range l.parsed {
		for _, j := range p.journeys {
			w.edges[j.slo] = l.parts(j)
		}
	}
	for _, p := range l.parsed {
		for _, j := range p.journeys {
			w.visit(j.slo)
		}
	}
	for _, p := range l.parsed {
		if len(p.journeys) > 0 && yamlfile.HasErrors(p.findings()) {
			l.failed[p] = true
		}
	}
	l.spoil(w.edges)
}

// spoil reports the parts that are in files with errors, and lets the SLOs fail
// that they are part of.
func (l *loading) spoil(edges map[*SLO][]edge) {
	failed := maps.Clone(l.failed)
	for again := true; again; {
		again = false
		for s, parts := range edges {
			for _, e := range parts {
				if l.failed[l.from[e.part]] && !l.failed[l.from[s]] {
					again, l.failed[l.from[s]] = true, true
				}
			}
		}
	}
	for s, parts := range edges {
		for _, e := range parts {
			if in := l.from[e.part]; l.failed[in] && in != l.from[s] && !failed[l.from[s]] {
				e.at.Errorf("", "%s is in %s, which has errors", e.part.ID(), e.part.Origin.File)
			}
		}
	}
}

// edge leads from an SLO to a part of it.
type edge struct {
	part *SLO
	at   yamlfile.Value
}

// parts finds the parts of an SLO.
func (l *loading) parts(j journey) []edge {
	var edges []edge
	whole := &WorstOf{}
	for _, v := range j.parts {
		id := v.Text()
		part, known := l.byID[id]
		switch {
		case id == "":
			if v.IsScalar() || !v.Present() {
				v.Errorf("write ids, such as checkout/availability", "the id is empty")
			}
			continue
		case slices.Contains(whole.Names, id):
			v.Errorf("", "%s is named twice", id)
			continue
		case !known:
			hint := "an id is service/name, such as checkout/availability"
			if near := yamlfile.Nearest(id, slices.Sorted(maps.Keys(l.byID))); near != "" {
				hint = "did you mean " + near + "?"
			}
			v.Errorf(hint, "there is no SLO %s", id)
			continue
		case part == j.slo:
			v.Errorf("", "%s can't be a part of itself", id)
			continue
		case part.Groups != nil:
			v.Errorf("", "%s is split into groups and can't be a part", id)
		case part.home() != j.slo.home():
			v.Errorf("choose the same with backend: for both", "%s is counted in %s, and this SLO in %s", id, part.home(), j.slo.home())
		}
		whole.Names, whole.Parts = append(whole.Names, id), append(whole.Parts, part)
		edges = append(edges, edge{part, v})
	}
	j.slo.Indicator = whole
	return edges
}

// home names the backend that an SLO is counted in.
func (s *SLO) home() string {
	switch {
	case s.Backend != "":
		return "backend " + s.Backend
	case len(s.Origin.Backends) > 0:
		return "backend " + s.Origin.Backends[0]
	}
	return "the first backend"
}

// walk finds circles of SLOs that are parts of each other.
type walk struct {
	edges map[*SLO][]edge
	state map[*SLO]int // 0 new, 1 on the way, 2 done
	way   []*SLO
}

func (w *walk) visit(s *SLO) {
	if w.state[s] != 0 {
		return
	}
	w.state[s] = 1
	w.way = append(w.way, s)
	for _, e := range w.edges[s] {
		if w.state[e.part] == 1 {
			var names []string
			for _, on := range w.way[slices.Index(w.way, e.part):] {
				names = append(names, on.ID())
			}
			e.at.Errorf("", "SLOs are parts of each other in a circle: %s", strings.Join(append(names, e.part.ID()), " -> "))
			continue
		}
		w.visit(e.part)
	}
	w.way = w.way[:len(w.way)-1]
	w.state[s] = 2
}
