package rules

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// aged is a kind of SLO in which groups that are gone count, and the series of one
// of its hosts.
type aged struct {
	name, text string
	series     func(r *rand.Rand, host string) map[string]func(minute int) float64
}

// gauge is a series of random values, one for each minute.
func gauge(name string, value func(r *rand.Rand, minute int) float64) func(*rand.Rand, string) map[string]func(int) float64 {
	return func(r *rand.Rand, host string) map[string]func(int) float64 {
		return map[string]func(int) float64{
			name + `{job="j",instance="` + host + `"`: func(minute int) float64 { return value(r, minute) },
		}
	}
}

// succeeding is the time of the last success of something that succeeds at random.
func succeeding(name string) func(*rand.Rand, string) map[string]func(int) float64 {
	return func(r *rand.Rand, host string) map[string]func(int) float64 {
		last := float64(epoch.Unix())
		return map[string]func(int) float64{
			name + `{job="j",instance="` + host + `"`: func(minute int) float64 {
				if r.IntN(5) == 0 {
					last = float64(at(minute).Unix())
				}
				return last
			},
		}
	}
}

// failing are counters of all events and of bad ones.
func failing(r *rand.Rand, host string) map[string]func(int) float64 {
	all, bad := 0.0, 0.0
	return map[string]func(int) float64{
		`all_total{job="j",instance="` + host + `"`: func(int) float64 { all += 10; return all },
		`bad_total{job="j",instance="` + host + `"`: func(int) float64 { bad += float64(r.IntN(3)); return bad },
	}
}

func agedKinds() []aged {
	queue := gauge("queue", func(r *rand.Rand, _ int) float64 { return float64(30 + r.IntN(30)) })
	const events = `sli: {events: {bad: bad_total, total: all_total}}`
	const threshold = `sli: {threshold: {query: '2 * queue', op: "<", value: 100}}`
	return []aged{
		{"probe", `{name: last, on_no_data: bad, sli: {probe: {metric: up}}}`, gauge("up", func(r *rand.Rand, _ int) float64 { return float64(min(r.IntN(5), 1)) })},
		{"threshold", `{name: last, on_no_data: bad, ` + threshold + `}`, queue},
		{"freshness", `{name: last, sli: {freshness: {timestamp: done_timestamp_seconds, max_age: 4m}}}`, succeeding("done_timestamp_seconds")},
		{"runs", `{name: last, sli: {runs: {last_success: done_timestamp_seconds, every: 4m, grace: 1m}}}`, succeeding("done_timestamp_seconds")},
		{"minutes", `{name: last, on_no_data: bad, budgeting: timeslices, slice: {length: 1m, target: 85}, ` + events + `}`, failing},
		{"slices", `{name: last, on_no_data: bad, budgeting: timeslices, slice: {length: 4m, target: 90}, ` + events + `}`, failing},
		{"slices of levels", `{name: last, on_no_data: bad, budgeting: timeslices, slice: {length: 3m, target: 60}, ` + threshold + `}`, queue},
		{"slices of ages", `{name: last, budgeting: timeslices, slice: {length: 3m, target: 60}, sli: {freshness: {timestamp: done_timestamp_seconds, max_age: 4m}}}`, succeeding("done_timestamp_seconds")},
	}
}

// TestGoneGroupsAgree holds the rules of groups against the groups of the evaluator,
// slot by slot, where what is gone counts: a tenant that goes away for good, one that
// comes back, one that comes late and goes, and one of whose hosts these are true.
func TestGoneGroupsAgree(t *testing.T) {
	const n = 45
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for _, kind := range agedKinds() {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", kind.name, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7))
				w := &world{series: map[string][]memprom.Sample{}}
				// After these minutes they are gone, or there again.
				leaves, returns, comes, ends := 12+r.IntN(5), 21+r.IntN(8), 10+r.IntN(5), 30+r.IntN(5)
				lives := map[string]func(minute int) bool{
					"gone": func(m int) bool { return m <= leaves },
					"back": func(m int) bool { return m <= leaves || m > returns },
					"late": func(m int) bool { return m > comes && m <= ends },
					"":     func(int) bool { return true },
				}
				for _, tenant := range slices.Sorted(maps.Keys(lives)) {
					life := lives[tenant]
					w.scrape(kind.series(r, "a"), `,tenant="`+tenant+`"}`, n+5, life)
					w.scrape(kind.series(r, tenant), `,tenant="half"}`, n+5, life)
				}
				goneAgree(t, grouped(kindCase{text: []string{kind.text}}.slo(t), "tenant"), w, n)
			})
		}
	}
}

// scrape adds series, scraped each minute while they live.
func (w *world) scrape(series map[string]func(minute int) float64, labels string, minutes int, lives func(minute int) bool) {
	for _, name := range slices.Sorted(maps.Keys(series)) {
		value := series[name]
		for m := range minutes {
			now, v := at(m).Add(7*time.Second), value(m)
			switch {
			case lives(m):
				w.series[name+labels] = append(w.series[name+labels], memprom.Sample{Time: now, Value: v})
			case m > 0 && lives(m-1):
				w.series[name+labels] = append(w.series[name+labels], memprom.Sample{Time: now, Value: memprom.Stale()})
			}
		}
	}
}

// goneAgree compares the slots of the groups of an SLO, but the first slot or slice of
// each, of which rules do not know what counters grew by.
func goneAgree(t *testing.T, s *slo.SLO, w *world, n int) {
	db := servers.Embedded(t)
	w.load(t, db)
	runGroups(t, db, s, epoch, at(n+2))
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	all, _ := evaluateGroups(t, server.URL, s, at(n))
	_, timelines := evaluateGroups(t, server.URL, s, at(n+3)) // when the slots are settled
	require.Len(t, all, 1+4)
	for i := range all[1:] {
		one := &all[i+1]
		c := &comparison{t: t, world: &world{slo: s}, db: db, url: server.URL, only: one.ID}
		c.readSlots()
		_, first := s.Indicator.Measure().(slo.Counters)
		for m := 1; m <= n; m++ {
			to := timeline.MinuteOf(at(m))
			got := timelines[one.ID].Sum(to-1, to)
			total, known := c.total[m]
			if first && got.Known == 1 {
				first = s.Slice != nil && got.Total == 0 // the slice that holds it ends later
				continue
			}
			require.Equal(t, got.Known == 1 || got.Total > 0, known, "whether the slot of %s is known that ends at minute %d", one.ID, m)
			require.InDelta(t, got.Total, total, 1e-9, "events of %s in the slot that ends at minute %d", one.ID, m)
			require.InDelta(t, got.Bad, c.bad[m], 1e-9, "bad events of %s in the slot that ends at minute %d", one.ID, m)
		}
		now, is := at(n).Add(90*time.Second-time.Millisecond), 1.0
		c.equal(&is, `slo_data_state{state="`+string(one.State)+`"}`, now)
	}
}

// TestGoneGroupsAreForgotten has a tenant whose last slot with data is forgotten after
// minute 10: so long ago did it end, in what rules recorded of it and in the series.
// The evaluator leaves it then, and the rules record nothing more of it.
func TestGoneGroupsAreForgotten(t *testing.T) {
	for _, kind := range agedKinds() {
		s := grouped(kindCase{text: []string{kind.text}}.slo(t), "tenant")
		if s.Slice != nil && !s.NoDataBad {
			continue // the slice that holds minute 10 ends after it, and is known with its end
		}
		t.Run(kind.name, func(t *testing.T) {
			keep := slo.Remembrance
			switch m := s.Indicator.Measure().(type) {
			case slo.Levels:
				keep = max(keep, m.Remember())
			case slo.Runs:
				keep += m.Every + m.Grace
			}
			last := at(10).Add(-keep)
			db := servers.Embedded(t)
			r := rand.New(rand.NewPCG(1, 7))
			w := &world{series: map[string][]memprom.Sample{}}
			w.scrape(kind.series(r, "a"), `,tenant="here"}`, 20, func(int) bool { return true })
			for name := range kind.series(r, "a") {
				// Its value is the time at which it was last seen.
				labels := name + `,tenant="gone"}`
				for ago := range 20 {
					w.series[labels] = append([]memprom.Sample{{Time: last.Add(-time.Duration(ago) * time.Minute), Value: float64(last.Unix())}}, w.series[labels]...)
				}
				w.series[labels] = append(w.series[labels], memprom.Sample{Time: last.Add(time.Second), Value: memprom.Stale()})
				memory, of := remembered, `{slo_id="s/last{tenant=\"gone\"}",slo_service="s",slo="last",tenant="gone"`
				switch {
				case s.NoDataBad:
					memory = lastKnown
				case kind.name != "threshold":
					of += `,job="j",instance="a"`
				}
				w.series[memory+of+"}"] = []memprom.Sample{{Time: at(-1), Value: float64(last.Unix())}}
			}
			w.load(t, db)
			runGroups(t, db, s, epoch, at(18))
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			all, timelines := evaluateGroups(t, server.URL, s, at(10))
			require.Len(t, all, 1+2)
			require.Equal(t, map[string]string{"tenant": "gone"}, all[1].Group)
			c := &comparison{t: t, world: &world{slo: s}, db: db, url: server.URL, only: all[1].ID}
			c.readSlots()
			for m := 1; m <= 16; m++ {
				_, known := c.total[m]
				require.Equal(t, m <= 10, known, "the rules know it in the slot that ends at minute %d", m)
				to := timeline.MinuteOf(at(m))
				if got := timelines[c.only].Sum(to-1, to); m <= 8 { // later ones are not settled
					require.Equal(t, 1, got.Known, "minute %d", m)
					require.Equal(t, [2]float64{got.Total, got.Bad}, [2]float64{c.total[m], c.bad[m]}, "minute %d", m)
				}
			}
			all, _ = evaluateGroups(t, server.URL, s, at(11))
			require.Len(t, all, 1+1, "the evaluator has left it")
		})
	}
}

// TestGoneGroupsAreSplitAnew splits an SLO by tenant and zone, and from minute 8 on by
// tenant: what two hosts were in their zones, their tenant remembers of each of them
// once when they are gone after minute 11.
func TestGoneGroupsAreSplitAnew(t *testing.T) {
	want := map[string]float64{"probe": 2, "threshold": 1, "freshness": 1, "minutes": 1}
	for _, kind := range agedKinds() {
		if want[kind.name] == 0 {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			db := servers.Embedded(t)
			w := &world{series: map[string][]memprom.Sample{}}
			r := rand.New(rand.NewPCG(1, 7))
			for host, zone := range map[string]string{"a": "x", "b": "y"} {
				w.scrape(kind.series(r, host), `,tenant="a",zone="`+zone+`"}`, 20, func(m int) bool { return m <= 11 })
			}
			w.load(t, db)
			s := kindCase{text: []string{kind.text}}.slo(t)
			runGroups(t, db, grouped(s, "tenant", "zone"), epoch, at(8))
			runGroups(t, db, grouped(s, "tenant"), at(8).Add(time.Millisecond), at(22))
			c := &comparison{t: t, db: db, only: `s/last{tenant="a"}`}
			c.readSlots()
			for m := 17; m <= 20; m++ {
				require.Equal(t, [2]float64{want[kind.name], want[kind.name]}, [2]float64{c.total[m], c.bad[m]}, "minute %d", m)
			}
			now := at(20).Add(90*time.Second - time.Millisecond)
			one := 1.0
			c.equal(&one, `count(last_over_time(slo:slot:events{result=""}[1m]))`, now)
		})
	}
}
