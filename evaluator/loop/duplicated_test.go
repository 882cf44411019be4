package loop_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// TestReplicasThatNobodyConfigured count each event twice: 10 requests a minute are 20.
// The doubt names the label, and is gone when it is configured. Services that are idle
// alike, and pods that are not replicas, are none.
func TestReplicasThatNobodyConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		series  string
		labels  []string
		total   float64
		doubted bool
	}{
		"replicas": {series: `
			requests_total{job="shop",instance="a",code="200",replica="x"} 0+10x180
			requests_total{job="shop",instance="a",code="200",replica="y"} 0+10x180`, total: 1200, doubted: true},
		"replicas that are configured": {series: `
			requests_total{job="shop",instance="a",code="200",replica="x"} 0+10x180
			requests_total{job="shop",instance="a",code="200",replica="y"} 0+10x180`, labels: []string{"replica"}, total: 600},
		"idle ones": {series: `
			requests_total{job="shop",instance="a",code="200",zone="x"} 100+0x180
			requests_total{job="shop",instance="a",code="200",zone="y"} 100+0x180`, total: 0},
		"zones": {series: `
			requests_total{job="shop",instance="a",code="200",zone="x"} 0+10x180
			requests_total{job="shop",instance="a",code="200",zone="y"} 0+11x180`, total: 1260},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(embedded(t, time.Minute, c.series).Handler())
			defer server.Close()
			o := options(server.URL, func() time.Time { return at(240) })
			o.Backends[0].ReplicaLabels = c.labels
			r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(180))
			require.NoError(t, err)
			s := r.SLOs[0]
			require.Equal(t, c.total, s.Windows[1].Total)
			if !c.doubted {
				require.Empty(t, s.Doubts)
				return
			}
			require.Len(t, s.Doubts, 1)
			require.Equal(t, evaluator.DoubtDuplicated, s.Doubts[0].Code)
			require.Contains(t, s.Doubts[0].Message, "write replica_labels: [replica] in the configuration")
		})
	}
}

// TestReplicasOfDeltas: each sample is 3 or 5 events in turns, and comes twice: 60 of 4
// on average, twice.
func TestReplicasOfDeltas(t *testing.T) {
	deltas := strings.Repeat(" 3 5", 91)
	server := httptest.NewServer(embedded(t, time.Minute, `
		sent{job="q",instance="a",replica="x"}`+deltas+`
		sent{job="q",instance="a",replica="y"}`+deltas).Handler())
	defer server.Close()
	r := evaluate(t, server.URL, load(t, "1h", `{events: {type: delta, bad: 'sent{code="500"}', total: sent}}`), at(180))
	require.Equal(t, 480.0, r.SLOs[0].Windows[1].Total)
	require.Len(t, r.SLOs[0].Doubts, 1)
	require.Equal(t, evaluator.DoubtDuplicated, r.SLOs[0].Doubts[0].Code)
}

// TestReplicasOfManySeries are seen by one target: where sums of targets count, and where
// there are too many series to compare all. 3 targets of 334 counters count 1 a minute each,
// twice.
func TestReplicasOfManySeries(t *testing.T) {
	var text strings.Builder
	for _, instance := range []string{"a", "b", "c"} {
		for path := range 334 {
			for _, replica := range []string{"x", "y"} {
				fmt.Fprintf(&text, "requests_total{job=\"shop\",instance=%q,path=\"%d\",code=\"200\",replica=%q} 0+1x80\n", instance, path, replica)
			}
		}
	}
	server := httptest.NewServer(embedded(t, time.Minute, text.String()).Handler())
	defer server.Close()
	for most, method := range map[int]string{100_000: evaluator.MethodRaw, 1000: evaluator.MethodAggregated} {
		o := options(server.URL, func() time.Time { return at(81) })
		o.Backends[0].MaxSeries = most
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(80))
		require.NoError(t, err)
		s := r.SLOs[0]
		require.Equal(t, method, s.Method)
		require.InDelta(t, 2*3*334*60, s.Windows[1].Total, 1)
		require.Equal(t, evaluator.DoubtDuplicated, s.Doubts[0].Code, method)
		require.Contains(t, s.Doubts[0].Message, "write replica_labels: [replica]")
	}
}
