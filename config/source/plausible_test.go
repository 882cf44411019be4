package source

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPlausible: who makes a commit says when, and a year that JSON can't write would
// keep the whole report from being read.
func TestPlausible(t *testing.T) {
	fine := time.Date(2200, 12, 31, 23, 59, 59, 0, time.UTC)
	require.Equal(t, fine, plausible(fine))
	require.Zero(t, plausible(fine.Add(time.Second)))
	require.Zero(t, plausible(time.Unix(1<<40, 0).UTC()))
	require.Zero(t, plausible(time.Unix(-1, 0).UTC()))
}
