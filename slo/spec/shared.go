package spec

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/slo"
)

// exclude gives the exclusions of files of their own to the SLOs that match. SLOs that get
// the same ones share them.
func (l *loading) exclude() {
	x := sharing{loading: l, got: map[*slo.SLO]*share{}}
	for i, p := range l.parsed {
		for n := range p.exclusions {
			x.give(p, &p.exclusions[n], fmt.Sprintf("%d.%d ", i, n))
		}
	}
	lists := map[string][]slo.Exclusion{}
	for s, got := range x.got {
		list, made := lists[got.key]
		if !made {
			list = append(list, s.Exclusions...)
			for _, one := range got.from {
				list = append(list, one.exclusions...)
			}
			lists[got.key] = list
		}
		s.Exclusions = list
	}
}

// sharing is how exclusions of files of their own get to SLOs.
type sharing struct {
	*loading
	by  map[[2]string][]*slo.SLO // by what exclusions match, and its value; nil until one matches something
	got map[*slo.SLO]*share
}

// share has the exclusions that an SLO gets.
type share struct {
	from   []*shared
	key    string // the same for SLOs that have the same exclusions in the end
	ranges int    // with its own
}

// give gives exclusions to the SLOs that match.
func (x *sharing) give(p *parsed, one *shared, name string) {
	matched, more := false, ranges(one.exclusions)
	for _, s := range x.candidates(one) {
		if !one.matches(s) {
			continue
		}
		matched = true
		if x.failed[p] {
			break
		}
		got := x.got[s]
		if got == nil {
			// SLOs with the same exclusions of their own have one list of them.
			got = &share{key: fmt.Sprintf("%p %d ", s.Exclusions, len(s.Exclusions)), ranges: ranges(s.Exclusions)}
			x.got[s] = got
		}
		if got.ranges += more; got.ranges > x.limits.Exclusions {
			one.at.Errorf(limitHint("exclusions"), "with these %s has more than %d exclusions", s.ID(), x.limits.Exclusions)
			x.failed[p] = true
			break
		}
		got.from = append(got.from, one)
		got.key += name
	}
	if !matched {
		one.at.Warnf("", "the exclusion matches none of the SLOs that were read")
	}
}

// candidates are SLOs, among which are all that match.
func (x *sharing) candidates(one *shared) []*slo.SLO {
	if x.by == nil && len(one.match) > 0 {
		x.index()
	}
	out := x.slos
	for key, value := range one.match {
		if with := x.by[[2]string{key, value}]; value != "" && len(with) < len(out) {
			out = with
		}
	}
	return out
}

// matchKeys are the keys that exclusions match in addition to labels.
var matchKeys = map[string]func(*slo.SLO) string{
	"slo_service": func(s *slo.SLO) string { return s.Service },
	"slo":         func(s *slo.SLO) string { return s.Name },
	"slo_id":      (*slo.SLO).ID,
	"owner":       func(s *slo.SLO) string { return s.Owner },
}

func (x *sharing) index() {
	x.by = map[[2]string][]*slo.SLO{}
	for _, s := range x.slos {
		add := func(key, value string) { x.by[[2]string{key, value}] = append(x.by[[2]string{key, value}], s) }
		for key, value := range s.Labels {
			if matchKeys[key] == nil {
				add(key, value)
			}
		}
		for key, of := range matchKeys {
			add(key, of(s))
		}
	}
}

// matches reports whether exclusions are for an SLO.
func (x *shared) matches(s *slo.SLO) bool {
	for key, want := range x.match {
		got := s.Labels[key]
		if of := matchKeys[key]; of != nil {
			got = of(s)
		}
		if got != want {
			return false
		}
	}
	return true
}
