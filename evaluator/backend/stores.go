package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// A Thanos leaves out a store that is down ten seconds after it died, and answers
// without its data and without a warning. It lists the store with an error for some
// minutes, and not at all after that. So it is asked for its stores beside what is read.

// ErrPartial says that an answer may lack the data of a store.
var ErrPartial = errors.New("the answer may be partial")

const (
	// storesFresh is how long a cycle takes the stores to be as they were: less than it
	// takes to the next cycle, so that each has a list of its own.
	storesFresh = 10 * time.Second
	// missedFor is how long a store that is gone is missed before it is taken for
	// removed on purpose.
	missedFor = 24 * time.Hour
)

// thanosStore is a store as /api/v1/stores lists it. Times are in milliseconds.
type thanosStore struct {
	Name      string              `json:"name"`
	LastError json.RawMessage     `json:"lastError"`
	LabelSets []map[string]string `json:"labelSets"`
	MinTime   int64               `json:"minTime"`
	MaxTime   int64               `json:"maxTime"`

	component string // sidecar, store, receive, rule ...
	alike     string // what has the same data: the component and the labels but those of replicas
}

func (s *thanosStore) fails() bool {
	text := strings.TrimSpace(string(s.LastError))
	return text != "" && text != "null" && text != `""`
}

// covers reports whether a store has all that another has of a time; touches reports
// whether it has any of it.
func (s *thanosStore) covers(o *thanosStore, from, to int64) bool {
	return s.MinTime <= max(from, o.MinTime) && s.MaxTime >= min(to, o.MaxTime)
}

func (s *thanosStore) touches(from, to int64) bool { return s.MinTime <= to && s.MaxTime > from }

// stores are those of a Thanos, as it listed them last.
type stores struct {
	mu    sync.Mutex
	at    time.Time // when they were asked for; zero before
	all   []thanosStore
	known map[string]knownStores // by what they have
}

// knownStores are stores with the same data that were well at a time.
type knownStores struct {
	stores []thanosStore // of Store Gateways each may have a part, or a time of its own
	at     time.Time
}

// missedStore is a store that was well until a time, and is listed no more.
type missedStore struct {
	thanosStore
	at time.Time
}

// replicas are the labels that tell replicas apart where nobody configured others.
var replicas = []string{"replica", "prometheus_replica", "__replica__", "rule_replica", "receive_replica"}

// Missing is an error when a Thanos may lack samples of (from, to] that selectors
// select. A cycle is content with what was just listed, and does not miss what is gone:
// that would be until it is forgotten. A backend that listed stores is asked again after
// an outage too, when it is not known yet what it is.
func (b *Client) Missing(ctx context.Context, selectors func() []slo.Selector, from, to timeline.Minute, cycle bool) error {
	s := &b.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := b.Identity()
	if known && id.Kind != KindThanos || !known && s.at.IsZero() {
		return nil
	}
	now := b.patience.now()
	if !cycle || s.at.IsZero() || now.Sub(s.at) >= storesFresh {
		all, err := b.listStores(ctx)
		if _, silent := errors.AsType[net.Error](err); silent {
			return err // a query would wait as long
		}
		if err != nil {
			return nil // who can't list stores is read as before
		}
		s.at, s.all = now, all
		s.note(now)
	}
	selected := selectors()
	for i := range s.all {
		if x := &s.all[i]; s.lacks(x, from, to) && x.concerns(selected) {
			return fmt.Errorf("%w: the %s %s fails: %s", ErrPartial, x.component, x.Name, cmp.Or(firstLine(x.LastError), "no reason is given"))
		}
	}
	if cycle {
		return nil
	}
	for _, k := range s.gone(now, from, to) {
		if k.concerns(selected) {
			return fmt.Errorf("%w: %s", ErrPartial, k.text())
		}
	}
	return nil
}

// concerns reports whether a store may have series of selectors: it has none when its
// labels contradict each. Of the zero Selector, an expression's, that is not known.
func (s *thanosStore) concerns(selectors []slo.Selector) bool {
	return slices.ContainsFunc(selectors, func(selector slo.Selector) bool {
		return selector.IsZero() || len(s.LabelSets) == 0 || slices.ContainsFunc(s.LabelSets, func(set map[string]string) bool {
			return !slices.ContainsFunc(selector.Matchers(), func(x *labels.Matcher) bool {
				value, has := set[x.Name]
				return has && !x.Matches(value)
			})
		})
	})
}

// listStores asks a Thanos for its stores.
func (b *Client) listStores(ctx context.Context) ([]thanosStore, error) {
	var answer struct {
		Data map[string][]thanosStore `json:"data"`
	}
	err := b.Call(ctx, "/api/v1/stores", nil, func(body io.Reader) error { return json.NewDecoder(body).Decode(&answer) })
	if err != nil {
		return nil, fmt.Errorf("listing stores: %w", err)
	}
	ignored := slices.Concat(replicas, b.ReplicaLabels)
	var out []thanosStore
	for _, component := range slices.Sorted(maps.Keys(answer.Data)) {
		for _, s := range answer.Data[component] {
			s.component, s.alike = component, component+" "+labelSetsText(s.LabelSets, ignored)
			out = append(out, s)
		}
	}
	return out, nil
}

// labelSetsText is a text of label sets without some labels.
func labelSetsText(sets []map[string]string, ignored []string) string {
	var texts []string
	for _, set := range sets {
		var one []string
		for name, value := range set {
			if !slices.Contains(ignored, name) {
				one = append(one, fmt.Sprintf("%s=%q", name, value))
			}
		}
		slices.Sort(one)
		texts = append(texts, "{"+strings.Join(one, ",")+"}")
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " ")
}

// note notes the stores that are well.
func (s *stores) note(now time.Time) {
	well := map[string]knownStores{}
	for _, x := range s.all {
		if !x.fails() {
			well[x.alike] = knownStores{append(well[x.alike].stores, x), now}
		}
	}
	for key, was := range s.known {
		if is := well[key]; len(is.stores) < was.least() && now.Sub(was.at) < missedFor {
			well[key] = was
		}
	}
	s.known = well
}

// least is how many stores must be there so that none is missed. Replicas of a scraper
// have the same samples; Store Gateways may have shards of the same blocks.
func (k knownStores) least() int {
	if k.stores[0].component == "store" {
		return len(k.stores)
	}
	return 1
}

// lacks reports whether a store fails that has samples of a time which no other has.
func (s *stores) lacks(x *thanosStore, from, to timeline.Minute) bool {
	a, b := from.Millis(), to.Millis()
	return x.fails() && x.touches(a, b) && (x.component == "store" || s.standIns(x, a, b) == 0)
}

// gone are the stores with samples of a time that were there and are listed no more.
func (s *stores) gone(now time.Time, from, to timeline.Minute) []missedStore {
	var out []missedStore
	a, b := from.Millis(), to.Millis()
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		k := s.known[key]
		if !k.at.Before(now) {
			continue
		}
		for i := range k.stores {
			if x := &k.stores[i]; x.touches(a, b) && !s.isWell(x) && s.standIns(x, a, b) < k.least() {
				out = append(out, missedStore{*x, k.at})
			}
		}
	}
	return out
}

// isWell reports whether a store is listed, and without an error.
func (s *stores) isWell(x *thanosStore) bool {
	return slices.ContainsFunc(s.all, func(o thanosStore) bool { return o.alike == x.alike && o.Name == x.Name && !o.fails() })
}

func (k missedStore) text() string {
	return fmt.Sprintf("the %s %s is gone that was there until %s", k.component, k.Name, k.at.UTC().Format(evaluator.MinuteFormat))
}

// Lost is what a Thanos lost that held samples of selectors in (from, to]: what is gone,
// for people, and when it was there last. It reports false when nothing is.
func (b *Client) Lost(selectors func() []slo.Selector, from, to timeline.Minute) (text string, at time.Time, is bool) {
	s := &b.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.gone(s.at, from, to) {
		if k.concerns(selectors()) {
			return k.text(), k.at.UTC(), true
		}
	}
	return "", time.Time{}, false
}

// standIns counts the stores that are well and have all that one has of a time.
func (s *stores) standIns(of *thanosStore, from, to int64) int {
	n := 0
	for i := range s.all {
		if x := &s.all[i]; x.alike == of.alike && !x.fails() && x.covers(of, from, to) {
			n++
		}
	}
	return n
}

// firstLine is the beginning of a text in JSON.
func firstLine(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	text, _, _ = strings.Cut(text, "\n")
	return Shown(text)
}
