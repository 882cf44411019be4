package history

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// TestLasting checks that values last longer where samples come seldom, and nowhere else.
func TestLasting(t *testing.T) {
	const minute = 60_000
	usual := map[string]int64{
		`slow`:                        15 * minute,
		`{__name__="slow.too",x="a"}`: 5 * minute,
		`often`:                       minute / 2,
	}
	for expr, want := range map[string]string{
		`slow`:                        `last_over_time(slow[31m30s])`,
		`slow offset 1h`:              `last_over_time(slow[31m30s] offset 1h)`,
		`max(slow) / max(often)`:      `max(last_over_time(slow[31m30s])) / max(often)`,
		`slow/slow`:                   `last_over_time(slow[31m30s])/last_over_time(slow[31m30s])`,
		`absent(slow)`:                `absent(last_over_time(slow[31m30s]))`,
		`time() - timestamp(slow)`:    `time() - timestamp(slow)`,
		`rate(slow[1h])`:              `rate(slow[1h])`,
		`max_over_time(slow[1h:15m])`: `max_over_time(last_over_time(slow[31m30s])[1h:15m])`,
		`sum({"slow.too",x="a"}) # b`: `sum(last_over_time({__name__="slow.too",x="a"}[10m30s])) # b`,
		`often > 3 and unknown`:       `often > 3 and unknown`,
	} {
		require.Equal(t, want, lasting(expr, InstantSelectors(expr), usual), expr)
	}
}

// TestUsualTime checks the median of the series with the most samples, which is rounded
// to minutes if it is longer.
func TestUsualTime(t *testing.T) {
	const minute = 60_000
	series := func(times ...int64) backend.Series {
		var v backend.Series
		for _, at := range times {
			v.Samples = append(v.Samples, backend.Sample{T: at})
		}
		return v
	}
	slow := series(15*minute, 30*minute, 45*minute+5_000, 75*minute) // one is missing
	for name, tt := range map[string]struct {
		of   []backend.Series
		want int64
	}{
		"none":                {nil, 0},
		"two":                 {[]backend.Series{series(minute, 2*minute)}, 0},
		"each 15 minutes":     {[]backend.Series{slow}, 15 * minute},
		"before the time":     {[]backend.Series{series(-90*minute, -60*minute, -30*minute, 0)}, 0},
		"a crash loop":        {[]backend.Series{series(minute, minute+30_000, 16*minute, 16*minute+30_000, 31*minute, 31*minute+30_000)}, 30_000},
		"one beside, seldom":  {[]backend.Series{series(10*minute, 40*minute, 70*minute), slow}, 15 * minute},
		"the same, reversed":  {[]backend.Series{slow, series(10*minute, 40*minute, 70*minute)}, 15 * minute},
		"equal ones":          {[]backend.Series{slow, series(0, minute, 2*minute, 3*minute, 4*minute)}, minute},
		"more than an hour":   {[]backend.Series{series(minute, 70*minute, 139*minute)}, 0},
		"an hour, each later": {[]backend.Series{series(minute, 63*minute, 127*minute)}, 60 * minute}, // 62 and 64 minutes
		"an hour with jitter": {[]backend.Series{series(minute, 61*minute+20_000, 121*minute)}, 60 * minute},
	} {
		require.Equal(t, tt.want, usualIn(tt.of, 0, 240*minute), name)
	}
}
