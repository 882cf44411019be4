package shop

import (
	"fmt"
	"math/rand/v2"

	"github.com/prometheus/prometheus/storage"
	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// downtime is how many seconds pass between two processes of an instance.
	downtime = 10
	// rollout is how many seconds after one target the next one is replaced.
	rollout = 40
)

// story describes the events of a service.
type story struct {
	name      string
	slo       string // name of its SLO of good and bad events
	tenant    string // whose shard of the service this is; "" for all
	instances int
	counter   counter              // without a metric where there is none
	rate      func(moment) float64 // events a second, of all instances together
	failing   func(moment) float64 // share of the events that are bad
	slow      func(moment) float64 // share of good events above 300 ms; nil without histogram
	hidden    func(moment) bool    // scrapes fail, though the service runs; nil for never
	native    string               // the metric of slow, as a native histogram; "" for a classic one
	launch    int64                // seconds after live start; 0 for before the history
	removed   int64                // seconds after live start; 0 for never
	restarts  int64                // seconds between restarts of a process; 0 for never
	replaced  int64                // seconds between replacements of a target; 0 for never
}

// counter is the metric that counts a service's events, a series for the good
// ones and one for the bad ones.
type counter struct {
	metric, label, good, bad string
}

// moment is an instant of the simulation.
type moment struct {
	unix int64 // seconds
	live int64 // seconds since live start, negative before it
}

// minute contains the events of one minute.
type minute struct {
	total, bad, slow float64
}

// service is a story on its way.
type service struct {
	story
	start, live int64 // Unix seconds
	rng         *rand.Rand
	targets     []*target
	gone        []*target // removed, but their series have not ended yet
	minutes     []minute  // since start, for tests
}

// advance takes the service from one Unix second to another and appends what is
// scraped meanwhile.
func (s *service) advance(app storage.Appender, from, to int64) error {
	for begin := from; begin < to; begin += step {
		s.turnOver(begin)
		if err := s.scrape(app, begin); err != nil {
			return err
		}
		s.happen(begin + step)
	}
	return nil
}

// at is the moment of a Unix second.
func (s *service) at(unix int64) moment { return moment{unix, unix - s.live} }

// turnOver launches the service, and stops, starts and replaces processes.
func (s *service) turnOver(now int64) {
	if s.targets == nil && (s.launch == 0 || now >= s.live+s.launch) {
		for i := range s.instances {
			t := s.newTarget(i, now)
			if now == s.start {
				t.hadRun()
			}
			s.targets = append(s.targets, t)
		}
	}
	if s.removed != 0 && now >= s.live+s.removed {
		s.gone, s.targets = append(s.gone, s.targets...), []*target{}
	}
	for i, t := range s.targets {
		switch {
		case s.replaced > 0 && now >= t.replaceAt:
			s.gone = append(s.gone, t)
			s.targets[i] = s.newTarget(i, now)
		case s.restarts > 0 && now >= t.restartAt:
			t.running = false
			t.startAt = now + downtime
			t.restartAt = now + s.restarts + step*s.rng.Int64N(12)
		case !t.running && now >= t.startAt:
			t.process = process{running: true, began: now}
		}
	}
}

// newTarget is the i-th instance with a process that begins now.
func (s *service) newTarget(i int, now int64) *target {
	instance := fmt.Sprintf("%s-%d:8080", s.name, i)
	if s.tenant != "" {
		instance = fmt.Sprintf("%s-%s-%d:8080", s.name, s.tenant, i)
	}
	if s.replaced > 0 {
		instance = fmt.Sprintf("%s-%08x:8080", s.name, s.rng.Uint32())
	}
	t := &target{
		slots:   s.slots(instance),
		process: process{running: true, began: now},
		// Instances restart in turn.
		restartAt: now + s.restarts*int64(i+1)/int64(s.instances),
	}
	if s.replaced > 0 {
		shift := rollout * int64(i)
		t.replaceAt = now - (now-shift)%s.replaced + s.replaced
	}
	t.next = now*1000 + s.rng.Int64N(scrapeInterval)
	return t
}

// scrape scrapes the targets that are due in the step that begins now.
func (s *service) scrape(app storage.Appender, now int64) error {
	end := (now + step) * 1000
	reachable := s.hidden == nil || !s.hidden(s.at(now))
	for _, t := range s.targets {
		for ; t.next < end; t.next += scrapeInterval {
			if err := t.scrape(app, t.next, reachable); err != nil {
				return err
			}
		}
	}
	waiting := s.gone[:0]
	for _, t := range s.gone {
		if t.next >= end {
			waiting = append(waiting, t)
			continue
		}
		if err := t.end(app, t.next); err != nil {
			return err
		}
	}
	s.gone = waiting
	return nil
}

// happen lets the events of the step that ends now happen.
func (s *service) happen(now int64) {
	m := s.at(now - step)
	mean := s.rate(m) * step / float64(s.instances)
	bad := mean * s.failing(m)
	slow := 0.0
	if s.slow != nil {
		slow = (mean - bad) * s.slow(m)
	}
	if len(s.minutes) < int((now-s.start+59)/60) {
		s.minutes = append(s.minutes, minute{})
	}
	sum := &s.minutes[len(s.minutes)-1]
	draw := func(mean float64) float64 { return distuv.Poisson{Lambda: mean, Src: s.rng}.Rand() }
	for _, t := range s.targets {
		if !t.running {
			continue
		}
		e := events{bad: draw(bad)}
		if s.slow == nil {
			e.fast[0] = draw(mean - bad)
		} else {
			fast := mean - bad - slow
			e.fast = [2]float64{draw(0.8 * fast), draw(0.2 * fast)}
			e.slow = [2]float64{draw(0.9 * slow), draw(0.1 * slow)}
		}
		t.count(e)
		sum.total += e.good() + e.bad
		sum.bad += e.bad
		sum.slow += e.slow[0] + e.slow[1]
	}
}
