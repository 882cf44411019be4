package rules

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo"
)

// world is a random SLO with random series for it, scraped as a Prometheus
// scrapes: processes that restart, are replaced, can't be reached for a while,
// lose label sets and get them back, burst, and fall idle.
//
// It keeps away from what rules can't see; docs/explanation/rules.md lists it, and each
// place below that does so says "limit".
type world struct {
	choices
	shape    shape
	slo      *slo.SLO
	interval int // of scraping, in seconds
	minutes  int // that it lasts
	noise    uint32
	series   map[string][]memprom.Sample
	reached  []bool       // slots in which the first process is scraped from before to end
	resumed  map[int]bool // slots, by their ends, in which a process is scraped again
	story    []string     // what happens, by the ends of slots
}

// epoch is when worlds begin, and run-up how long before the first window that
// is compared.
var epoch = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

const runUp = 2 * time.Hour

// newWorld makes a world of the bytes of a fuzzer.
func newWorld(t testing.TB, bytes []byte) *world {
	w := &world{choices: choices{bytes}, series: map[string][]memprom.Sample{}, resumed: map[int]bool{}}
	w.interval = []int{60, 30, 15}[w.pick(3)]
	w.shape = shapes()[w.pick(len(shapes()))]
	// Limit: windows over 6 h are whole quarters of an hour.
	windows := []slo.Window{hour, 90 * minute, 2 * hour, 5 * hour, 6 * hour, 7 * hour, 12 * hour, day, 30*hour + 15*minute, 2 * day}
	w.slo = example(t, w.shape.good, w.shape.bad, w.shape.total)
	if w.shape.name == "latency" {
		w.slo.Indicator = slo.Latency{Histogram: selector(t, `seconds{job="shop"}`), Threshold: 0.3, Text: "300ms"}
	}
	if w.shape.name == "weights" { // of overlapping selectors
		c := w.slo.Indicator.(slo.Events).Numbers.(slo.Counters)
		c.Bad = append(c.Bad, slo.Term{Selector: selector(t, `requests_total{job="shop",code="503"}`), Weight: 0.5})
		c.Total = append(c.Total, slo.Term{Selector: selector(t, `requests_total{job="shop",code="200"}`), Weight: -0.25})
		w.slo.Indicator = slo.Events{Numbers: c}
	}
	w.slo.Window = slo.Rolling(windows[min(w.pick(2*len(windows)), w.pick(2*len(windows)), w.pick(len(windows)))])
	w.slo.Objective = objective(t, []string{"99.9", "99", "90", "99.95", "50"}[w.pick(5)])
	w.minutes = int((w.slo.Window.Length.Duration() + runUp + time.Hour) / time.Minute)
	w.noise = uint32(1 + w.pick(256) + w.pick(256)<<8)
	w.reached = make([]bool, w.minutes)
	for i := range 1 + w.pick(3) {
		w.live(i)
	}
	return w
}

// load writes the series to a database.
func (w *world) load(t testing.TB, db *memprom.DB) {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	for _, name := range slices.Sorted(maps.Keys(w.series)) {
		lset, err := p.ParseMetric(name)
		require.NoError(t, err)
		require.NoError(t, db.Add(t.Context(), lset, w.series[name]...))
	}
}

// random is a number from 0 to 1.
func (w *world) random() float64 {
	w.noise ^= w.noise << 13
	w.noise ^= w.noise >> 17
	w.noise ^= w.noise << 5
	return float64(w.noise) / (1 << 32)
}

// some is a whole number of about n on average.
func (w *world) some(n float64) float64 { return float64(int(2*n*w.random() + w.random())) }

// choices are decisions of somebody else. After their end each is the first.
type choices struct{ bytes []byte }

// pick is a number from 0 to n-1; n is at most 256.
func (c *choices) pick(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return int(b) % n
}

// shape is a way to count good and bad events.
type shape struct{ name, good, bad, total string }

func shapes() []shape {
	const requests = `requests_total{job="shop"}`
	return []shape{
		{"bad and total", "", `requests_total{job="shop",code=~"5.."}`, requests},
		{"good and total", `requests_total{job="shop",code!~"5.."}`, "", requests},
		{"two metrics", "", `errors_total{job="shop"}`, `all_total{job="shop"}`},
		{"good and bad", `ok_total{job="shop"}`, `errors_total{job="shop"}`, ""},
		{"latency", "", "", "x"}, // the selectors are the histogram's
		{"weights", "", `requests_total{job="shop",code=~"5.."}`, requests},
	}
}

// exposed are the series, but for the labels of the target, that a process has
// for the events of a code; true ones count all of these, the others the fast.
func (s shape) exposed(code string) map[string]bool {
	failed := strings.HasPrefix(code, "5")
	switch {
	case s.name == "latency" && code != sum:
		return map[string]bool{
			`seconds_count{code="` + code + `"`: true, `seconds_bucket{le="+Inf",code="` + code + `"`: true,
			`seconds_bucket{le="0.3",code="` + code + `"`: false,
		}
	case s.name == "two metrics" && code == sum:
		return map[string]bool{`all_total{path="/"`: true}
	case code == sum, s.name == "two metrics" && !failed:
		return nil
	case s.name == "two metrics", s.name == "good and bad" && failed:
		return map[string]bool{`errors_total{code="` + code + `"`: true}
	case s.name == "good and bad":
		return map[string]bool{`ok_total{code="` + code + `"`: true}
	}
	return map[string]bool{`requests_total{code="` + code + `"`: true}
}

// sum is the code of the counter of all events.
const sum = "all"
