package plan

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestSliceWithoutTotalIsBad checks that a slice with bad events alone is bad.
func TestSliceWithoutTotalIsBad(t *testing.T) {
	target, err := slo.ParseObjective("95")
	require.NoError(t, err)
	p := &Plan{Slice: &slo.Slice{Target: target}}
	total, bad := p.SliceEvent(timeline.Slot{Bad: 3}, true, false)
	require.Equal(t, [2]float64{1, 1}, [2]float64{total, bad})
	require.Equal(t, timeline.Slot{Total: 1, Bad: 1, Known: true}, asEvent(timeline.Slot{Bad: 3, Known: true}, target))
}
