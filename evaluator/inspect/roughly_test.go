package inspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRoughly has the largest unit of which there are two, and never nothing.
func TestRoughly(t *testing.T) {
	for d, text := range map[time.Duration]string{
		20 * time.Second: "1m", 95 * time.Minute: "95m", 5*time.Hour + time.Minute: "5h", 26 * time.Hour: "26h", 73 * time.Hour: "3d",
	} {
		require.Equal(t, text, roughly(d))
	}
}
