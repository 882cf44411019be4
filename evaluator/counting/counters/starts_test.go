package counters

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// startTimes returns the start times of a process at scrapes each 30 s from second 30 on,
// in scrapes from second 0. none is no sample.
func startTimes(began ...float64) []backend.Sample {
	var out []backend.Sample
	for i, b := range began {
		if b != none {
			out = append(out, backend.Sample{T: int64(i+1) * 30_000, V: b * 30_000})
		}
	}
	return out
}

// repeated returns the same number n times.
func repeated(v float64, n int) []float64 { return growing(v, 0, n) }

// TestProcessesThatSayThatTheyBegan checks counters whose restart only the start time of
// their process shows.
func TestProcessesThatSayThatTheyBegan(t *testing.T) {
	const long = -5000 // about 41 h before
	tests := []struct {
		name       string
		series     map[string][]float64
		began      []float64
		total, bad float64
		undecided  float64
	}{
		{
			name:   "with the values of before",
			series: map[string][]float64{"total": repeated(50, 4), "bad": repeated(3, 4)},
			began:  []float64{-100, -100, 2.5, 2.5},
			total:  50, bad: 3,
		},
		{
			name:   "with higher ones, though they grew of late",
			series: map[string][]float64{"total": {10, 20, 30, 45, 50}, "bad": {1, 1, 2, 2, 2}},
			began:  []float64{-100, -100, -100, 3.5, 3.5},
			total:  20 + 45 + 5, bad: 1 + 2,
		},
		{
			name:   "with lower ones, at once",
			series: map[string][]float64{"total": {40, 50, 47, 48}},
			began:  []float64{-100, -100, 2.5, 2.5},
			total:  10 + 47 + 1,
		},
		{
			name:   "with lower ones, and is as high as before in the next scrape",
			series: map[string][]float64{"total": {40, 50, 47, 60}},
			began:  []float64{-100, -100, 2.5, 2.5},
			total:  10 + 47 + 13,
		},
		{
			name:   "with each scrape",
			series: map[string][]float64{"total": repeated(5, 5), "bad": repeated(5, 5)},
			began:  []float64{-100, 1.5, 2.5, 3.5, 4.5},
			total:  4 * 5, bad: 4 * 5,
		},
		{
			name:   "long before it is seen, as what pushes at its end",
			series: map[string][]float64{"total": joined(repeated(1000, 6), repeated(1005, 3), repeated(1010, 3))},
			began:  []float64{-100, -100, -100, -100, -100, -100, 4, 4, 4, 7, 7, 7},
			total:  1005 + 1010,
		},
		{
			name:   "by a clock that is 15 s ahead",
			series: map[string][]float64{"total": repeated(50, 4)},
			began:  []float64{-100, -100, 3.5, 3.5},
			total:  50,
		},
		{
			name:   "though the clock of its host moved by 10 s while it went on",
			series: map[string][]float64{"total": {1000, 1010, 1020, 1030, 1040}},
			began:  []float64{long, long, long + 0.4, long + 0.4, long + 0.4},
			total:  40,
		},
		{
			name:   "and another one, in turns",
			series: map[string][]float64{"total": {1000, 980, 1010, 990, 1020, 1000, 1030}},
			began:  []float64{-100, -80, -100, -80, -100, -80, -100},
			total:  30,
		},
		{
			name:   "after the first scrape, which lacks its start time",
			series: map[string][]float64{"total": repeated(50, 5)},
			began:  []float64{-100, -100, none, 2.5, 2.5},
			total:  50,
		},
		{
			name:   "after the first scrape, which lacks its start time and counts",
			series: map[string][]float64{"total": {50, 50, 70, 70, 20, 20, 20}},
			began:  []float64{-100, -100, none, 2.5, none, 4.5, 4.5},
			total:  20 + 20, undecided: 70, // at most the growth of the first counts, and the rest is reported
		},
		{
			name:   "twice, as an exporter does that keeps what it holds",
			series: map[string][]float64{"total": repeated(2e6, 8)},
			began:  []float64{long, long, 2.5, 2.5, 2.5, 5.5, 5.5, 5.5},
			total:  0, undecided: 4e6,
		},
		{
			name:   "for an instant each hour, with the same values",
			series: map[string][]float64{"total": repeated(1000, 360)},
			began:  joined(repeated(-60, 120), repeated(119.6, 120), repeated(239.6, 120)),
			total:  2000,
		},
		{
			name:   "by a clock that is wrong",
			series: map[string][]float64{"total": repeated(50, 4)},
			began:  []float64{-100, -100, 9, 9},
			total:  0,
		},
		{
			name:   "and counts others than before",
			series: map[string][]float64{"total": {20, 20, 20}, "bad": {none, none, 4}, "bad{b}": {3, 3, none}},
			began:  []float64{-100, -100, 2.5},
			total:  20, bad: 4,
		},
		{
			name:   "while an error came back with what it was hours before",
			series: map[string][]float64{"total": repeated(20, 400), "bad": joined([]float64{2}, repeated(none, 398), []float64{2})},
			began:  joined([]float64{-100}, repeated(1.5, 399)),
			total:  20, bad: 2,
		},
		{
			name:   "in a surge, with far more than it counted before",
			series: map[string][]float64{"total": {50_000, 50_010, 50_020, 50_030, 20_000, 40_000}},
			began:  []float64{-100, -100, -100, -100, 4.5, 4.5},
			total:  30 + 20_000 + 20_000,
		},
		{
			name:   "and restored its state",
			series: map[string][]float64{"total": joined(growing(1e6, 300, 10), growing(1_003_000, 300, 3))},
			began:  joined(repeated(-100, 10), repeated(10.5, 3)),
			total:  12 * 300,
		},
		{
			name:   "and restored a little less, which is told",
			series: map[string][]float64{"total": joined(growing(1e6, 300, 10), growing(980_000, 300, 4))},
			began:  joined(repeated(-100, 10), repeated(10.5, 4)),
			total:  9*300 + 3*300, undecided: 980_000,
		},
		{
			name:   "and was idle for longer than it is remembered: it may have restored its state",
			series: map[string][]float64{"total": repeated(50, 4)},
			began:  []float64{long, long, 2.5, 2.5},
			total:  0, undecided: 50,
		},
		{
			name:   "though it is the clock of its host that moved a little",
			series: map[string][]float64{"total": {50, 60, 70}},
			began:  []float64{-100, -99.9, -99.8},
			total:  20,
		},
		{
			name:   "though another process of the target says so",
			series: map[string][]float64{"total": {50, 60, 70}},
			began:  []float64{none, none, -4},
			total:  20,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewRaw(counting.RoleTotal)
			c.Starts = counting.Starts{"a": startTimes(tt.began...)}
			got := c.Feed(scraped(tt.series), 0, 220)
			for _, c := range got.Unproven {
				got.Resolve(c)
			}
			left := 0.0
			for _, l := range got.Undecided {
				left += l.Total
			}
			require.Equal(t, [3]float64{tt.total, tt.bad, tt.undecided}, [3]float64{sumOf(got.Total), sumOf(got.Bad), left})
		})
	}
}

// TestSumsOfProcessesThatSayThatTheyBegan does the same with the sums of a target.
func TestSumsOfProcessesThatSayThatTheyBegan(t *testing.T) {
	tests := []struct {
		name  string
		sums  []float64
		began []float64 // minutes
		want  []float64
	}{
		{"with the sum of before", repeated(50, 4), []float64{-100, -100, 1.5, 1.5}, []float64{0, 0, 50, 0}},
		{"with a higher one", []float64{10, 20, 30, 45, 50}, []float64{-100, -100, -100, 2.5, 2.5}, []float64{0, 10, 10, 45, 5}},
		{"with a lower one, at once", []float64{40, 50, 47, 60}, []float64{-100, -100, 1.5, 1.5}, []float64{0, 10, 47, 13}},
		{"with each sum", repeated(5, 4), []float64{-100, 0.5, 1.5, 2.5}, []float64{0, 5, 5, 5}},
		{"and restored its state", []float64{1e6, 1e6 + 600, 1e6 + 1200, 1e6 + 1800}, []float64{-100, -100, 1.5, 1.5}, []float64{0, 600, 600, 600}},
		{
			// After the restart the backend shows 400,000 of the 1,000,120 for 5 minutes
			// more, of counters that ended. The 30 beside them are lost. The 390 that are
			// left count, though 300 of them did before.
			"beside counters of the process before", []float64{1e6, 1e6 + 60, 1e6 + 120, 4e5 + 30, 4e5 + 90, 4e5 + 150, 4e5 + 210, 4e5 + 270, 4e5 + 330, 390, 450},
			[]float64{-100, -100, -100, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5}, []float64{0, 60, 60, 0, 60, 60, 60, 60, 60, 390, 60},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const first = 1000 // minutes
			s := series1("total", counting.RoleTotal)
			begun := counting.Starts{}
			for i, v := range tt.sums {
				at := timeline.Minute(first + i).Millis()
				s.Samples = append(s.Samples, backend.Sample{T: at, V: v})
				begun[""] = append(begun[""], backend.Sample{T: at - 10_000, V: (first + tt.began[i]) * 60_000})
			}
			a := NewTargets(counting.RoleTotal)
			a.Starts = begun
			got := a.Feed([]counting.RawSeries{s}, first-1, timeline.Minute(first+len(tt.sums)-1))
			for _, c := range got.Unproven {
				got.Resolve(c)
			}
			require.Equal(t, tt.want, got.Total)
		})
	}
}

// TestStartsInPieces checks that processes that restarted give the same slots fed at once
// or cut at any minute.
func TestStartsInPieces(t *testing.T) {
	series := scraped(map[string][]float64{
		"total": {40, 140, 140, 140, 150, 150, 151, 152, 152, 152, 100, 100},
		"bad":   {4, 4, 4, 5, 5, 5, none, none, 5, 5, 5, 5},
	})
	begun := counting.Starts{"a": startTimes(-9, -9, 2.5, 2.5, 2.5, 5.5, 6.5, 6.5, 8.5, 9.5, 9.5, 11.5)}
	c := NewRaw(counting.RoleTotal)
	c.Starts = begun
	whole := c.Feed(series, 0, 6)
	require.Equal(t, 100+140.0+0+10+150+151+1+152+152+100+100, sumOf(whole.Total))
	for cut := timeline.Minute(1); cut < 6; cut++ {
		c := NewRaw(counting.RoleTotal)
		c.Starts = begun
		a := c.Feed(series, 0, cut)
		c.Starts = begun
		b := c.Feed(series, cut, 6)
		require.Equal(t, whole.Total, append(a.Total, b.Total...), "cut at %d", cut)
		require.Equal(t, whole.Bad, append(a.Bad, b.Bad...), "cut at %d", cut)
		require.Equal(t, len(whole.Unproven), len(a.Unproven)+len(b.Unproven))
	}
}

// TestStartsOfATarget joins the start times that a backend has of a target.
func TestStartsOfATarget(t *testing.T) {
	series := func(pod string, from, n int, began float64) counting.RawSeries {
		s := series1("process_start_time_seconds{"+pod+"}", 0)
		for i := range n {
			s.Samples = append(s.Samples, backend.Sample{T: int64(from+i) * 30_000, V: began})
		}
		return s
	}
	for name, tt := range map[string]struct {
		series []counting.RawSeries
		want   map[int64]int64 // by the time of the sample
	}{
		"one process after the other":  {[]counting.RawSeries{series("b", 3, 2, 80), series("a", 1, 2, 5)}, map[int64]int64{30_000: 5000, 60_000: 5000, 90_000: 80_000, 120_000: 80_000}},
		"replicas of a Prometheus":     {[]counting.RawSeries{series("a", 1, 2, 5), series("a", 1, 2, 5.2)}, map[int64]int64{30_000: 5000, 60_000: 5000}},
		"two processes at once":        {[]counting.RawSeries{series("a", 1, 3, 5), series("b", 3, 2, 80)}, map[int64]int64{30_000: 5000, 60_000: 5000, 90_000: 0, 120_000: 80_000}},
		"at no other time than theirs": {[]counting.RawSeries{series("a", 1, 1, 5)}, map[int64]int64{29_900: 5000, 30_900: 5000, 31_001: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			s := counting.Starts{}
			s.Add("x", tt.series)
			for at, want := range tt.want {
				require.Equal(t, want, s.At("x", at), fmt.Sprint(at))
			}
		})
	}
	for name, tt := range map[string]struct {
		began []float64
		want  int64
	}{
		"a process":                {[]float64{1, 1, 1}, 30_000},
		"one that began again":     {[]float64{1, 1, 2}, 60_000},
		"two in turns in a minute": {[]float64{2, 1, 2}, 0},
		"none":                     {nil, 0},
	} {
		require.Equal(t, tt.want, counting.Starts{"x": startTimes(tt.began...)}.Last("x", 0, 100_000), name)
	}
}

// TestSumsThatLinger checks a target whose requests begin from zero, as its start time
// shows, while the sum of its errors stays the same for some minutes.
func TestSumsThatLinger(t *testing.T) {
	for name, tt := range map[string]struct{ bad, want []float64 }{
		"it was that of before": {
			[]float64{70, 70, 70, 70, 70, none, none, none, none, none}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"it was that of before, until the next error": {
			[]float64{70, 70, 70, 70, 2, 2, 2, 5, 5, 5}, []float64{0, 0, 0, 0, 2, 0, 0, 3, 0, 0}},
		"it is that of the new process": {
			[]float64{70, 70, 70, 70, 70, 70, 70, 70, 70, 70}, []float64{0, 0, 0, 0, 0, 0, 0, 70, 0, 0}},
		"and grows": {
			[]float64{70, 70, 70, 75, 75, 75, 75, 80, 80, 80}, []float64{0, 0, 0, 5, 0, 0, 0, 75, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			const first = 1000 // minutes
			total, bad, begun := series1("total", counting.RoleTotal), series1("bad", counting.RoleBad), counting.Starts{}
			for i, v := range tt.bad {
				at, began := timeline.Minute(first+i).Millis(), float64(first+1.5)
				requests := 20 * float64(i-1)
				if i < 2 {
					requests, began = 1000+20*float64(i), 900
				}
				total.Samples = append(total.Samples, backend.Sample{T: at, V: requests})
				if v != none {
					bad.Samples = append(bad.Samples, backend.Sample{T: at, V: v})
				}
				begun[""] = append(begun[""], backend.Sample{T: at - 10_000, V: began * 60_000})
			}
			a := NewTargets(counting.RoleTotal)
			a.Starts = begun
			got := a.Feed([]counting.RawSeries{total, bad}, first-1, first+9)
			require.Equal(t, 20+8*20.0, sumOf(got.Total))
			require.Equal(t, tt.want, got.Bad)
		})
	}
}
