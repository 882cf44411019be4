package humanize

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plainSpaces makes the expected texts readable.
func plainSpaces(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r == '\u00a0' {
			out[i] = ' '
		}
	}
	return string(out)
}

func TestSLIPercent(t *testing.T) {
	for _, c := range []struct {
		sli, objective float64
		want           string
	}{
		{0.99871, 0.999, "99.871 %"},
		{0.9931, 0.99, "99.31 %"},
		{0.99, 0.99, "99.00 %"},
		{0.98996, 0.99, "98.996 %"}, // two decimals would say 99.00
		{0.9989999, 0.999, "99.89999 %"},
		{0.9999999, 0.999, "99.99999 %"}, // not 100
		{1, 0.999, "100 %"},
		{0, 0.9, "0.00 %"},
		{0.5, 0.005, "50.000 %"},
	} {
		require.Equal(t, c.want, plainSpaces(SLI(&c.sli, c.objective)))
	}
	require.Equal(t, "–", SLI(nil, 0.999))
}

func TestRatioPercent(t *testing.T) {
	for ratio, want := range map[float64]string{0.999: "99.9", 0.5: "50", 0.05: "5", 0.005: "0.5", 0.99999999999: "99.999999999"} {
		require.Equal(t, want, Objective(ratio))
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0.7682, "77 %"}, {-0.29, "−29 %"}, {-12.345, "−1,234 %"}, {1, "100 %"}, {0, "0 %"}, {0.05, "5 %"},
		{0.0512, "5.1 %"}, {-0.004, "−0.4 %"}, {0.9996, "99.96 %"}, {0.00004, "0.004 %"}, {-0.00001, "−0.001 %"},
		{0.99999, "99.999 %"}, {0.9999999999999998, "100 %"},
	} {
		require.Equal(t, c.want, plainSpaces(Percent(&c.v)), c.v)
	}
	require.Equal(t, "–", Percent(nil))
}

func TestBurnRateAndCount(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{{18.06, "18.1"}, {0, "0"}, {0.001, "<0.01"}, {0.04, "0.04"}, {0.4, "0.4"}, {99.96, "100"}, {1234.5, "1,234"}} {
		require.Equal(t, c.want, BurnRate(&c.v))
	}
	require.Equal(t, "–", BurnRate(nil))
	for v, want := range map[float64]string{48160: "48,160", 103678.85: "103,679", 12.34: "12.3", 0.25: "0.25", 1e9: "1,000,000,000", 999: "999"} {
		require.Equal(t, want, Count(v))
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		106 * time.Hour: "4 d 10 h", 24 * time.Hour: "1 d", 3*time.Hour + 20*time.Minute: "3 h 20 min",
		42 * time.Second: "42 s", 90 * time.Second: "1 min 30 s", 0: "0 s", 24*time.Hour + 59*time.Minute: "1 d",
	} {
		require.Equal(t, want, plainSpaces(Duration(d)))
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 4, 0, 0, time.UTC)
	for text, at := range map[string]time.Time{
		"14:02":            time.Date(2026, 11, 22, 15, 2, 0, 0, time.FixedZone("CET", 3600)),
		"Tue 09:30":        time.Date(2026, 11, 17, 9, 30, 0, 0, time.UTC),
		"12 Nov 09:30":     time.Date(2026, 11, 12, 9, 30, 0, 0, time.UTC),
		"2025-11-22 14:02": time.Date(2025, 11, 22, 14, 2, 0, 0, time.UTC),
		"23 Nov 01:00":     time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC),
	} {
		require.Equal(t, text, NewMoment(&at, now).Text)
	}
	require.Nil(t, NewMoment(nil, now))
	require.Nil(t, NewMoment(&time.Time{}, now))
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-11-22T06:00:00Z", "2026-11-22T07:00:00+01:00", "1795327200"} {
		at, err := ParseTime(text)
		require.NoError(t, err)
		require.True(t, want.Equal(at), text)
	}
	for _, text := range []string{"", "now", "2026-11-22", "2026-11-22T06:00Z", "1795327200.5", "99999999999999999999", "9223372036854775807", "-9223372036854775808", "1e9"} {
		_, err := ParseTime(text)
		require.Error(t, err, text)
	}
}

func TestTextsOfMessages(t *testing.T) {
	require.Equal(t, "1,234,567.8", Decimal(1234567.801))
	require.Equal(t, "-1,234.5", Decimal(-1234.5))
	require.Equal(t, "20", Decimal(20))
	require.Equal(t, "1234.568", Precise(1234.5678))
	require.Equal(t, "1 SLO", Plural(1, "SLO"))
	require.Equal(t, "1,200 SLOs", Plural(1200, "SLO"))
	require.Equal(t, "0 SLOs", Plural(0, "SLO"))
	require.Equal(t, []string{"once", "2 times"}, []string{Times(1), Times(2)})
	require.Equal(t, "2026-11-22 13:02 UTC", Minute(time.Date(2026, 11, 22, 14, 2, 59, 0, time.FixedZone("CET", 3600))))
}
