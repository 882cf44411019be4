package spec

import (
	"cmp"
	"sync"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// Limits bound what SLO files hold, for they are other people's.
type Limits struct {
	SLOsPerFile     int
	SLOsPerSource   int
	Parts           int // of an SLO of other SLOs, with the parts of these
	Labels          int // of a file or of alerts, and so many annotations, links and labels of group_by
	Exclusions      int // of an SLO; each range of times counts as one
	GroupObjectives int // of an SLO
}

// orDefault returns the limits, with defaults for those that are 0. These are far above what
// people write.
func (l Limits) orDefault() Limits {
	return Limits{
		SLOsPerFile:     cmp.Or(l.SLOsPerFile, 2000),
		SLOsPerSource:   cmp.Or(l.SLOsPerSource, 20_000),
		Parts:           cmp.Or(l.Parts, 50),
		Labels:          cmp.Or(l.Labels, 64),
		Exclusions:      cmp.Or(l.Exclusions, 200),
		GroupObjectives: cmp.Or(l.GroupObjectives, 2000),
	}
}

// The limits of what nobody has many of.
const (
	maxSteps    = 100  // of a budget policy
	maxPast     = 1000 // objectives
	maxDefaults = 32   // files of defaults above a file
	maxLabel    = 1024 // bytes of what becomes a label, or is a link
	maxTemplate = yamlfile.MaxText
)

// within reports whether a list or a mapping has no more entries than it may have. The key is
// that of Limits in the service's own file, "" for none.
func within(v yamlfile.Value, what string, most int, key string) bool {
	n := v.Len()
	if n <= most {
		return true
	}
	hint := ""
	if key != "" {
		hint = limitHint(key)
	}
	v.Errorf(hint, "%s has %d entries, more than %d", what, n, most)
	return false
}

// limitHint is the hint of findings about a key of Limits in the service's own file.
func limitHint(key string) string { return "it is limits." + key + " of the service's own file" }

// label reads a text that becomes a label, or is a link.
func label(v yamlfile.Value) string {
	text := v.OneLine()
	if len(text) > maxLabel && len(text) <= yamlfile.MaxText { // what is longer has its error
		v.Errorf("", "the text is longer than %d bytes", maxLabel)
	}
	return text
}

// labelTexts are the texts of a mapping of labels.
func labelTexts(m yamlfile.Map) map[string]string {
	out := make(map[string]string, len(m.Entries))
	for _, e := range m.Entries {
		out[e.Key.Text()] = label(e.Value)
	}
	return out
}

type memoKey struct {
	at       yamlfile.Value // what aliases stand for
	what, by string         // how it is read
}

// remembered reads a value once for all that read it so: values of defaults and what aliases
// stand for are those of many SLOs. What it returns must not be changed. The memo has a
// function for each memoKey.
func remembered[T any](memo *sync.Map, key memoKey, read func() T) T {
	key.at = key.at.Target()
	once, known := memo.Load(key)
	if !known {
		once, _ = memo.LoadOrStore(key, sync.OnceValue(read))
	}
	return once.(func() T)()
}
