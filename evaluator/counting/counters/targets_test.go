package counters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// TestTargets checks sums of one target at the boundaries of slots, with the number of
// their counters.
func TestTargets(t *testing.T) {
	tests := []struct {
		name  string
		sums  []float64 // at minute 0, 1, ...
		sizes []float64
		began float64 // start of a process, in minutes; 0 for long ago
		want  []float64
		doubt int  // ambiguous
		asks  bool // asks for the sizes
	}{
		{name: "grows", sums: []float64{100, 110, 130}, want: []float64{0, 10, 20}},
		{name: "a new process", sums: []float64{none, none, none, 40, 50}, began: 2, want: []float64{0, 0, 0, 40, 10}},
		{name: "an old process that is scraped from now on", sums: []float64{none, none, none, 9e6, 9e6 + 5}, began: -5000, want: []float64{0, 0, 0, 0, 5}},
		{name: "restarts", sums: []float64{900, 910, 7, 12}, sizes: []float64{3, 3, 3, 3}, asks: true, want: []float64{0, 10, 7, 5}},
		{name: "restarts with fewer counters, as it says", sums: []float64{900, 910, 7, 12}, sizes: []float64{3, 3, 2, 2}, began: 1.5, asks: true, want: []float64{0, 10, 7, 5}},
		{name: "a counter is born", sums: []float64{900, 910, 921}, sizes: []float64{3, 3, 4}, want: []float64{0, 10, 11}},
		{name: "a partial scrape", sums: []float64{5e6, 5e6 + 10, 60, 5e6 + 30, 5e6 + 40}, sizes: []float64{9, 9, 2, 9, 9},
			began: -5000, asks: true, want: []float64{0, 10, 0, 20, 10}},
		{name: "doubled for two minutes by a changed label", sums: []float64{5e6, 1e7, 1e7 + 20, 5e6 + 20, 5e6 + 30, 5e6 + 40}, sizes: []float64{4, 8, 8, 4, 4, 4},
			began: -5000, asks: true, want: []float64{0, 0, 20, 0, 10, 10}, doubt: 2},
		{name: "a momentary dip", sums: []float64{1000, 1010, 990, 1030, 1040}, asks: true, want: []float64{0, 10, 0, 20, 10}},
		{name: "a process that began again a little lower", sums: []float64{40, 50, 47, 48, 49, 60}, asks: true, want: []float64{0, 10, 0, 1, 1 + 47, 11}},
		{name: "a process that began again a little lower, as it says", sums: []float64{40, 50, 47, 48, 49, 60}, began: 1.5, asks: true, want: []float64{0, 10, 47, 1, 1, 11}},
		{name: "a sum that lost a part goes on from there", sums: []float64{1e6, 1e6 + 600, 950_000, 950_600, 951_200, 951_800},
			asks: true, want: []float64{0, 600, 0, 600, 600, 600}, doubt: 1},
		{name: "a restored state", sums: []float64{1e6, 1e6 + 600, 990_000, 990_600, 991_200, 991_800},
			began: 1.5, asks: true, want: []float64{0, 600, 0, 600, 600, 600}, doubt: 1},
		{name: "falls at each sum", sums: []float64{5e6, 4e6, 3e6, 2e6, 1e6, 1e6 + 10, 1e6 + 20}, asks: true, want: []float64{0, 0, 0, 0, 0, 10, 10}, doubt: 2},
		{name: "an outage after a sum lost a part", sums: []float64{5000, 5010, 4950, 4960, 4970, 4980, 6480, 7980, 9480, 10_980, 12_480},
			sizes: []float64{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, asks: true, want: []float64{0, 10, 0, 10, 10, 10, 0, 0, 1500, 1500, 1500}, doubt: 3},
		{name: "the same, scraped each 2 minutes", sums: []float64{5000, 5020, 5020, 4950, 4950, 4970, 4970, 6470, 6470, 7970, 7970, 9470, 9470, 10_970},
			sizes: []float64{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, asks: true, want: []float64{0, 20, 0, 0, 0, 20, 0, 0, 0, 0, 0, 1500, 0, 1500}, doubt: 3},
		{name: "away for a while", sums: []float64{900, none, none, none, 950}, began: -5000, want: []float64{0, 0, 0, 0, 50}},
		{name: "away, and began again", sums: []float64{900, none, none, none, 950}, began: 3, want: []float64{0, 0, 0, 0, 950}},
		{name: "a burst", sums: []float64{900, 901, 90_901}, sizes: []float64{3, 3, 3}, asks: true, want: []float64{0, 1, 90_000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const first = 1000 // minutes
			s := series1("total", counting.RoleTotal)
			for i, v := range tt.sums {
				if v != none {
					s.Samples = append(s.Samples, backend.Sample{T: timeline.Minute(first + i).Millis(), V: v})
				}
				if tt.sizes != nil {
					s.Sizes = append(s.Sizes, backend.Sample{T: timeline.Minute(first + i).Millis(), V: tt.sizes[i]})
				}
			}
			a := NewTargets(counting.RoleTotal)
			end := timeline.Minute(first + len(tt.sums) - 1)
			got := a.Feed([]counting.RawSeries{s}, first-1, end)
			for _, c := range got.Unproven {
				if c.Began = int64((first + tt.began) * 60_000); tt.began == 0 || c.Began > c.At {
					c.Began = 1 // another process, which began long ago
				}
				got.Resolve(c)
			}
			require.Equal(t, tt.want, got.Total)
			require.Equal(t, tt.doubt, got.Ambiguous)
			require.Equal(t, tt.asks, NewTargets(counting.RoleTotal).NeedsSizes([]counting.RawSeries{s}, first-1))
		})
	}
}

// TestSumsBeganTogether checks the sums of all requests and of the failed ones of a
// target that restarts. The failed ones since are judged by all that the target counts,
// not by the few that usually fail.
func TestSumsBeganTogether(t *testing.T) {
	const first = 1000 // minutes
	for name, tt := range map[string]struct {
		total, bad []float64
		want       []float64 // of bad
	}{
		"more failed than before": {
			total: []float64{50_000, 51_000, 52_000, 400, 1400, 2400}, bad: []float64{250, 250, 250, 260, 260, 260}, want: []float64{0, 0, 0, 260, 0, 0}},
		"the failed ones are of a process that goes on": {
			total: []float64{50_000, 51_000, 52_000, 400, 1400, 2400}, bad: []float64{90_250, 90_250, 90_250, 90_260, 90_260, 90_260}, want: []float64{0, 0, 0, 10, 0, 0}},
		"the failed ones are shown for some minutes after their series ended": {
			total: []float64{50_000, 51_000, 52_000, 400, 1400, 2400}, bad: []float64{250, 250, 250, 250, 250, none}, want: []float64{0, 0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			total, bad := series1("total", counting.RoleTotal), series1("bad", counting.RoleBad)
			for i := range tt.total {
				total.Samples = append(total.Samples, backend.Sample{T: timeline.Minute(first + i).Millis(), V: tt.total[i]})
				if tt.bad[i] != none {
					bad.Samples = append(bad.Samples, backend.Sample{T: timeline.Minute(first + i).Millis(), V: tt.bad[i]})
				}
			}
			bad.Target = total.Target
			got := NewTargets(counting.RoleTotal).Feed([]counting.RawSeries{total, bad}, first-1, first+5)
			require.Equal(t, tt.want, got.Bad)
		})
	}
}
