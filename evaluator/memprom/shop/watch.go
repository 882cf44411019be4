package shop

import (
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// watch is a target that exposes gauges, which tell the time alone.
type watch struct {
	name   string
	slo    string
	gauges []gauge
	live   int64 // Unix seconds
	phase  int64 // of its scrapes, in milliseconds
	next   int64 // time of the next scrape, in milliseconds
	up     slot
}

// gauge is a series and its value at each moment.
type gauge struct {
	metric, label, text string // text is the label's value
	value               func(moment) float64
	slot                slot
}

// label sets the labels of the series.
func (w *watch) label() {
	target := []string{"job", w.name, "instance", w.name + ":9100"}
	w.up.labels = labels.FromStrings(append(target, model.MetricNameLabel, "up")...)
	for i := range w.gauges {
		g := &w.gauges[i]
		g.slot.labels = labels.FromStrings(append(target, model.MetricNameLabel, g.metric, g.label, g.text)...)
	}
}

// advance writes what is scraped until a Unix second.
func (w *watch) advance(app storage.Appender, until int64) error {
	for ; w.next < until*1000; w.next += scrapeInterval {
		if err := w.scrape(app); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) scrape(app storage.Appender) error {
	if err := w.up.write(app, w.next, 1, true); err != nil {
		return err
	}
	for i := range w.gauges {
		g := &w.gauges[i]
		if err := g.slot.write(app, w.next, g.value(w.at(w.next)), true); err != nil {
			return err
		}
	}
	return nil
}

// at is the moment of a scrape.
func (w *watch) at(millis int64) moment { return moment{millis / 1000, millis/1000 - w.live} }

// schedule is when a job runs in each hour, and which of its runs fail.
type schedule struct {
	second int64
	failed func(moment) bool
}

// lastSuccess is the time of the last run that did not fail.
func (s schedule) lastSuccess(every int64) func(moment) float64 {
	return func(m moment) float64 {
		run := m.unix - (m.unix-s.second)%every
		for s.failed(moment{run, run - (m.unix - m.live)}) {
			run -= every
		}
		return float64(run)
	}
}

// backlog is a daily swing, and what piles up in a span and is worked off in as
// much time.
func backlog(begin, length int64, most float64) func(moment) float64 {
	return func(m moment) float64 {
		v := 20 + 15*math.Sin(m.hour()*math.Pi/12)
		if since := m.live - begin; since >= 0 && since < 2*length {
			v += most * float64(min(since, 2*length-since)) / float64(length)
		}
		return math.Round(v)
	}
}
