package alerting

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShareIsAllOnlyOfAll: 718 of 720 are 99.72 %.
func TestShareIsAllOnlyOfAll(t *testing.T) {
	for want, ratio := range map[string]float64{
		"100 %": 1, "99.7 %": 718.0 / 720, "99 %": 0.99, "0.28 %": 2.0 / 720, "0 %": 0, "-250 %": -2.5, "1,234 %": 12.34, "-1,234 %": -12.34,
	} {
		require.Equal(t, want, Share(ratio))
	}
}
