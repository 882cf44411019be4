package spec

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// TestExclusionsAreHeldAgainstFewSLOs: each of many exclusions held against each of many
// SLOs would take minutes.
func TestExclusionsAreHeldAgainstFewSLOs(t *testing.T) {
	x := sharing{loading: &loading{}}
	for i := range 100 {
		x.slos = append(x.slos, &slo.SLO{
			Service: fmt.Sprintf("s%d", i/10), Name: fmt.Sprintf("a%d", i), Owner: "team", Labels: map[string]string{"tier": fmt.Sprint(i / 50)},
		})
	}
	for _, tt := range []struct {
		match map[string]string
		want  int
	}{
		{nil, 100},
		{map[string]string{"owner": "team"}, 100},
		{map[string]string{"tier": "1"}, 50},
		{map[string]string{"tier": "1", "slo_service": "s7"}, 10},
		{map[string]string{"tier": "1", "slo": "a7"}, 1},
		{map[string]string{"slo_id": "s1/a11"}, 1},
		{map[string]string{"owner": "team", "region": "eu"}, 0},
		{map[string]string{"region": ""}, 100}, // who has none
	} {
		require.Len(t, x.candidates(&shared{match: tt.match}), tt.want, tt.match)
	}
}
