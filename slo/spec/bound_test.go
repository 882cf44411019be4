package spec

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// TestBucketBySpellings holds that a bucket is found in each way of writing its
// bound, and no other bucket.
func TestBucketBySpellings(t *testing.T) {
	spellings := map[float64][]string{
		1:        {"1", "1.0", "1.00", "01.000", "00001.0", "1e+00", "1e0", "1.0E0"},
		0.3:      {"0.3", "0.30", "00.300", "3e-1", "3e-01", "3.0E-1"},
		0.25:     {"0.25", "0.250", "2.5e-01", "00.250"},
		2.5:      {"2.5", "2.50", "02.500", "2.5e+00"},
		10:       {"10", "10.0", "00010.0", "1e+01", "1e1"},
		300:      {"300", "300.0", "00300.0", "3e+02", "3.0E2"},
		1e6:      {"1e+06", "1000000", "1000000.0", "1E6", "1.0E6"},
		1048576:  {"1048576", "1048576.0", "1.048576e+06"},
		12.5:     {"12.5", "12.50", "1.25e+01"},
		1e-5:     {"1e-05", "0.00001", "0.000010", "1.0E-5"},
		0.000025: {"2.5e-05", "0.000025"},
	}
	for bound := range spellings {
		s := slo.NewSelector(slo.Latency{Histogram: loadOne("{latency: {histogram: x, threshold: 1}}").SLOs[0].Indicator.(slo.Latency).Histogram, Threshold: bound}.Bucket().Matchers()...)
		le := s.Matchers()[len(s.Matchers())-1]
		for other, texts := range spellings {
			for _, text := range texts {
				v, err := strconv.ParseFloat(text, 64)
				require.NoError(t, err)
				require.InDelta(t, other, v, 0)
				require.Equal(t, bound == other, le.Matches(text), "%s and %s", le, text)
			}
		}
		for _, text := range []string{"", "0", "+Inf", "-1", "11", "0.03", "0.33", "3", "30", "1.1"} {
			require.False(t, le.Matches(text), "%s and %s", le, text)
		}
		got, ok := s.Bound()
		require.True(t, ok, s)
		require.InDelta(t, bound, got, 0)
	}
}

// TestBoundOfSelectors holds which selectors select one bucket.
func TestBoundOfSelectors(t *testing.T) {
	for text, want := range map[string]float64{
		`x_bucket{le="0.5"}`:                 0.5,
		`x_bucket{le=~"1|1.0"}`:              1,
		`x_bucket{le=~"1|1[.]0|1\\.00"}`:     1,
		`x_bucket{le=~"1(.0)?"}`:             1,
		`x_bucket{le=~"0.3|00.300|3e-1"}`:    0.3,
		`x_bucket{le=~"0.1|0.5"}`:            -1,
		`x_bucket{le=~"[+]Inf|1"}`:           -1,
		`x_bucket{le=~"1|[+]Inf"}`:           -1,
		`x_bucket{le=~"0.*"}`:                -1,
		`x_bucket{le=~".+"}`:                 -1,
		`x_bucket{le=~"[0-9]+"}`:             -1,
		`x_bucket{le!="0.5"}`:                -1,
		`x_bucket{job="a"}`:                  -1,
		`x_bucket{le="fast"}`:                -1,
		`x_bucket{le="0.30000000000000004"}`: 0.30000000000000004,
	} {
		set := loadOne("{events: {good: '" + text + "', total: x_count}}")
		s, _ := set.SLOs[0].Indicator.Measure().(slo.Counters).Good.Plain()
		bound, ok := s.Bound()
		if !ok {
			bound = -1
		}
		require.InDelta(t, want, bound, 0, text)
	}
}

// TestMeasuringALatencyCompilesNothing: it is done often, and for each SLO.
func TestMeasuringALatencyCompilesNothing(t *testing.T) {
	latency := loadOne("{latency: {histogram: x_seconds, threshold: 300ms}}").SLOs[0].Indicator
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() { latency.Measure() }), 15.0)
}
