package terminal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
)

// TestFindingsWithoutChecks expects the counts also where no query checks them, as for
// native histograms.
func TestFindingsWithoutChecks(t *testing.T) {
	at := time.Unix(0, 0)
	finding := counting.Finding{Time: at, Kind: counting.FindReset, Series: map[string]string{"__name__": "x_seconds_bucket"}, Counts: []string{"good"}, Events: 3}
	b := &proofPage{}
	b.findings(&explain.Proof{Findings: explain.Findings{
		Kinds: []explain.KindSummary{{Kind: counting.FindReset, Count: 1, Events: map[string]float64{"good": 3, "total": 8}}},
		List:  []counting.Finding{finding},
	}})
	require.Regexp(t, `FOUND +KIND +GOOD +TOTAL +MEANING\s+1 +reset +3 +8 +it fell`, b.String())
}
