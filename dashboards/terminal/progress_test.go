package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share float64
		width int
		want  string
	}{
		{0, 100, "Reading history  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░    0 %"},
		{0.5, 80, "Reading history  ███████████████░░░░░░░░░░░░░░░   50 %"},
		{0.999, 80, "Reading history  █████████████████████████████░   99 %"},
		{0.37, 35, "Reading history  ███░░░░░░░   37 %"}, // 34 characters
		{0.37, 29, "Reading 37 %"},
		{0.37, 8, "Reading"},
		{0.37, 0, ""},
	} {
		require.Equal(t, c.want, progressLine(c.share, c.width))
	}
}

// TestProgressIsRemoved expects an empty line when all is read, and when it is stopped before.
func TestProgressIsRemoved(t *testing.T) {
	t.Parallel()
	const half = "\rReading history  ██░░░   50 %"
	removed := "\r" + strings.Repeat(" ", 29) + "\r"
	for _, shares := range [][]float64{{0.5, 0.6, 1}, {0.5, 0.6}} {
		var out strings.Builder
		ticks, done := make(chan time.Time, len(shares)), make(chan struct{})
		next := 0
		share := func() float64 {
			if next++; next == len(shares) {
				close(done)
			}
			return shares[next-1]
		}
		for range shares {
			ticks <- time.Time{}
		}
		drawProgress(&out, func() int { return 30 }, share, ticks, done)
		require.Equal(t, half, out.String()[:len(half)])
		require.Equal(t, removed, out.String()[out.Len()-len(removed):])
	}
}
