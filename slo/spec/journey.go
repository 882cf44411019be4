package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// journeys finds the parts of SLOs of other SLOs. An SLO in a file with errors can't be a
// part, and neither can an SLO that has such a part.
func (l *loading) journeys() {
	w := walk{limit: l.limits.Parts, edges: map[*slo.SLO][]edge{}, at: map[*slo.SLO]yamlfile.Value{}, leaves: map[*slo.SLO][]*slo.SLO{}, place: map[*slo.SLO]int{}}
	var all []*slo.SLO
	for _, p := range l.parsed {
		for _, j := range p.journeys {
			w.edges[j.slo], w.at[j.slo] = l.parts(j), j.at
			all = append(all, j.slo)
		}
	}
	for _, s := range all {
		w.visit(s)
	}
	for _, p := range l.parsed {
		if len(p.journeys) > 0 && p.failed() {
			l.failed[p] = true
		}
	}
	l.spoil(all, w.edges)
}

// spoil reports the parts that are in files with errors, and lets the SLOs fail
// that they are part of.
func (l *loading) spoil(all []*slo.SLO, edges map[*slo.SLO][]edge) {
	failed := maps.Clone(l.failed)
	users := map[*parsed][]*parsed{} // the files of SLOs with parts in a file
	for _, s := range all {
		for _, e := range edges[s] {
			if in := l.from[e.part]; in != l.from[s] {
				users[in] = append(users[in], l.from[s])
			}
		}
	}
	var spread func(*parsed)
	spread = func(p *parsed) {
		for _, user := range users[p] {
			if !l.failed[user] {
				l.failed[user] = true
				spread(user)
			}
		}
	}
	for p, has := range failed {
		if has {
			spread(p)
		}
	}
	for _, s := range all {
		for _, e := range edges[s] {
			if in := l.from[e.part]; l.failed[in] && in != l.from[s] && !failed[l.from[s]] {
				e.at.Errorf("", "%s is in %s, which has errors", e.part.ID(), e.part.Origin.File)
			}
		}
	}
}

// edge leads from an SLO to a part of it.
type edge struct {
	part *slo.SLO
	at   yamlfile.Value
}

// parts finds the parts of an SLO.
func (l *loading) parts(j journey) []edge {
	var edges []edge
	whole := &slo.WorstOf{}
	named := map[string]bool{}
	for _, v := range j.parts {
		id := v.Text()
		part, known := l.byID[id]
		switch {
		case id == "":
			if v.IsScalar() || !v.Present() {
				v.Errorf("write ids, such as checkout/availability", "the id is empty")
			}
			continue
		case named[id]:
			v.Errorf("", "%s is named twice", id)
			continue
		case !known:
			hint := "an id is service/name, such as checkout/availability"
			if near := l.nearest(id); near != "" {
				hint = "did you mean " + near + "?"
			}
			v.Errorf(hint, "there is no SLO %s", id)
			continue
		case part == j.slo:
			v.Errorf("", "%s can't be a part of itself", id)
			continue
		case part.Groups != nil:
			v.Errorf("", "%s is split into groups and can't be a part", id)
		case home(part) != home(j.slo):
			v.Errorf("choose the same with backend: for both", "%s is counted in %s, and this SLO in %s", id, home(part), home(j.slo))
		}
		named[id] = true
		whole.Names = append(whole.Names, id)
		edges = append(edges, edge{part, v})
	}
	j.slo.Indicator = whole
	return edges
}

// nearestWork bounds how many ids are compared with ids that are unknown.
const nearestWork = 100_000

// nearest is the id that was probably meant, or "".
func (l *loading) nearest(id string) string {
	if l.ids == nil {
		l.ids = slices.Sorted(maps.Keys(l.byID))
	}
	if l.compared += len(l.ids); l.compared > nearestWork && l.compared > len(l.ids) {
		return ""
	}
	return yamlfile.Nearest(id, l.ids)
}

// home names the backend that an SLO is counted in.
func home(s *slo.SLO) string {
	switch {
	case s.Backend != "":
		return "backend " + s.Backend
	case len(s.Origin.Backends) > 0:
		return "backend " + s.Origin.Backends[0]
	}
	return "the first backend"
}

// walk finds what SLOs are made of in the end, and circles of SLOs that are parts of each
// other. Parts of parts are counted once.
type walk struct {
	limit  int
	edges  map[*slo.SLO][]edge
	at     map[*slo.SLO]yamlfile.Value
	leaves map[*slo.SLO][]*slo.SLO // of those that are done
	place  map[*slo.SLO]int        // in way, of those on it
	way    []*slo.SLO
}

func (w *walk) visit(s *slo.SLO) {
	if _, done := w.leaves[s]; done {
		return
	}
	w.place[s] = len(w.way)
	w.way = append(w.way, s)
	var leaves []*slo.SLO
	has := map[*slo.SLO]bool{}
	for _, e := range w.edges[s] {
		if from, on := w.place[e.part]; on {
			e.at.Errorf("", "SLOs are parts of each other in a circle: %s", circle(w.way[from:]))
			continue
		}
		parts := []*slo.SLO{e.part}
		if _, isWhole := e.part.Indicator.(*slo.WorstOf); isWhole {
			w.visit(e.part)
			parts = w.leaves[e.part]
		}
		for _, part := range parts {
			if !has[part] {
				has[part] = true
				leaves = append(leaves, part)
			}
		}
	}
	if len(leaves) > w.limit {
		w.at[s].Errorf("it is limits.parts of the service's own file", "%s has %d parts with those of its parts, more than %d", s.ID(), len(leaves), w.limit)
		leaves = leaves[:w.limit]
	}
	if whole, is := s.Indicator.(*slo.WorstOf); is {
		whole.Parts = leaves
	}
	w.way = w.way[:len(w.way)-1]
	delete(w.place, s)
	w.leaves[s] = leaves
}

// circle names the SLOs of a circle, of a large one the first.
func circle(way []*slo.SLO) string {
	const most = 10
	var names []string
	for _, s := range way[:min(len(way), most)] {
		names = append(names, s.ID())
	}
	if len(way) > most {
		names = append(names, fmt.Sprintf("%d more", len(way)-most))
	}
	return strings.Join(append(names, way[0].ID()), " -> ")
}
