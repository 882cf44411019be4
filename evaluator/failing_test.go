package evaluator

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/floats"

	"github.com/slowburn-slo/slowburn/slo"
)

// TestFailingValue keeps the newest value that was bad, of several at a time the
// highest, and the same when what is read comes in parts.
func TestFailingValue(t *testing.T) {
	threshold := slo.Threshold{Query: "queue_length", Op: "<=", Value: 100}
	at := func(m Minute) int64 { return m.millis() }
	batch := []rawSeries{
		{key: 1, samples: []sample{{at(1), 5}, {at(2), 300}, {at(3), 512}, {at(4), 7}}},
		{key: 2, samples: []sample{{at(1), 5}, {at(2), 900}, {at(3), 400}, {at(4), 7}}},
	}
	s := &slo.SLO{Indicator: threshold}
	whole, parts := newLevels(threshold.Measure().(slo.Levels)), newLevels(threshold.Measure().(slo.Levels))
	k := func(l *levels) *book { return &book{parts: []part{{accounts: l}}} }
	require.Nil(t, k(whole).failing(s))
	whole.feed(batch, 0, 4)
	parts.feed(batch, 0, 2)
	parts.feed(batch, 2, 4)
	require.Equal(t, &Failing{512, Minute(3).Time()}, k(whole).failing(s))
	require.Equal(t, k(whole).failing(s), k(parts).failing(s))
	require.Nil(t, k(whole).failing(&slo.SLO{Indicator: slo.Freshness{}}))
}

// TestValuesThatAreWaitedFor: a series that has a value for five minutes of each 15 is
// not gone in between, alone or beside another. One with a value each minute is.
func TestValuesThatAreWaitedFor(t *testing.T) {
	const first, hours = Minute(1000), 6
	measure := slo.Threshold{Query: "queue_length", Op: "<=", Value: 100}.Measure().(slo.Levels)
	measure.Absent = true
	series := func(key uint64, at, slots, every, until int) rawSeries {
		s := rawSeries{key: key}
		for m := at; m < until; m++ {
			if (m-at)%every < slots {
				s.samples = append(s.samples, sample{(first + Minute(m+1)).millis(), 5})
			}
		}
		return s
	}
	const end = hours * 60
	for name, tt := range map[string]struct {
		batch []rawSeries
		bad   float64
	}{
		"each 15 minutes":          {[]rawSeries{series(1, 0, 5, 15, end)}, 0},
		"two, 200 s apart":         {[]rawSeries{series(1, 0, 5, 15, end), series(2, 3, 5, 15, end)}, 0},
		"each minute, for an hour": {[]rawSeries{series(1, 0, 1, 1, 60)}, end - 60},
	} {
		t.Run(name, func(t *testing.T) {
			got := newLevels(measure).feed(tt.batch, first, first+end)
			require.Equal(t, tt.bad, floats.Sum(got.bad))
		})
	}
}
