package shop

import (
	"fmt"
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// What the series of a target tell. Those of a histogram only exist where a
// service has one.
const (
	up = iota
	startTime
	goodEvents
	badEvents
	bucket100ms
	bucket300ms
	bucket1s
	bucketInf
	durationCount
	durationSum
	nativeDuration
)

// target contains the series with one instance label.
type target struct {
	process
	slots     []slot
	next      int64 // time of the next scrape, in milliseconds
	startAt   int64 // Unix seconds, of the process that follows the one that stopped
	restartAt int64 // Unix seconds
	replaceAt int64 // Unix seconds
}

// slot is a series that a target may expose.
type slot struct {
	tells   int
	labels  labels.Labels
	ref     storage.SeriesRef
	exposed bool // by the last scrape
}

// process holds the counters of a process since it began.
type process struct {
	running   bool
	began     int64 // Unix seconds
	good, bad float64
	// observed are the observations of the histogram up to 100 ms, 300 ms, 1 s
	// and above, each without those before it.
	observed [4]float64
	seconds  float64 // all of them together
}

// events are what happens in one process in one step.
type events struct {
	bad  float64
	fast [2]float64 // good, up to 100 ms and up to 300 ms
	slow [2]float64 // good, up to 1 s and above
}

func (e events) good() float64 { return e.fast[0] + e.fast[1] + e.slow[0] + e.slow[1] }

// count adds events to the counters. What fails, fails at once.
func (p *process) count(e events) {
	p.good += e.good()
	p.bad += e.bad
	p.observed[0] += e.fast[0] + e.bad
	p.observed[1] += e.fast[1]
	p.observed[2] += e.slow[0]
	p.observed[3] += e.slow[1]
	p.seconds += 0.03*(e.fast[0]+e.bad) + 0.17*e.fast[1] + 0.5*e.slow[0] + 2*e.slow[1]
}

// hadRun makes the process one that ran a day before the history starts.
func (p *process) hadRun() {
	p.began -= 24 * 60 * 60
	p.count(events{fast: [2]float64{10_000}})
}

// slots are the series of an instance of the service.
func (s *service) slots(instance string) []slot {
	var out []slot
	add := func(tells int, name string, more ...string) {
		pairs := append([]string{model.MetricNameLabel, name, "job", s.name, "instance", instance}, more...)
		out = append(out, slot{tells: tells, labels: labels.FromStrings(pairs...)})
	}
	add(up, "up")
	add(startTime, "process_start_time_seconds")
	if c := s.counter; c.metric != "" {
		tenant := []string{}
		if s.tenant != "" {
			tenant = []string{"tenant", s.tenant}
		}
		add(goodEvents, c.metric, append(tenant, c.label, c.good)...)
		add(badEvents, c.metric, append(tenant, c.label, c.bad)...)
	}
	switch {
	case s.slow == nil:
	case s.native != "":
		add(nativeDuration, s.native)
	default:
		for i, le := range []string{"0.1", "0.3", "1.0", "+Inf"} {
			add(bucket100ms+i, "http_request_duration_seconds_bucket", "le", le)
		}
		add(durationCount, "http_request_duration_seconds_count")
		add(durationSum, "http_request_duration_seconds_sum")
	}
	return out
}

// histogram is the native histogram of a process, whose buckets are bounded by
// powers of two. Here the observations are up to 125 ms, 250 ms and 500 ms, and
// between 1 s and 2 s.
func (p *process) histogram() *histogram.Histogram {
	h := &histogram.Histogram{
		ZeroThreshold: 0x1p-128, Sum: p.seconds,
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 3}, {Offset: 1, Length: 1}},
	}
	last := int64(0)
	for _, n := range p.observed {
		h.Count += uint64(n)
		h.PositiveBuckets = append(h.PositiveBuckets, int64(n)-last)
		last = int64(n)
	}
	return h
}

// value returns the value of a series at a scrape, and whether it is exposed. As
// in client libraries, a labelled counter begins with its first event and a
// histogram without labels with the process.
func (p *process) value(i int) (v float64, exposed bool) {
	switch i {
	case startTime:
		return float64(p.began), true
	case goodEvents:
		return p.good, p.good > 0
	case badEvents:
		return p.bad, p.bad > 0
	case durationSum:
		return p.seconds, true
	case durationCount:
		i = bucketInf
	}
	for _, n := range p.observed[:i-bucket100ms+1] {
		v += n
	}
	return v, true
}

// scrape writes what a scrape at a time in milliseconds finds.
func (t *target) scrape(app storage.Appender, at int64, reachable bool) error {
	ok := t.running && reachable
	for i := range t.slots {
		s := &t.slots[i]
		var v float64
		exposed := ok
		switch {
		case s.tells == up:
			exposed = true
			if ok {
				v = 1
			}
		case ok && s.tells == nativeDuration:
			if err := s.writeHistogram(app, at, t.histogram()); err != nil {
				return err
			}
			continue
		case ok:
			v, exposed = t.value(s.tells)
		}
		if err := s.write(app, at, v, exposed); err != nil {
			return err
		}
	}
	return nil
}

// end writes the stale markers of a target that is no longer scraped.
func (t *target) end(app storage.Appender, at int64) error {
	for i := range t.slots {
		if err := t.slots[i].write(app, at, 0, false); err != nil {
			return err
		}
	}
	return nil
}

// write appends the value of a series that is exposed, or a stale marker when
// it was exposed before.
func (s *slot) write(app storage.Appender, at int64, v float64, exposed bool) error {
	if !exposed {
		if !s.exposed {
			return nil
		}
		v = math.Float64frombits(value.StaleNaN)
	}
	s.exposed = exposed
	ref, err := app.Append(s.ref, s.labels, at, v)
	if err != nil {
		return fmt.Errorf("appending to %s: %w", s.labels, err)
	}
	s.ref = ref
	return nil
}

// writeHistogram appends a native histogram.
func (s *slot) writeHistogram(app storage.Appender, at int64, h *histogram.Histogram) error {
	ref, err := app.AppendHistogram(s.ref, s.labels, at, h, nil)
	if err != nil {
		return fmt.Errorf("appending to %s: %w", s.labels, err)
	}
	s.ref, s.exposed = ref, true
	return nil
}
