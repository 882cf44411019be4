// Package truth simulates services event by event, as Prometheus would scrape
// them, and keeps the exact counts beside. Tests hold what the evaluator counts
// against them.
//
// A use:
//
//	w := truth.Simulate(truth.Scenarios()["hourly restarts"], start, end)
//	for _, s := range w.Series { ... }              // into a TSDB
//	total, bad := w.Events(from, to)                // what is to be counted
package truth

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// Service is a simulated service.
type Service struct {
	Job       string
	Interval  int64              // seconds between two scrapes
	Instances int                // processes at a time
	Latency   bool               // a histogram, whose slow observations are bad, instead of a counter by code
	Rate      func(Time) float64 // events a second of one process
	Bad       func(Time) float64 // the share of the events that are bad
	Past      float64            // events of each process before the simulation, a day before it
	Unstarted bool               // there is no process_start_time_seconds

	Restart  func(Time, int) bool // the instance's process restarts
	Replace  func(Time) bool      // all are replaced, under new names
	Down     func(Time) bool      // scraping fails
	Partial  func(Time) bool      // a scrape that lacks the good events
	Relabel  func(Time) []string  // labels that all series have, in pairs, beside their own
	Scrapers []Scraper            // none is one that scrapes all the time
	Late     func(Time) int64     // seconds after which a sample arrives
}

// Scraper is a Prometheus.
type Scraper struct {
	Phase  int64           // seconds that its scrapes come later
	Lag    int64           // seconds by which its values are older than its samples say
	Labels []string        // in pairs
	Active func(Time) bool // whether its samples are kept; nil for always
}

// Time is an instant of the simulation.
type Time struct {
	Start int64 // of the simulation, in seconds since the epoch
	Now   int64 // seconds since Start
}

// Hour is the hour of the day, with its parts.
func (t Time) Hour() float64 { return float64((t.Start+t.Now)%86400) / 3600 }

// Sample is a sample of a series.
type Sample struct {
	T       int64 // milliseconds since the epoch
	V       float64
	Arrives int64 // when the backend has it, in milliseconds
}

// Series contains the samples that Prometheus wrote.
type Series struct {
	Labels  labels.Labels
	Samples []Sample
}

// World is a simulated service's time.
type World struct {
	Series []*Series
	// Lost are events that were in no scrape: of processes that ended, and
	// what happened around a change of labels.
	Lost, LostBad float64

	first      int64     // the minute in which slot 0 begins
	total, bad []float64 // events by the slot of the scrape that shows them first
}

const (
	// step is the simulation's grain, in seconds.
	step = 5
	// newborn is how old, in seconds, a process may be at its first scrape for
	// its events to be counted.
	newborn = 300
)

// Simulate runs a service from start to end, which are whole minutes.
func Simulate(s Service, start, end time.Time) *World { return SimulateFrom(s, start, start, end) }

// SimulateFrom runs only the end of that time, from an instant on, with processes
// that have counted nothing before it but their past.
func SimulateFrom(s Service, start, from, end time.Time) *World {
	if len(s.Scrapers) == 0 {
		s.Scrapers = []Scraper{{}}
	}
	w := &World{first: from.Unix() / 60, total: make([]float64, end.Sub(from)/time.Minute+2)}
	w.bad = make([]float64, len(w.total))
	rng := rand.New(rand.NewPCG(uint64(len(s.Job)), hash(s.Job))) //nolint:gosec // simulated users are no secret
	sim := &simulation{Service: s, world: w, start: start.Unix(), series: map[uint64]*Series{}, rng: rng}
	for i := range s.Instances {
		p := sim.process(i, from.Unix()-86400)
		p.good = math.Round(s.Past)
		p.seen = p.events
		sim.processes = append(sim.processes, p)
	}
	for now := int64(from.Sub(start) / time.Second); now <= int64(end.Sub(start)/time.Second); now += step {
		sim.step(Time{sim.start, now})
	}
	return w
}

func hash(s string) uint64 { return labels.FromStrings("job", s).Hash() }

// Events are the events that can be counted in (from, to]: those that a scrape
// in it shows for the first time.
func (w *World) Events(from, to time.Time) (total, bad float64) {
	for m := from.Unix() / 60; m < to.Unix()/60; m++ {
		if i := m - w.first; i >= 0 && i < int64(len(w.total)) {
			total += w.total[i]
			bad += w.bad[i]
		}
	}
	return total, bad
}

type events struct{ good, bad float64 }

// process counts events.
type process struct {
	events
	began   int64
	number  int
	name    string
	delay   int64    // milliseconds from the due time to a scrape, without its jitter
	seen    events   // what scrapes showed
	history []events // the last steps' counts, newest first
	exposed []exposed
	scraped bool
}

// exposed are the series of a process in a scraper.
type exposed struct {
	relabel string             // the labels of Service.Relabel that the series have
	series  map[string]*Series // by the name and the last label's value
	shown   []*Series          // in the last scrape
}

type simulation struct {
	Service
	world     *World
	start     int64
	rng       *rand.Rand
	processes []*process
	born      int
	series    map[uint64]*Series
	relabel   string
}

// process begins one.
func (s *simulation) process(number int, began int64) *process {
	name := string(rune('a'+number%26)) + "-" + strconv.Itoa(s.born)
	return &process{
		began: began, number: number, name: name, delay: int64(hash(s.Job+name) % 900),
		exposed: make([]exposed, len(s.Scrapers)),
	}
}

// remember keeps the counts of the last six steps.
func (p *process) remember() {
	if len(p.history) < 6 {
		p.history = append(p.history, events{})
	}
	copy(p.history[1:], p.history)
	p.history[0] = p.events
}

func (s *simulation) step(t Time) {
	for _, p := range s.processes {
		n := s.poisson(s.Rate(t) * step)
		b := 0.0
		if share := s.Bad(t); share > 0 {
			b = s.binomial(n, share)
		}
		p.good += n - b
		p.bad += b
		p.remember()
	}
	if s.Replace != nil && s.Replace(t) {
		s.born++
		for i, p := range s.processes {
			s.lose(p)
			s.scrape(p, t, true)
			s.processes[i] = s.process(i, s.start+t.Now)
		}
	}
	if s.Relabel != nil {
		if text := strings.Join(s.Relabel(t), ","); text != s.relabel {
			for _, p := range s.processes {
				s.lose(p) // nobody can tell the new series from other ones
				p.seen = p.events
			}
			s.relabel = text
		}
	}
	for _, p := range s.processes {
		if s.Restart != nil && s.Restart(t, p.number) {
			s.lose(p)
			p.events, p.seen, p.history, p.began = events{}, events{}, nil, s.start+t.Now
		}
		s.scrape(p, t, false)
	}
}

// lose notes what was not scraped.
func (s *simulation) lose(p *process) {
	s.world.Lost += p.good + p.bad - p.seen.good - p.seen.bad
	s.world.LostBad += p.bad - p.seen.bad
}

// poisson draws a number of events.
func (s *simulation) poisson(mean float64) float64 {
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64()))
	}
	n, p, limit := -1.0, 1.0, math.Exp(-mean)
	for ; p > limit || n < 0; n++ {
		p *= s.rng.Float64()
	}
	return n
}

// binomial draws how many of n are bad.
func (s *simulation) binomial(n, share float64) float64 {
	if n > 50 {
		return min(n, s.poisson(n*share))
	}
	bad := 0.0
	for range int(n) {
		if s.rng.Float64() < share {
			bad++
		}
	}
	return bad
}

// scrape lets each scraper scrape a process whose turn it is.
func (s *simulation) scrape(p *process, t Time, last bool) {
	offset := int64(p.number*step) % s.Interval
	for i, sc := range s.Scrapers {
		due := (t.Now-sc.Phase-offset)%s.Interval == 0
		if !due && !last || sc.Active != nil && !sc.Active(t) {
			continue
		}
		at := (s.start+t.Now)*1000 + p.delay + int64(s.rng.IntN(20))
		down := s.Down != nil && s.Down(t) || last
		before := p.exposed[i].shown
		p.exposed[i].shown = make([]*Series, 0, len(before))
		if !down {
			s.expose(p, i, t, at)
		}
		for _, series := range before {
			if !slices.Contains(p.exposed[i].shown, series) {
				s.add(series, at, math.Float64frombits(value.StaleNaN), t)
			}
		}
	}
}

// expose writes the series of a scrape that succeeds.
func (s *simulation) expose(p *process, scraper int, t Time, at int64) {
	counts, e := p.events, &p.exposed[scraper]
	if ago := int(s.Scrapers[scraper].Lag / step); ago < len(p.history) {
		counts = p.history[ago]
	}
	if e.series == nil || e.relabel != s.relabel {
		e.series, e.relabel = map[string]*Series{}, s.relabel
	}
	write := func(name string, v float64, pairs ...string) {
		key := name
		if len(pairs) > 0 {
			key += pairs[1]
		}
		series := e.series[key]
		if series == nil {
			series = s.seriesOf(p, scraper, t, append([]string{model.MetricNameLabel, name}, pairs...))
			e.series[key] = series
		}
		e.shown = append(e.shown, series)
		s.add(series, at, v, t)
	}
	write("up", 1)
	if !s.Unstarted {
		write("process_start_time_seconds", float64(p.began))
	}
	if !p.scraped && s.start+t.Now-p.began > newborn {
		p.seen = counts // its past is not the backend's
	}
	p.scraped = true
	partial := s.Partial != nil && s.Partial(t)
	if s.Latency {
		write("latency_seconds_bucket", counts.good, "le", "0.3")
		write("latency_seconds_bucket", counts.good+counts.bad, "le", "+Inf")
		write("latency_seconds_count", counts.good+counts.bad)
	} else {
		if counts.good > 0 && !partial {
			write("requests_total", counts.good, "code", "200")
		}
		if counts.bad > 0 {
			write("requests_total", counts.bad, "code", "500")
		}
	}
	slot := (at+59_999)/60_000 - 1 - s.world.first
	if slot < 0 || slot >= int64(len(s.world.total)) {
		return
	}
	if n := counts.good - p.seen.good; n > 0 && !partial {
		s.world.total[slot] += n
		p.seen.good = counts.good
	}
	if n := counts.bad - p.seen.bad; n > 0 {
		s.world.total[slot] += n
		s.world.bad[slot] += n
		p.seen.bad = counts.bad
	}
}

// seriesOf is the series of a process in a scraper that has these labels beside
// those of all its series.
func (s *simulation) seriesOf(p *process, scraper int, t Time, pairs []string) *Series {
	pairs = append(pairs, "job", s.Job, "instance", p.name)
	pairs = append(pairs, s.Scrapers[scraper].Labels...)
	if s.Relabel != nil {
		pairs = append(pairs, s.Relabel(t)...)
	}
	l := overlay(pairs)
	series := s.series[l.Hash()]
	if series == nil {
		series = &Series{Labels: l}
		s.series[l.Hash()] = series
		s.world.Series = append(s.world.Series, series)
	}
	return series
}

// overlay are labels of which later ones replace earlier ones.
func overlay(pairs []string) labels.Labels {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return labels.FromMap(m)
}

func (s *simulation) add(series *Series, at int64, v float64, t Time) {
	arrives := at
	if s.Late != nil {
		arrives += s.Late(t) * 1000
	}
	series.Samples = append(series.Samples, Sample{at, v, arrives})
}
