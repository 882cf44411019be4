package counters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// growing returns n samples that grow by the same amount.
func growing(from, each float64, n int) []float64 {
	var out []float64
	for i := range n {
		out = append(out, from+each*float64(i))
	}
	return out
}

// joined concatenates samples.
func joined(parts ...[]float64) []float64 {
	var out []float64
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// TestFalls checks counters that fall, scraped each 30 s.
func TestFalls(t *testing.T) {
	tests := []struct {
		name       string
		series     map[string][]float64
		began      float64 // start of the process, in scrapes; 0 if unknown
		total, bad float64
		undecided  float64 // part of the total
	}{
		{
			name:   "a momentary dip",
			series: map[string][]float64{"total": {1000, 1100, 1090, 1300}},
			total:  300,
		},
		{
			name:   "two replicas in turns, for ever, the second later",
			series: map[string][]float64{"total": {1000, 995, 1020, 1015, 1040, 1035, 1060, 1055}},
			total:  60,
		},
		{
			name:   "two replicas, the late one twice in a row",
			series: map[string][]float64{"total": {1000, 995, 1005, 1030, 1040}},
			total:  40,
		},
		{
			name:   "a process that began again a little lower",
			series: map[string][]float64{"total": {40, 50, 47, 48, 49, 60}},
			total:  10 + 1 + 1 + 47 + 11, // the 47 once it has not come back
		},
		{
			name:   "and says when it began",
			series: map[string][]float64{"total": {40, 50, 47, 48, 49, 60}},
			began:  2.5,
			total:  10 + 47 + 1 + 1 + 11,
		},
		{
			name:   "and passes what it was in the next scrape",
			series: map[string][]float64{"total": {40, 50, 47, 60, 70}},
			began:  2.5,
			total:  10 + 47 + 13 + 10,
		},
		{
			name:      "a sum that lost a part goes on from there",
			series:    map[string][]float64{"total": joined(growing(1e6, 300, 10), growing(950_000, 300, 10))},
			total:     2*9*300 + 0,
			undecided: 950_000,
		},
		{
			name: "a sum gets back the part that it lost: only what it counts is new",
			series: map[string][]float64{
				"total": joined(growing(1e6, 300, 10), growing(702_000, 200, 5), growing(1_004_500, 300, 3)),
				"bad":   joined(growing(60_000, 3, 10), growing(20_000, 1, 5), growing(60_060, 3, 3)),
			},
			// 1,002,700 fell to 702,000, so that 300,700 went, and 702,800 became 1,004,500: of 301,700 more 1,000 are new.
			// Of the bad ones 60,027 fell to 20,000, so that 40,027 went, and 20,004 became 60,060: of 40,056 more 29 are new.
			total: 9*300 + 4*200 + 1000 + 2*300, bad: 9*3 + 4*1 + 29 + 2*3,
			undecided: 702_000 + 300_700,
		},
		{
			name: "a sum gets back the smaller of two parts, and then the other",
			series: map[string][]float64{
				"total": joined(growing(1e6, 300, 10), growing(602_000, 200, 5), growing(402_000, 100, 5), growing(603_500, 200, 3), growing(1_005_000, 300, 3)),
			},
			// 1,002,700 fell to 602,000 and 602,800 to 402,000: 400,700 and 200,800 went. 402,400 became 603,500, 300 more
			// than the smaller part, and 603,900 became 1,005,000, 400 more than the other.
			total:     9*300 + 4*200 + 4*100 + 300 + 2*200 + 400 + 2*300,
			undecided: 602_000 + 402_000 + 200_800 + 400_700,
		},
		{
			name: "a sum gets back a part while another is away for a scrape",
			series: map[string][]float64{
				"total": joined(growing(1e6, 300, 10), growing(602_000, 200, 5), []float64{402_000, 1_003_900, 1_004_200}),
			},
			// 602,800 fell by 200,800, and became 1,003,900: 601,900 more, of which both parts are 601,500.
			total:     9*300 + 4*200 + 400 + 300,
			undecided: 602_000 + 402_000 + 400_700 + 200_800,
		},
		{
			name: "an outage after a sum of errors lost a part leaps for longer than two scrapes",
			series: map[string][]float64{
				"total": joined(growing(60_000, 1, 10), growing(40_000, 1, 6), growing(42_005, 2000, 9)),
			},
			total:     9 + 5 + 7*2000,
			undecided: 40_000 + 2*2000,
		},
		{
			name: "an outage that looks like parts that come back, for longer than two scrapes",
			series: map[string][]float64{"total": joined(growing(1_000_000, 300, 10), growing(902_700, 300, 4), growing(803_600, 300, 4),
				growing(704_500, 300, 4), growing(605_400, 300, 4), growing(706_300, 100_000, 4))},
			// Four parts of 100,000 left. Two of the four leaps by as much count as their
			// return.
			total: 9*300 + 4*3*300 + 2*100_000, undecided: 902_700 + 803_600 + 704_500 + 605_400 + 2*100_000,
		},
		{
			name: "a sum beside others that go on",
			series: map[string][]float64{
				"total": growing(1e6, 300, 12),
				"bad":   {500, 510, 520, 530, 400, 410, 420, 430, 440, 450, 460, 470},
			},
			total: 11 * 300, bad: 30 + 70,
		},
		{
			name: "a restart is that of all series, though one is higher than it was",
			series: map[string][]float64{
				"total": {1000, 1010, 20, 30},
				"bad":   {3, 3, 5, 6},
			},
			total: 10 + 20 + 10, bad: 0 + 5 + 1,
		},
		{
			name: "nor of those that hold more than it can have counted",
			series: map[string][]float64{
				"total{a}": {1000, 1010, 2, 3},
				"total{b}": {5000, 5010, 5020, 5030},
			},
			total: 10 + 2 + 1 + 30,
		},
		{
			name: "a label set that died with its process comes back in the next one, a little lower",
			series: map[string][]float64{
				"total": {900, 910, 5, 9, 20, 30},
				"bad":   {50, 50, none, none, none, 47},
			},
			total: 10 + 5 + 4 + 11 + 10, bad: 47,
		},
		{
			name: "a label set that expired comes back lower",
			series: map[string][]float64{
				"total": growing(900, 10, 9),
				"bad":   {none, 5, 5, none, none, none, none, none, 2},
			},
			total: 80, bad: 5 + 2,
		},
		{
			name: "a restored state",
			series: map[string][]float64{
				"total": joined(growing(1e6, 300, 10), growing(980_000, 300, 5)),
			},
			began: 9.5,
			total: 9*300 + 4*300, undecided: 980_000,
		},
		{
			name:   "falls at each scrape",
			series: map[string][]float64{"total": {5e6, 5e6 + 10, 4e6, 3e6, 2e6, 1e6, 1e6 + 10, 1e6 + 20, 1e6 + 30}},
			total:  10 + 30, undecided: 2e6 + 1e6,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NewRaw(counting.RoleTotal).Feed(scraped(tt.series), 0, 20)
			for _, c := range got.Unproven {
				if c.Began = int64(tt.began*30_000) + 15_000; tt.began == 0 {
					c.Began = 0
				}
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

// TestFallsInPieces checks that falls give the same slots fed at once or cut at any
// minute.
func TestFallsInPieces(t *testing.T) {
	for name, values := range map[string]map[string][]float64{
		"falls, dips and gaps": {
			"total": {40, 50, 47, 48, 49, 60, 59, 62, 3, 9, 5, 8, 9, 12},
			"bad":   {4, 4, 5, 5, 4, 4, 6, 7, 9, none, none, none, 8, 9},
		},
		"a part that goes and comes back": {
			"total": joined(growing(1e6, 300, 5), growing(702_000, 200, 5), growing(1_003_000, 300, 4)),
			"bad":   joined(growing(60_000, 3, 5), growing(20_000, 1, 5), growing(60_045, 3, 4)),
		},
	} {
		series := scraped(values)
		whole := NewRaw(counting.RoleTotal).Feed(series, 0, 8)
		for cut := timeline.Minute(1); cut < 8; cut++ {
			c := NewRaw(counting.RoleTotal)
			a := c.Feed(series, 0, cut)
			probe := c.Clone().Feed(series, cut, 8)
			b := c.Feed(series, cut, 8)
			require.Equal(t, probe, b)
			require.Equal(t, whole.Total, append(a.Total, b.Total...), "%s, cut at %d", name, cut)
			require.Equal(t, whole.Bad, append(a.Bad, b.Bad...), "%s, cut at %d", name, cut)
			require.Equal(t, len(whole.Unproven), len(a.Unproven)+len(b.Unproven))
		}
	}
}
