package evaluator

import (
	"testing"

	"github.com/stretchr/testify/require"

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

// TestValuesThatHold has a value each 15 minutes, of which a backend gives five slots:
// it holds until the next is due, and is of no series that went while others go on.
// One that is there for 3 minutes of each 15 was gone.
func TestValuesThatHold(t *testing.T) {
	const first = Minute(1000)
	threshold := slo.Threshold{Query: "queue_length", Op: "<=", Value: 100}
	every15 := func(key uint64, slots int, values ...float64) rawSeries {
		s := rawSeries{key: key}
		for i, v := range values {
			for j := range slots {
				s.samples = append(s.samples, sample{(first + Minute(15*i+j+1)).millis(), v})
			}
		}
		return s
	}
	for name, tt := range map[string]struct {
		batch      []rawSeries
		known, bad float64
	}{
		// Slots 6 to 15 are not known yet. Of the last value slots 46 to 61 are.
		"seldom":              {[]rawSeries{every15(1, 5, 5, 500, 5, 500)}, 5 + 30 + 16, 15 + 16},
		"flapping":            {[]rawSeries{every15(1, 3, 5, 500, 5, 500)}, 12, 6},
		"one of two went bad": {[]rawSeries{every15(1, 5, 5, 5, 5, 5), every15(2, 5, 5, 500)}, 5 + 30 + 16, 15},
	} {
		t.Run(name, func(t *testing.T) {
			whole, parts := newLevels(threshold.Measure().(slo.Levels)), newLevels(threshold.Measure().(slo.Levels))
			got := whole.feed(tt.batch, first, first+90)
			require.Equal(t, [2]float64{tt.known, tt.bad}, [2]float64{sum(got.total), sum(got.bad)})
			var total []float64
			for m := Minute(0); m < 90; m += 7 {
				total = append(total, parts.feed(tt.batch, first+m, first+min(m+7, 90)).total...)
			}
			require.Equal(t, got.total, total)
		})
	}
}
