package shop

import (
	"math"
	"time"
)

// Truth is how many events of an SLO of Specs happened in (from, to], and how
// many of them were bad, scraped or not; without those of excluded time. name is
// the id without the service. Both times are rounded down to whole minutes. It is
// NaN for an SLO that the shop doesn't have.
func (s *Shop) Truth(service, name string, from, to time.Time) (total, bad float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.truths()[service+"/"+name]
	if of == nil {
		return math.NaN(), math.NaN()
	}
	first := max(from.Unix()/60*60, s.start)
	last := min(to.Unix(), s.now)
	for end := first + 60; end <= last; end += 60 {
		t, b := of(end)
		total, bad = total+t, bad+b
	}
	return total, bad
}

// truth is the events of the slot that ends with a Unix second.
type truth func(end int64) (total, bad float64)

// truths returns what the truth is of each SLO, by its id.
func (s *Shop) truths() map[string]truth {
	t, shards := map[string]truth{}, map[string][]truth{}
	for _, sv := range s.services {
		of := sv.name + "/" + sv.slo
		switch {
		case sv.slo == "":
		case sv.tenant != "":
			shards[of] = append(shards[of], sv.events)
			t[of+`{tenant="`+sv.tenant+`"}`] = sv.events
		default:
			t[of] = sv.events
		}
		if sv.slow != nil {
			t[sv.name+"/latency"] = sv.latency
		}
	}
	for of, all := range shards {
		t[of] = sum(all)
	}
	for _, w := range s.watches {
		of := w.name + "/" + w.slo
		switch w.name {
		case "edge":
			t[of] = w.probes
		case "orders":
			t[of] = w.levels(func(_ int64, v float64) bool { return v <= 100 })
		case "backups":
			t[of] = w.levels(func(end int64, v float64) bool { return float64(end)-v <= 26*hour })
		case "reports":
			t[of] = w.runs(hourly(), 10*60)
		case "carriers":
			t[of] = w.growth(w.gauges[0].value, w.gauges[1].value)
		}
	}
	t["payments/monthly"] = t["payments/availability"]
	t["catalog/steady"] = slices5m(t["catalog/availability"], 0.05)
	t["shipping/availability"] = without(t["shipping/availability"], s.excluded())
	t["support/availability"] = without(t["support/availability"], closed())
	t["shop/purchase"] = worst(
		fails(t["edge/reachable"], 0.001), fails(t["catalog/availability"], 0.05), fails(t["checkout/latency"], 0.01), t["orders/backlog"])
	return t
}

// counted returns the events of the minute that ends with a Unix second.
func (s *service) counted(end int64) minute {
	if i := (end - s.start) / 60; i > 0 && i <= int64(len(s.minutes)) {
		return s.minutes[i-1]
	}
	return minute{}
}

func (s *service) events(end int64) (total, bad float64) {
	m := s.counted(end)
	return m.total, m.bad
}

func (s *service) latency(end int64) (total, bad float64) {
	m := s.counted(end)
	return m.total, m.slow
}

func sum(all []truth) truth {
	return func(end int64) (total, bad float64) {
		for _, of := range all {
			t, b := of(end)
			total, bad = total+t, bad+b
		}
		return total, bad
	}
}

// slices5m has an event each five minutes, a bad one when more than a share of
// its events were bad.
func slices5m(of truth, share float64) truth {
	return func(end int64) (total, bad float64) {
		if end%300 != 0 {
			return 0, 0
		}
		for at := end - 240; at <= end; at += 60 {
			t, b := of(at)
			total, bad = total+t, bad+b
		}
		if bad > share*total {
			return 1, 1
		}
		return 1, 0
	}
}

// fails has an event each minute, a bad one when more than a share was bad.
func fails(of truth, share float64) truth {
	return func(end int64) (total, bad float64) {
		if t, b := of(end); b > share*t {
			return 1, 1
		}
		return 1, 0
	}
}

// worst has an event each minute, a bad one when one of any was.
func worst(all ...truth) truth {
	return func(end int64) (total, bad float64) {
		for _, of := range all {
			if _, b := of(end); b > 0 {
				return 1, 1
			}
		}
		return 1, 0
	}
}

func without(of truth, excluded func(end int64) bool) truth {
	return func(end int64) (total, bad float64) {
		if excluded(end) {
			return 0, 0
		}
		return of(end)
	}
}

// excluded tells which slots the SLO file of shipping excludes: the weekly
// maintenance, and the load test that was taken for orders.
func (s *Shop) excluded() func(end int64) bool {
	test, inMaintenance := (s.services[0].live-4*day)/60*60, maintenance()
	return func(end int64) bool { return inMaintenance(end-60, 0, 30) || end > test && end <= test+10*60 }
}

// closed tells which slots the SLO file of support excludes.
func closed() func(end int64) bool {
	berlin := inBerlin()
	return func(end int64) bool {
		at := time.Unix(end-60, 0).In(berlin)
		return at.Weekday() == time.Saturday || at.Weekday() == time.Sunday || at.Hour() < 8 || at.Hour() >= 18
	}
}

// last is the moment of the last scrape up to the end of a slot, in Unix seconds.
func (w *watch) last(end int64) moment {
	return w.at(end*1000 - (end*1000-w.phase)%scrapeInterval)
}

// probes are the events of 0/1 gauges: one a slot for each of them.
func (w *watch) probes(end int64) (total, bad float64) {
	for _, g := range w.gauges {
		total++
		if min(g.value(w.last(end)), g.value(w.last(end-scrapeInterval/1000))) == 0 {
			bad++
		}
	}
	return total, bad
}

// levels are the events of values that are to be good at the end of each slot.
func (w *watch) levels(good func(end int64, v float64) bool) truth {
	return func(end int64) (total, bad float64) {
		for _, g := range w.gauges {
			if !good(end, g.value(w.last(end))) {
				return 1, 1
			}
		}
		return 1, 0
	}
}

// growth returns the increase of the counters of events and of bad ones.
func (w *watch) growth(total, bad func(moment) float64) truth {
	return func(end int64) (float64, float64) {
		from, to := w.at((end-60)*1000), w.at(end*1000)
		return total(to) - total(from), bad(to) - bad(from)
	}
}

// runs are those of an hourly job, of which a gauge gives the time of the last
// success: a good one when it is seen, a bad one when it is late by the grace.
func (w *watch) runs(hourly schedule, grace int64) truth {
	return func(end int64) (total, bad float64) {
		value := w.gauges[0].value
		if value(w.last(end)) > value(w.last(end-60)) {
			total++
		}
		if due := end - grace; due%hour == hourly.second && hourly.failed(moment{due, due - w.live}) {
			total, bad = total+1, bad+1
		}
		return total, bad
	}
}
