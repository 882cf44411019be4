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
