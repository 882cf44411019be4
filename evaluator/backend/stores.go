package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Ten seconds after a store died, Thanos leaves it out, and answers without its data and
// without a warning. For some minutes it lists the store with an error, and after that
// not at all. So slowburn lists the stores beside each query.

// ErrPartial reports that an answer may lack the data of a store.
var ErrPartial = errors.New("the answer may be partial")

const (
	// storesFresh is how long a list of stores is used within a cycle. It is shorter than
	// a cycle, so each cycle reads its own list.
	storesFresh = 10 * time.Second
	// missedFor is how long a store that is gone is missed. After that it counts as
	// removed on purpose.
	missedFor = 24 * time.Hour
)

// thanosStore is a store in the answer of /api/v1/stores. Times are in milliseconds.
type thanosStore struct {
	Name      string              `json:"name"`
	LastError any                 `json:"lastError"` // nil or "" if it works
	LabelSets []map[string]string `json:"labelSets"`
	MinTime   int64               `json:"minTime"`
	MaxTime   int64               `json:"maxTime"`

	component string    // sidecar, store, receive, rule ...
	alike     string    // equal for stores with the same data: the component, and the labels without those of replicas
	worked    time.Time // when it was last listed without an error
}

func (s *thanosStore) fails() bool { return s.LastError != nil && s.LastError != "" }

// covers reports whether a store has all the data that another has in a time. touches
// reports whether it has any data in it.
func (s *thanosStore) covers(o *thanosStore, from, to int64) bool {
	return s.MinTime <= max(from, o.MinTime) && s.MaxTime >= min(to, o.MaxTime)
}

func (s *thanosStore) touches(from, to int64) bool { return s.MinTime <= to && s.MaxTime > from }

// stores contains the stores of a Thanos, as last listed.
type stores struct {
	mu    sync.Mutex
	at    time.Time // when they were listed; zero before
	all   []thanosStore
	known map[string][]thanosStore // those that worked at a time, by alike; each Store Gateway may have a part of the data, or its own time
}

// replicaLabels are the labels of replicas in usual setups.
var replicaLabels = []string{"replica", "prometheus_replica", "__replica__", "rule_replica", "receive_replica"}

// Missing returns an error if a Thanos may lack samples of (from, to] that selectors
// select. In a cycle it uses a recent list, and does not miss stores that are gone: they
// would be missing until they are forgotten. After an outage the kind of backend may not
// be known yet. Then Missing lists the stores if it did before.
func (c *Client) Missing(ctx context.Context, selectors func() []slo.Selector, from, to timeline.Minute, cycle bool) error {
	s := &c.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := c.Identity()
	if known && id.Kind != KindThanos || !known && s.at.IsZero() {
		return nil
	}
	now := c.patience.now()
	if !cycle || s.at.IsZero() || now.Sub(s.at) >= storesFresh {
		all, err := c.listStores(ctx)
		if _, silent := errors.AsType[net.Error](err); silent {
			return err // a query would wait as long
		}
		if err != nil {
			return nil // a backend without a list of stores is read as before
		}
		s.at, s.all = now, all
		s.note(now)
	}
	selected := selectors()
	for i := range s.all {
		if x := &s.all[i]; s.lacks(x, from, to) && x.concerns(selected) {
			return fmt.Errorf("%w: the %s %s fails: %s", ErrPartial, x.component, x.Name, cmp.Or(firstLine(fmt.Sprint(x.LastError)), "no reason is given"))
		}
	}
	if cycle {
		return nil
	}
	for _, m := range s.gone(now, from, to) {
		if m.concerns(selected) {
			return fmt.Errorf("%w: %s", ErrPartial, m.lossText())
		}
	}
	return nil
}

// concerns reports whether a store may have series of selectors. It has none if its
// labels contradict each selector. The zero Selector, of an expression, may select any
// series.
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

// listStores reads the list of stores of a Thanos.
func (c *Client) listStores(ctx context.Context) ([]thanosStore, error) {
	var answer struct {
		Data map[string][]thanosStore `json:"data"`
	}
	if err := c.Get(ctx, "/api/v1/stores", &answer); err != nil {
		return nil, fmt.Errorf("listing stores: %w", err)
	}
	ignored := slices.Concat(replicaLabels, c.ReplicaLabels)
	var out []thanosStore
	for _, component := range slices.Sorted(maps.Keys(answer.Data)) {
		for _, s := range answer.Data[component] {
			s.component = component
			s.alike = component + " " + labelSetsText(s.LabelSets, ignored)
			out = append(out, s)
		}
	}
	return out, nil
}

// labelSetsText returns a text of label sets without some labels.
func labelSetsText(sets []map[string]string, ignored []string) string {
	var texts []string
	for _, set := range sets {
		texts = append(texts, labels.NewBuilder(labels.FromMap(set)).Del(ignored...).Labels().String())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " ")
}

// note remembers the stores that work.
func (s *stores) note(now time.Time) {
	well := map[string][]thanosStore{}
	for _, x := range s.all {
		if !x.fails() {
			x.worked = now
			well[x.alike] = append(well[x.alike], x)
		}
	}
	for key, known := range s.known {
		if len(well[key]) < least(known) && now.Sub(known[0].worked) < missedFor {
			well[key] = known
		}
	}
	s.known = well
}

// least returns how many of the stores with the same data must work so that none is missed.
// Replicas of a scraper have the same samples. Store Gateways may have shards of the same
// blocks.
func least(known []thanosStore) int {
	if known[0].component == "store" {
		return len(known)
	}
	return 1
}

// lacks reports whether a store fails and no other has its samples of a time.
func (s *stores) lacks(x *thanosStore, from, to timeline.Minute) bool {
	a, b := from.Millis(), to.Millis()
	return x.fails() && x.touches(a, b) && (x.component == "store" || s.standIns(x, a, b) == 0)
}

// gone returns the stores that had samples of a time and are no longer listed.
func (s *stores) gone(now time.Time, from, to timeline.Minute) []thanosStore {
	var out []thanosStore
	a, b := from.Millis(), to.Millis()
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		for _, x := range s.known[key] {
			if x.worked.Before(now) && x.touches(a, b) && !s.isWell(&x) && s.standIns(&x, a, b) < least(s.known[key]) {
				out = append(out, x)
			}
		}
	}
	return out
}

// isWell reports whether a store is listed without an error.
func (s *stores) isWell(x *thanosStore) bool {
	return slices.ContainsFunc(s.all, func(o thanosStore) bool { return o.alike == x.alike && o.Name == x.Name && !o.fails() })
}

// lossText describes a store that is gone.
func (s *thanosStore) lossText() string {
	return fmt.Sprintf("the %s %s is gone that was there until %s", s.component, s.Name, humanize.Minute(s.worked))
}

// Lost describes a store that is gone and had samples of selectors in (from, to], and
// returns when it was last listed. It reports false if no store is gone.
func (c *Client) Lost(selectors func() []slo.Selector, from, to timeline.Minute) (text string, at time.Time, is bool) {
	s := &c.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.gone(s.at, from, to) {
		if m.concerns(selectors()) {
			return m.lossText(), m.worked.UTC(), true
		}
	}
	return "", time.Time{}, false
}

// standIns counts the working stores that have all the data of a store in a time.
func (s *stores) standIns(of *thanosStore, from, to int64) int {
	n := 0
	for i := range s.all {
		if x := &s.all[i]; x.alike == of.alike && !x.fails() && x.covers(of, from, to) {
			n++
		}
	}
	return n
}

// firstLine returns the first line of a text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return Shown(line)
}
