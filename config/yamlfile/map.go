package yamlfile

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Map is a mapping of a file, in the order of the file.
type Map struct {
	Entries []Entry
	self    Value
	meant   []string       // keys that unknown ones were probably meant to be
	index   map[string]int // of the entries by their keys; nil where they are few
}

// Entry is one key of a mapping with its value.
type Entry struct{ Key, Value Value }

// fewEntries is the size of a mapping up to which keys are found sooner without an index.
const fewEntries = 16

// maxMerged bounds the entries that all "<<" of a file add. A line of them can add
// any number.
const maxMerged = 100_000

// Map is the value as a mapping whose keys are all among known; others are
// findings that name the nearest known key. Without known any key is fine. A mapping
// that is large, or has merge keys, is read once.
func (v Value) Map(known ...string) Map {
	if !v.IsMap() || len(v.resolved().Content) <= 2*fewEntries && !hasMerges(v.resolved()) {
		return v.read(known)
	}
	key := mapKey{v.resolved(), strings.Join(known, " ")}
	kept, ok := v.file.maps.Load(key)
	if !ok {
		kept = v.read(known)
		v.file.maps.Store(key, kept)
	}
	m := kept.(Map)
	m.self = v
	return m
}

// read reads a mapping and checks its keys.
func (v Value) read(known []string) Map {
	m := v.mapping()
	unknown := 0
	for _, e := range m.Entries {
		if len(known) == 0 || slices.Contains(known, e.Key.node.Value) {
			continue
		}
		hint := ""
		if unknown++; unknown <= MaxFindings { // others are counted only
			hint = "known keys: " + strings.Join(known, ", ")
			if near := Nearest(e.Key.node.Value, known); near != "" {
				hint = fmt.Sprintf("did you mean %q? %s", near, hint)
				m.meant = append(m.meant, near)
			}
		}
		e.Key.Errorf(hint, "unknown key %q", e.Key.node.Value)
	}
	return m
}

// at is the index of a key's entry, -1 when it is not there.
func (m Map) at(key string) int {
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(m.Entries, func(e Entry) bool { return e.Key.node.Value == key })
}

// Get is the value of a key, the zero Value when it is not there.
func (m Map) Get(key string) Value {
	if i := m.at(key); i >= 0 {
		return m.Entries[i].Value
	}
	return Value{}
}

// Key is a key itself, for findings about it.
func (m Map) Key(key string) Value {
	if i := m.at(key); i >= 0 {
		return m.Entries[i].Key
	}
	return Value{}
}

// Has reports whether the key is there, with whatever value.
func (m Map) Has(key string) bool { return m.at(key) >= 0 }

// Require is Get, with an error at the mapping when the key is not there; a
// misspelt one has its error already.
func (m Map) Require(key string) Value {
	v := m.Get(key)
	if !v.Present() && m.self.node != nil && !slices.Contains(m.meant, key) {
		at := m.self
		if m.Has(key) {
			at = m.Key(key)
		}
		at.Errorf("", "%s is missing", key)
	}
	return v
}

// add adds an entry, and begins an index when there are many.
func (m *Map) add(e Entry) {
	m.Entries = append(m.Entries, e)
	switch n := len(m.Entries); {
	case m.index != nil:
		m.index[e.Key.node.Value] = n - 1
	case n > fewEntries:
		m.index = make(map[string]int, 2*n)
		for i, e := range m.Entries {
			m.index[e.Key.node.Value] = i
		}
	}
}

// mapping reads the keys, merges what "<<" names and finds repeated keys.
func (v Value) mapping() Map {
	m := Map{self: v}
	if !v.Present() {
		return m
	}
	n := v.resolved()
	if n.Kind != yaml.MappingNode {
		v.Errorf("", "expected a mapping of keys to values, found %s", kind(n))
		return Map{}
	}
	seen := map[*yaml.Node]bool{n: true}
	for _, from := range m.own(v) {
		m.merge(from, seen)
	}
	return m
}

// own adds the entries that a mapping itself has, and gives what its "<<" name.
func (m *Map) own(v Value) (merges []Value) {
	n := v.resolved()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Value{v.file, n.Content[i]}, Value{v.file, n.Content[i+1]}
		switch {
		case key.node.Tag == mergeTag:
			merges = append(merges, value)
		case key.node.Kind != yaml.ScalarNode:
			key.Errorf("", "expected a key that is text, found %s", kind(key.node))
		case m.Has(key.node.Value):
			key.Errorf("", "key %q is repeated; it is in line %d already", key.node.Value, m.Key(key.node.Value).Line())
		default:
			m.add(Entry{key, value})
		}
	}
	return merges
}

const mergeTag = "!!merge"

func hasMerges(n *yaml.Node) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Tag == mergeTag {
			return true
		}
	}
	return false
}

// merge adds the entries that a "<<" names and the mapping lacks. Each mapping is merged
// once at most, seen or not: an anchor can name itself.
func (m *Map) merge(from Value, seen map[*yaml.Node]bool) {
	parts := []Value{from}
	if from.resolved().Kind == yaml.SequenceNode {
		parts = from.List()
	}
	for _, part := range parts {
		if seen[part.resolved()] {
			continue
		}
		seen[part.resolved()] = true
		if !part.file.admitMerge(len(part.resolved().Content) / 2) {
			part.Errorf("write out what is merged", "merge keys of this file add more than %d keys", maxMerged)
			return
		}
		one := Map{self: part}
		var deeper []Value
		if !part.Present() {
			continue
		}
		if part.IsMap() {
			deeper = one.own(part)
		} else {
			part.Errorf("", "expected a mapping of keys to values, found %s", kind(part.resolved()))
		}
		for _, e := range one.Entries {
			if !m.Has(e.Key.node.Value) {
				m.add(e)
			}
		}
		for _, next := range deeper {
			m.merge(next, seen)
		}
	}
}

// admitMerge counts entries that are merged, and reports whether there may be so many.
func (f *File) admitMerge(entries int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.merged += entries
	return f.merged <= maxMerged
}
