package counters

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

const none = -1 // no sample at this scrape

// series1 returns a series without samples.
func series1(name string, roles counting.Role) counting.RawSeries {
	l := labels.FromStrings(model.MetricNameLabel, name)
	return counting.RawSeries{Key: l.Hash(), Labels: l, Roles: roles}
}

// scraped returns the series of one target, scraped each 30 s from second 30 on. The
// names "bad..." and "total..." give the role.
func scraped(series map[string][]float64) []counting.RawSeries {
	var out []counting.RawSeries
	for name, values := range series {
		s := series1(name, counting.RoleTotal)
		s.Target = "a"
		if name[0] == 'b' {
			s.Roles = counting.RoleBad
		}
		for i, v := range values {
			if v != none {
				s.Samples = append(s.Samples, backend.Sample{T: int64(i+1) * 30_000, V: v})
			}
		}
		out = append(out, s)
	}
	return out
}

func TestCounting(t *testing.T) {
	tests := []struct {
		name           string
		series         map[string][]float64
		total, bad     float64
		ambiguousBirth int
	}{
		{
			name:   "the first scrape tells nothing of the past",
			series: map[string][]float64{"total": {1000, 1010, 1030}},
			total:  30,
		},
		{
			name:   "after a restart the new value counts",
			series: map[string][]float64{"total": {1000, 1010, 7, 9}},
			total:  10 + 7 + 2,
		},
		{
			name: "an error series born beside a live one counts from zero",
			series: map[string][]float64{
				"total": {100, 110, 120, 130},
				"bad":   {none, none, 37, 40},
			},
			total: 30, bad: 40,
		},
		{
			name: "a relabelled target is born with its past, which does not count",
			series: map[string][]float64{
				"total{old}": {1e7, 1e7 + 5, none, none},
				"total{new}": {none, none, 1e7 + 9, 1e7 + 14},
			},
			total: 5 + 5, ambiguousBirth: 1,
		},
		{
			name: "a series that comes back after a restart counts from zero, even when higher",
			series: map[string][]float64{
				"total": {100, 110, 3, 9, 20},
				"bad":   {5, 5, none, none, 8},
			},
			total: 10 + 3 + 6 + 11, bad: 8,
		},
		{
			name: "a series that a partial scrape left out goes on",
			series: map[string][]float64{
				"total": {100, 110, 120, 130},
				"bad":   {5, 5, none, 8},
			},
			total: 30, bad: 3,
		},
		{
			// The second bad series shows only that the process restarted since the
			// second scrape. The first one ended later.
			name: "a series that comes back lower does not restart the others",
			series: map[string][]float64{
				"total":      {100, 110, 3, 9, 20, 30},
				"bad{first}": {50, 50, 1, 4, none, 6},
				"bad{again}": {5, 5, none, none, none, 2},
			},
			total: 10 + 3 + 6 + 11 + 10, bad: 1 + 3 + 2 + 2,
		},
		{
			name: "nor does it bear those that are new beside ends",
			series: map[string][]float64{
				"total{old}": {100, 3, 9, 20, none},
				"total{up}":  {100, 3, 4, 5, 6},
				"bad{again}": {5, none, none, none, 2},
				"bad{new}":   {none, none, none, none, 7},
			},
			total: 3 + 6 + 11 + 3 + 1 + 1 + 1, bad: 2, ambiguousBirth: 1,
		},
		{
			name: "births at a restart count, though others ended",
			series: map[string][]float64{
				"total{200}": {100, 110, 3, 4},
				"total{404}": {9, 9, none, none},
				"total{500}": {none, none, 2, 2},
			},
			total: 10 + 3 + 1 + 2,
		},
		{
			name:   "an outage of scraping loses nothing",
			series: map[string][]float64{"total": {100, none, none, none, none, none, none, none, 190, 200}},
			total:  100,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewRaw(counting.RoleTotal)
			got := c.Feed(scraped(tt.series), 0, 10)
			for _, claim := range got.Unproven {
				got.Resolve(claim)
			}
			var total, bad float64
			for i := range got.Total {
				s := got.Slot(i, counting.RoleBad|counting.RoleTotal)
				total, bad = total+s.Total, bad+s.Bad
			}
			require.Equal(t, tt.total, total)
			require.Equal(t, tt.bad, bad)
			require.Equal(t, tt.ambiguousBirth, got.Ambiguous)
		})
	}
}

// TestCountingInPieces checks that samples give the same slots fed at once or cut at any
// minute.
func TestCountingInPieces(t *testing.T) {
	series := scraped(map[string][]float64{
		"total":     {100, 110, 120, 5, 8, none, none, 30, 31, 40, 50, 60},
		"bad":       {none, none, 3, none, none, none, none, 2, 2, 7, 8, 8},
		"bad{code}": {none, 1, 1, none, 4, none, none, 4, 4, 4, 9, 9},
	})
	whole := NewRaw(counting.RoleTotal).Feed(series, 0, 7)
	for cut := timeline.Minute(1); cut < 7; cut++ {
		c := NewRaw(counting.RoleTotal)
		a := c.Feed(series, 0, cut)
		probe := c.Clone().Feed(series, cut, 7) // counting unsettled samples changes nothing
		b := c.Feed(series, cut, 7)
		require.Equal(t, probe, b)
		require.Equal(t, whole.Total, append(a.Total, b.Total...), "cut at %d", cut)
		require.Equal(t, whole.Bad, append(a.Bad, b.Bad...), "cut at %d", cut)
	}
}

func TestDeltasBelongToTheSlotOfTheLaterSample(t *testing.T) {
	s := series1("total", counting.RoleTotal)
	s.Samples = []backend.Sample{{T: 30_000, V: 1}, {T: 60_000, V: 3}, {T: 60_001, V: 7}, {T: 125_000, V: 15}}
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{s}, 0, 3)
	require.Equal(t, []float64{2, 4, 8}, got.Total) // a slot includes its end, not its start
}

func TestKnownSlots(t *testing.T) {
	s := series1("total", counting.RoleTotal)
	for at := int64(10); at <= 600; at += 30 { // seconds, until 10 min
		s.Samples = append(s.Samples, backend.Sample{T: at * 1000, V: 1})
	}
	s.Samples = append(s.Samples, backend.Sample{T: 640_000, V: 1})                                                                        // one scrape failed
	s.Samples = append(s.Samples, backend.Sample{T: 1200_000, V: 1}, backend.Sample{T: 1230_000, V: 1}, backend.Sample{T: 1260_000, V: 1}) // an outage of 9 min
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{s}, 0, 25)
	want := make([]bool, 25)
	for i := range want {
		minute := i + 1
		want[i] = minute <= 11 || minute == 21 // (20, 21] has the samples after the outage
	}
	require.Equal(t, want, got.Known)
}

// rawSeries returns a series of a target without target labels, with values at times in seconds.
func rawSeries(name string, roles counting.Role, interval, first int64, values ...float64) counting.RawSeries {
	s := series1(name, roles)
	for i, v := range values {
		if v != none {
			s.Samples = append(s.Samples, backend.Sample{T: (first + int64(i)*interval) * 1000, V: v})
		}
	}
	return s
}

// TestProcessesThatNoLabelTellsApart checks that processes with equal target labels have
// their own scrapes, births and restarts.
func TestProcessesThatNoLabelTellsApart(t *testing.T) {
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{
		rawSeries("total{a}", counting.RoleTotal, 60, 10, 1e7, 1e7+5, none, 1e7+15, 1e7+20), // one scrape is missing
		rawSeries("total{b}", counting.RoleTotal, 60, 25, 500, 7, 9, 11, 13),                // restarts meanwhile
		rawSeries("bad{a}", counting.RoleBad, 60, 10, none, none, none, none, 3),            // the first error
	}, 0, 10)
	require.Equal(t, 20+7+6.0, sumOf(got.Total))
	require.Equal(t, 3.0, sumOf(got.Bad))
	require.Equal(t, 1, got.Births)

	// Two that are scraped each 5 min, half a minute apart, leave no gap.
	got = NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{
		rawSeries("total{a}", counting.RoleTotal, 300, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
		rawSeries("total{b}", counting.RoleTotal, 300, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
	}, 0, 46)
	require.NotContains(t, got.Known, false)
}

// TestReplicasWhoseSamplesAlternate checks a restart of which each sample shows only its
// own part.
func TestReplicasWhoseSamplesAlternate(t *testing.T) {
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{
		rawSeries("total{x}", counting.RoleTotal, 60, 10, 100, none, 7, 8),
		rawSeries("total{y}", counting.RoleTotal, 60, 10, 100, 101, none, 150), // seen since x was
	}, 0, 5)
	require.Equal(t, 7+1+1+49.0, sumOf(got.Total))
}

func TestSmallPartsOfEventsAddUp(t *testing.T) {
	var values []float64
	for i := range 1001 {
		values = append(values, float64(i)*0.0004)
	}
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{rawSeries("seconds_total", counting.RoleTotal, 60, 0, values...)}, 0, 1000)
	require.InDelta(t, 0.4, sumOf(got.Total), 1.0/1024)
}

func TestASampleThatCameTwiceCountsOnce(t *testing.T) {
	s := series1("total", counting.RoleTotal)
	s.Samples = []backend.Sample{{T: 60_000, V: 1}, {T: 60_000, V: 1}, {T: 90_000, V: 4}, {T: 90_000, V: 4}}
	got := NewRaw(counting.RoleTotal).Feed([]counting.RawSeries{s}, 0, 2)
	require.Equal(t, []float64{0, 3}, got.Total)
}

func sumOf(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}
