package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// journey is an SLO of other SLOs.
type journey struct {
	slo    *slo.SLO
	at     yamlfile.Value // worst_of
	parts  []yamlfile.Value
	edges  []edge     // to the SLOs that parts name
	leaves []*slo.SLO // what it is made of in the end, each once
	begun  bool       // the search for leaves
	place  int        // in walk.way, from 1 on; 0 where it is not on it
}

// edge leads from an SLO to a part of it.
type edge struct {
	part *slo.SLO
	at   yamlfile.Value
}

// journeys finds the parts of SLOs of other SLOs. An SLO in a file with errors can't be a
// part, and neither can an SLO that has such a part.
func (l *loading) journeys() {
	w := walk{limit: l.limits.Parts, journeys: map[*slo.SLO]*journey{}}
	var all []*journey
	for _, p := range l.parsed {
		for _, j := range p.journeys {
			l.findParts(j)
			w.journeys[j.slo] = j
		}
		all = append(all, p.journeys...)
	}
	for _, j := range all {
		w.visit(j)
	}
	for _, p := range l.parsed {
		if len(p.journeys) > 0 && p.failed() {
			l.failed[p] = true
		}
	}
	l.spoil(all)
}

// spoil reports the parts that are in files with errors, and lets the SLOs fail
// that they are part of.
func (l *loading) spoil(all []*journey) {
	failed := maps.Clone(l.failed)
	users := map[*parsed][]*parsed{} // the files of SLOs with parts in a file
	for _, j := range all {
		user := l.from[j.slo]
		for _, e := range j.edges {
			if in := l.from[e.part]; in != user {
				users[in] = append(users[in], user)
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
	for _, j := range all {
		user := l.from[j.slo]
		for _, e := range j.edges {
			if in := l.from[e.part]; l.failed[in] && in != user && !failed[user] {
				e.at.Errorf("", "%s is in %s, which has errors", e.part.ID(), e.part.Origin.File)
			}
		}
	}
}

// findParts finds the SLOs that a journey names.
func (l *loading) findParts(j *journey) {
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
		j.edges = append(j.edges, edge{part, v})
	}
	j.slo.Indicator = whole
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
	limit    int
	journeys map[*slo.SLO]*journey
	way      []*slo.SLO
}

func (w *walk) visit(j *journey) {
	if j.begun {
		return
	}
	j.begun = true
	w.way = append(w.way, j.slo)
	j.place = len(w.way)
	has := map[*slo.SLO]bool{}
	for _, e := range j.edges {
		parts := []*slo.SLO{e.part}
		if inner := w.journeys[e.part]; inner != nil {
			if inner.place > 0 {
				e.at.Errorf("", "SLOs are parts of each other in a circle: %s", circle(w.way[inner.place-1:]))
				continue
			}
			w.visit(inner)
			parts = inner.leaves
		}
		for _, part := range parts {
			if !has[part] {
				has[part] = true
				j.leaves = append(j.leaves, part)
			}
		}
	}
	if n := len(j.leaves); n > w.limit {
		j.at.Errorf(limitHint("parts"), "%s has %d parts with those of its parts, more than %d", j.slo.ID(), n, w.limit)
		j.leaves = j.leaves[:w.limit]
	}
	if whole, is := j.slo.Indicator.(*slo.WorstOf); is {
		whole.Parts = j.leaves
	}
	w.way = w.way[:len(w.way)-1]
	j.place = 0
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
