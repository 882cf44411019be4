package loop

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProgressInTheLog comes each 30 s, not at once, only when there is any, and
// ends with a word.
func TestProgressInTheLog(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	var log strings.Builder
	e := &state{Loop: &Loop{Options: Options{
		Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}})),
	}}}
	for second := range 200 {
		switch second {
		case 1: // nothing is to be read before
			e.progress.of.Store(300)
		case 40:
			e.progress.read.Store(100)
		case 180:
			e.progress.read.Store(300)
		}
		e.logProgress()
		now = now.Add(time.Second)
	}
	require.Equal(t, "msg=\"Reading history\" percent=0\nmsg=\"Reading history\" percent=33\nmsg=\"All history is read\"\n", log.String())
}
