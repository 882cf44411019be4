package truth

import (
	"math"
	"strings"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// Days is how long scenarios last in which something happens once: the last of
// their days is the last of the simulation.
const Days = 32

// always is the same at all times.
func always(v float64) func(Time) float64 { return func(Time) float64 { return v } }

// each is true in the first seconds of every period, from an offset on.
func each(period, offset, length int64) func(Time) bool {
	return func(t Time) bool { return (t.Now-offset)%period >= 0 && (t.Now-offset)%period < length }
}

// when is one share while something is true, and another otherwise.
func when(is func(Time) bool, then, otherwise float64) func(Time) float64 {
	return func(t Time) float64 {
		if is(t) {
			return then
		}
		return otherwise
	}
}

func from(at int64) func(Time) bool { return func(t Time) bool { return t.Now >= at } }

// Scenarios are services by the trait that makes their counting hard. Where one
// thing happens once, it is placed for a simulation of Days.
//
//nolint:funlen // a table
func Scenarios() map[string]Service {
	night := func(t Time) bool { return t.Hour() < 6 }
	restarts := func(period int64) func(Time, int) bool {
		return func(t Time, number int) bool { return t.Now%period == period/2+int64(number)*35 }
	}
	outage := func(length int64) Service {
		down := each(2*day, 2*hour, length)
		return Service{Rate: always(8), Bad: when(down, 0.3, 0.001), Down: down}
	}
	replicas := func(label string, a, b func(Time) bool) []Scraper {
		out := []Scraper{{Active: a}, {Phase: 5, Lag: 10, Active: b}}
		if label != "" {
			out[0].Labels, out[1].Labels = []string{label, "a"}, []string{label, "b"}
		}
		return out
	}
	not := func(f func(Time) bool) func(Time) bool { return func(t Time) bool { return !f(t) } }
	turns := each(12*hour, 0, 6*hour)
	steady := Service{Rate: always(8), Bad: always(0.002)}
	with := func(s Service, change func(*Service)) Service {
		change(&s)
		return s
	}
	every := func(seconds int64) Service { return with(steady, func(s *Service) { s.Interval = seconds }) }
	out := map[string]Service{
		"steady":         steady,
		"steady latency": with(steady, func(s *Service) { s.Latency = true }),
		"diurnal": {Bad: always(0.002), Rate: func(t Time) float64 {
			return 8 * (1.1 + math.Sin(t.Hour()*math.Pi/12))
		}},
		"quiet nights": {Rate: when(night, 0.02, 8), Bad: when(night, 0.05, 0.0005)},
		"low traffic":  {Instances: 1, Rate: always(0.02), Bad: when(from(10*day), 0.004, 0)},
		"bursts between scrapes": {Rate: always(4), Restart: restarts(day),
			Bad: when(each(3*hour, 607, 20), 0.9, 0)},
		"hourly restarts":         with(steady, func(s *Service) { s.Restart = restarts(hour) }),
		"hourly restarts latency": with(steady, func(s *Service) { s.Restart, s.Latency = restarts(hour), true }),
		"unknown starts": with(steady, func(s *Service) {
			s.Restart, s.Unstarted = restarts(hour), true
		}),
		"pods replaced": with(steady, func(s *Service) { s.Replace = each(6*hour, 1815, step) }),
		"errors reborn": {Rate: always(4), Restart: restarts(8 * hour), Bad: func(t Time) float64 {
			if t.Now%(8*hour) > 5*hour && t.Now%(8*hour) < 5*hour+20*minute {
				return 0.01 * float64(1+t.Now/(8*hour)%5)
			}
			return 0
		}},
		"outages of 2 min":  outage(2 * minute),
		"outages of 25 min": outage(25 * minute),
		"outages of 90 min": outage(90 * minute),
		"idle hours":        {Rate: when(each(day, 3*hour, 6*hour), 0, 8), Bad: always(0.002)},
		"hourly batch":      {Rate: when(each(hour, 10*minute, minute), 100, 0), Bad: always(0.01)},
		"every 10 s":        every(10),
		"every 15 s":        every(15),
		"every 60 s":        every(60),
		"every 5 min":       every(300),
		"late 1 min":        with(steady, func(s *Service) { s.Late = func(Time) int64 { return 60 } }),
		"late 3 min":        with(steady, func(s *Service) { s.Late = func(Time) int64 { return 180 } }),
		"backfill": with(steady, func(s *Service) {
			s.Late = func(t Time) int64 { return int64(when(each(Days*day, 28*day, hour), day, 0)(t)) }
		}),
		"replicas in turns": with(steady, func(s *Service) { s.Scrapers = replicas("", turns, not(turns)) }),
		"replicas by label": with(steady, func(s *Service) {
			s.Scrapers = replicas("prometheus_replica", not(each(day, 0, 25*minute)), not(each(day, 5*hour, 2*hour)))
		}),
		"replica switch":       with(steady, func(s *Service) { s.Scrapers = replicas("", not(from(29*day)), from(29*day+45)) }),
		"partial scrape":       with(steady, func(s *Service) { s.Past, s.Partial = 5e6, each(Days*day, 30*day, 30) }),
		"relabelled":           with(steady, func(s *Service) { s.Past = 5e6; s.Relabel = relabel(30*day, "cluster", "eu") }),
		"instance renamed":     with(steady, func(s *Service) { s.Instances, s.Past = 1, 5e6; s.Relabel = relabel(30*day, "instance", "x") }),
		"young backend":        with(steady, func(s *Service) { s.Past = 5e6; s.Scrapers = []Scraper{{Active: from(22 * day)}} }),
		"just begun to scrape": with(steady, func(s *Service) { s.Past = 5e6; s.Scrapers = []Scraper{{Active: from(Days*day - 40*minute)}} }),
	}
	for name, s := range out {
		s.Job = strings.ReplaceAll(name, " ", "-")
		if s.Interval == 0 {
			s.Interval = 30
		}
		if s.Instances == 0 {
			s.Instances = 2
		}
		out[name] = s
	}
	return out
}

// relabel gives all series a label from an instant on.
func relabel(at int64, pair ...string) func(Time) []string {
	return func(t Time) []string {
		if t.Now < at {
			return nil
		}
		return pair
	}
}
