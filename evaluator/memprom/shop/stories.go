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

// stories are the services of the shop.
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
		// Its processes restart every hour.
		{name: "catalog", slo: "availability", instances: 2, counter: http,
			rate: always(30), failing: incidents("catalog", always(usually)), restarts: hour},
		// Its pods are replaced every six hours, under new names.
		{name: "recommendations", slo: "availability", instances: 2, counter: http,
			rate: always(30), failing: always(0.0005), replaced: 6 * hour},
		// A batch of one minute every hour.
		{name: "invoices", slo: "success", instances: 1,
			counter: counter{"invoices_total", "result", "ok", "failed"},
			rate:    minuteOfHour(5, 7), failing: always(0.004)},
		// Nobody writes from 0 to 6. Before that, one mail in a minute, and one in
		// five of these bounces.
		{name: "mail", slo: "delivery", instances: 1,
			counter: counter{"mail_deliveries_total", "status", "delivered", "bounced"},
			rate: func(m moment) float64 {
				switch h := m.hour(); {
				case h < 6:
					return 0
				case h < 20:
					return 2
				}
				return 0.02
			},
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
		// Two outages of a minute in a month.
		{name: "shipping", slo: "availability", instances: 2, counter: http,
			rate:    always(25),
			failing: incidents("shipping", span(-20*day, 60, 0.9, span(-4*day, 90, 0.7, always(usually))))},
	}
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

// from is one value from an hour of the day to another, in UTC, and another
// value for the rest of it.
func from(begin, end, inside, outside float64) func(moment) float64 {
	return func(m moment) float64 {
		if h := m.hour(); h >= begin && h < end {
			return inside
		}
		return outside
	}
}

// span is one value for some seconds that begin some seconds after live start.
func span(begin, length int64, inside float64, otherwise func(moment) float64) func(moment) float64 {
	return func(m moment) float64 {
		if m.within(begin, length) {
			return inside
		}
		return otherwise(m)
	}
}

// minuteOfHour is a value in one minute of each hour, and 0 in the others.
func minuteOfHour(minute int64, v float64) func(moment) float64 {
	return func(m moment) float64 {
		if m.unix%hour/60 == minute {
			return v
		}
		return 0
	}
}

// incidents are the live incidents of a service, and another value between them.
func incidents(service string, otherwise func(moment) float64) func(moment) float64 {
	turn := int64(slices.Index(struck(), service))
	cycle := int64(len(struck())) * incidentInterval
	return func(m moment) float64 {
		since := m.live - firstIncident - turn*incidentInterval
		if since >= 0 && since%cycle < incidentLength {
			return incidentFailing
		}
		return otherwise(m)
	}
}
