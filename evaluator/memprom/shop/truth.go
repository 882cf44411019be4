package shop

import (
	"time"
	_ "time/tzdata" // the zone of the maintenance is known on machines without a zone database
)

// truth is the events of the slot that ends with a Unix second.
type truth func(end int64) (total, bad float64)

// learn notes what the truth is of each SLO.
func (s *Shop) learn() {
	shards := map[string][]truth{}
	for _, sv := range s.services {
		of := sv.name + "/" + sv.slo
		switch {
		case sv.slo == "":
		case sv.tenant != "":
			shards[of] = append(shards[of], sv.events)
			s.truths[of+`{tenant="`+sv.tenant+`"}`] = sv.events
		default:
			s.truths[of] = sv.events
		}
		if sv.slow != nil {
			s.truths[sv.name+"/latency"] = sv.latency
		}
	}
	for of, all := range shards {
		s.truths[of] = sum(all)
	}
	for _, w := range s.watches {
		s.truths[w.name+"/"+w.slo] = w.truth
	}
	t := s.truths
	t["payments/monthly"] = t["payments/availability"]
	t["catalog/steady"] = slices5m(t["catalog/availability"], 0.05)
	t["shipping/availability"] = without(t["shipping/availability"], s.excluded())
	t["support/availability"] = without(t["support/availability"], closed())
	t["shop/purchase"] = worst(
		fails(t["edge/reachable"], 0.001), fails(t["catalog/availability"], 0.05), fails(t["checkout/latency"], 0.01), t["orders/backlog"])
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

func inBerlin() *time.Location {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err) // only for a zone that is none
	}
	return berlin
}

// maintenance is on Sundays at 2 o'clock in Berlin, from some minutes on to others.
func maintenance() func(unix int64, from, to int) bool {
	berlin := inBerlin()
	return func(unix int64, from, to int) bool {
		at := time.Unix(unix, 0).In(berlin)
		return at.Weekday() == time.Sunday && at.Hour() == 2 && at.Minute() >= from && at.Minute() < to
	}
}
