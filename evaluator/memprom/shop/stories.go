package shop

import (
	"math"
	"slices"
)

const (
	hour = 60 * 60 // seconds
	day  = 24 * hour

	// The live incidents strike one service after the other. Nearly everything
	// fails for a minute, which at 99.9 % is a burn rate of 16 over the next
	// hour and, as each service is spared for three hours, of at most 5.7 over
	// six: the page of the fast window begins and ends, that of the slow one
	// stays away.
	firstIncident    = 50 // after live start
	incidentLength   = 60
	incidentInterval = 30 * 60
	incidentFailing  = 0.95

	// usually is the share of failing events of a service in good health.
	usually = 0.0002
)

// struck are the services that live incidents strike, in their order.
func struck() []string {
	return []string{"checkout", "payments", "accounts", "inventory", "shipping", "catalog"}
}

// stories are the services of the shop, with a counter or a histogram each.
func stories() []story {
	http := counter{"http_requests_total", "code", "200", "500"}
	return []story{
		// Steady traffic, its budget mostly there.
		{name: "checkout", slo: "availability", instances: 3, counter: http,
			rate: always(40), failing: incidents("checkout", always(usually)), slow: always(0.004)},
		// Few people at night; errors and slowness at the daily peak.
		{name: "search", slo: "availability", instances: 2, counter: http,
			rate:    func(m moment) float64 { return 30 * (1 + 0.8*math.Cos((m.hour()-20)*math.Pi/12)) },
			failing: from(19, 21.5, 0.016, 0.0005), slow: from(19, 21.5, 0.015, 0.003)},
		// Down for half an hour 9 days ago, which spent most of the budget.
		{name: "payments", slo: "availability", instances: 2, counter: http,
			rate:    always(25),
			failing: incidents("payments", span(-9*day, 30*60, 0.99, always(usually)))},
		// 72 requests an hour; the series of errors begins with the first one.
		{name: "giftcards", slo: "availability", instances: 1, counter: http,
			rate: always(0.02), failing: always(0.003)},
		// Its processes restart every hour. A bad search index 13 days ago.
		{name: "catalog", slo: "availability", instances: 2, counter: http,
			rate: always(30), failing: incidents("catalog", span(-13*day, 25*60, 0.2, always(usually))), restarts: hour},
		// Its pods are replaced every six hours, under new names.
		{name: "recommendations", slo: "availability", instances: 2, counter: http,
			rate: always(30), failing: always(0.0005), replaced: 6 * hour},
		// A batch of one minute every hour.
		{name: "invoices", slo: "success", instances: 1,
			counter: counter{"invoices_total", "result", "ok", "failed"},
			rate:    minuteOf(hour, 5, 7), failing: always(0.004)},
		// Nobody writes from 0 to 6. Before that, one mail in a minute, and one in
		// five of these bounces.
		{name: "mail", slo: "delivery", instances: 1,
			counter: counter{"mail_deliveries_total", "status", "delivered", "bounced"},
			rate:    during(func(m moment) bool { return m.hour() < 6 }, 0, from(6, 20, 2, 0.02)),
			failing: from(20, 24, 0.2, 0.001)},
		// Could not be scraped for 25 minutes 12 days ago, while errors raged.
		{name: "inventory", slo: "availability", instances: 1, counter: http,
			rate:    always(25),
			failing: incidents("inventory", span(-12*day, 25*60, 0.4, always(usually))),
			hidden:  func(m moment) bool { return m.within(-12*day, 25*60) }},
		// A leak since the release 60 hours ago: too slow for a page.
		{name: "cart", slo: "availability", instances: 2, counter: http,
			rate: always(20), failing: span(-60*hour, math.MaxInt32, 0.0017, always(usually))},
		// In production since 10 days.
		{name: "accounts", slo: "availability", instances: 1, counter: http,
			rate: always(25), failing: incidents("accounts", always(usually)), launch: -10 * day},
		// Two outages of a minute in a month, of which one was a load test, and a
		// maintenance each Sunday.
		{name: "shipping", slo: "availability", instances: 2, counter: http,
			rate:    always(25),
			failing: incidents("shipping", maintained(0.3, span(-20*day, 60, 0.9, span(-4*day, 90, 0.7, always(usually)))))},
		// Jobs each quarter of an hour; half a day of failures after a release.
		{name: "jobs", slo: "runs", instances: 1, counter: counter{"job_runs_total", "result", "success", "failure"},
			rate: minuteOf(hour/4, 0, 0.2), failing: span(-5*day, 5*hour, 0.4, always(0.004))},
		// A native histogram, in production for 8 days; slow for 3 hours.
		{name: "images", instances: 1, native: "image_resize_duration_seconds", launch: -8 * day,
			rate: always(4), failing: always(0), slow: span(-2*day, 3*hour, 0.3, always(0.004))},
		// Tenants with a shard each. Of globex half the requests failed for 80
		// minutes, initech came 5 days ago, and hooli left 3 days ago.
		merchant("acme", always(10), always(usually), story{}),
		merchant("globex", always(5), span(-3*day, 80*60, 0.5, always(usually)), story{}),
		merchant("initech", always(2), always(usually), story{launch: -5 * day}),
		merchant("hooli", always(1), always(0.003), story{removed: -3 * day}),
		merchant("müller & söhne", always(0.05), always(0.0005), story{}),
		// Rebuilt each night, when nobody is at the desk.
		{name: "support", slo: "availability", instances: 1, counter: http,
			rate: always(3), failing: from(1, 3, 0.4, 0.002)},
	}
}

// merchant is the shard of a tenant.
func merchant(tenant string, rate, failing func(moment) float64, s story) story {
	s.name, s.slo, s.tenant, s.instances = "merchants", "requests", tenant, 1
	s.counter = counter{"merchant_requests_total", "code", "200", "500"}
	s.rate, s.failing = rate, failing
	return s
}

// watches are what tells nothing but its present state.
func watches() []*watch {
	probe := func(url string, up func(moment) float64) gauge {
		return gauge{metric: "probe_success", label: "target", text: url, value: up}
	}
	// The backup of the customers failed 8 days ago, and was not repeated.
	never := func(moment) bool { return false }
	night := func(m moment) bool { return m.within(-9*day, day) }
	backup := func(database string, at int64, failed func(moment) bool) gauge {
		return gauge{metric: "backup_last_success_timestamp_seconds", label: "database", text: database,
			value: schedule{at, failed}.lastSuccess(day)}
	}
	reports := gauge{metric: "report_last_success_timestamp_seconds", label: "report", text: "revenue", value: hourly().lastSuccess(hour)}
	edge := &watch{name: "edge", slo: "reachable", gauges: []gauge{
		probe("https://www.shop.example", span(-17*day, 2*60, 0, always(1))),
		probe("https://api.shop.example", span(-6*day, 38*60, 0, always(1))),
		probe("https://partner.shop.example", always(1)),
	}}
	orders := &watch{name: "orders", slo: "backlog", gauges: []gauge{
		{metric: "orders_queue_length", label: "queue", text: "new", value: backlog(-7*day, 90*60, 300)},
	}}
	backups := &watch{name: "backups", slo: "freshness", gauges: []gauge{
		backup("orders", 2*hour+10*60, never), backup("customers", 2*hour+40*60, night),
	}}
	revenue := &watch{name: "reports", slo: "hourly", gauges: []gauge{reports}}
	// Two exporters of one gateway tell the same. A carrier was away for 10
	// minutes 4 days ago.
	var exporters []gauge
	for _, name := range []string{"a", "b"} {
		exporters = append(exporters,
			gauge{metric: "carrier_calls_total", label: "exporter", text: name, value: growing(20, 0)},
			gauge{metric: "carrier_failures_total", label: "exporter", text: name, value: growing(0.04, 8)})
	}
	carriers := &watch{name: "carriers", slo: "answers", gauges: exporters}
	return []*watch{edge, orders, backups, revenue, carriers}
}

// hourly are the runs of reports. They failed for six hours 11 days ago, and here and
// there.
func hourly() schedule {
	return schedule{5 * 60, func(m moment) bool { return m.within(-11*day, 6*hour) || m.unix/hour%193 == 0 }}
}

// growing is a counter that grows by so much a second, and by more for 10 minutes
// 4 days before live start.
func growing(usual, more float64) func(moment) float64 {
	return func(m moment) float64 {
		return math.Floor(usual*float64(m.unix) + more*float64(min(max(m.live+4*day, 0), 10*60)))
	}
}

// maintained is a value during the work of the maintenance, and another one else.
func maintained(inside float64, otherwise func(moment) float64) func(moment) float64 {
	inMaintenance := maintenance()
	return during(func(m moment) bool { return inMaintenance(m.unix, 3, 25) }, inside, otherwise)
}

// hour is the hour of the day in UTC, with its fraction.
func (m moment) hour() float64 { return float64(m.unix%day) / hour }

// within reports whether the moment is in a span that begins some seconds after
// live start.
func (m moment) within(begin, length int64) bool {
	return m.live >= begin && m.live < begin+length
}

func always(v float64) func(moment) float64 {
	return func(moment) float64 { return v }
}

// during is one value at the moments that a condition chooses, and another value else.
func during(chosen func(moment) bool, inside float64, otherwise func(moment) float64) func(moment) float64 {
	return func(m moment) float64 {
		if chosen(m) {
			return inside
		}
		return otherwise(m)
	}
}

// from is one value from an hour of the day to another, in UTC, and another
// value for the rest of it.
func from(begin, end, inside, outside float64) func(moment) float64 {
	return during(func(m moment) bool { return m.hour() >= begin && m.hour() < end }, inside, always(outside))
}

// span is one value for some seconds that begin some seconds after live start.
func span(begin, length int64, inside float64, otherwise func(moment) float64) func(moment) float64 {
	return during(func(m moment) bool { return m.within(begin, length) }, inside, otherwise)
}

// minuteOf is a value in one minute of so many seconds, and 0 in the others.
func minuteOf(seconds, minute int64, v float64) func(moment) float64 {
	return during(func(m moment) bool { return m.unix%seconds/60 == minute }, v, always(0))
}

// incidents are the live incidents of a service, and another value between them.
func incidents(service string, otherwise func(moment) float64) func(moment) float64 {
	turn := int64(slices.Index(struck(), service))
	cycle := int64(len(struck())) * incidentInterval
	strikes := func(m moment) bool {
		since := m.live - firstIncident - turn*incidentInterval
		return since >= 0 && since%cycle < incidentLength
	}
	return during(strikes, incidentFailing, otherwise)
}
