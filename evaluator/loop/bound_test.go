package loop_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// TestABoundIsWrittenAnewWhileServing: 10 requests a minute of which 1 is slow, by
// texts of one bound that change each 20 minutes, the last to one that is not asked for.
func TestABoundIsWrittenAnewWhileServing(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	const sample = `
		latency_seconds_bucket{job="shop",instance="a",le="%s"} %s
		latency_seconds_bucket{job="shop",instance="a",le="+Inf"} 1000+10x%d
		latency_seconds_count{job="shop",instance="a"} 1000+10x%d`
	require.NoError(t, db.Load(t.Context(), begin.Add(-2*time.Hour), time.Minute, fmt.Sprintf(sample, "0.3", "900+9x140", 200, 200)))
	require.NoError(t, db.Load(t.Context(), begin.Add(-2*time.Hour), time.Minute, `latency_seconds_bucket{job="shop",instance="a",le="00.300"} _x141 2169+9x19`))
	require.NoError(t, db.Load(t.Context(), begin.Add(-2*time.Hour), time.Minute, `latency_seconds_bucket{job="shop",instance="a",le="30e-2"} _x161 2349+9x39`))
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.NewJudge = nil
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", latency), nil)
		defer run(t, e)()
		for m := 1; m <= 75; m++ {
			until(begin.Add(time.Duration(m)*time.Minute + 35*time.Second))
			s := e.Report().SLOs[0]
			require.Equal(t, evaluator.StateOK, s.State, "at %d: %s", m, s.StateReason)
			own := s.Windows[len(s.Windows)-1]
			require.Equal(t, [3]float64{60, 600, 1}, [3]float64{own.Bad, own.Total, own.Coverage}, "at %d", m)
		}
	})
}

// TestABoundInTwoTextsInSums counts it once by the sums of targets too, and goes on.
func TestABoundInTwoTextsInSums(t *testing.T) {
	db := embedded(t, time.Minute, `
		latency_seconds_bucket{job="shop",instance="a",le="0.3"} 0+9x100
		latency_seconds_bucket{job="shop",instance="a",le="0.30"} _x60 540+9x60
		latency_seconds_bucket{job="shop",instance="a",le="+Inf"} 0+10x120
		latency_seconds_count{job="shop",instance="a"} 0+10x120`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(121) })
	o.Backends[0].Method = evaluator.MethodAggregated
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", latency), at(120))
	require.NoError(t, err)
	own := r.SLOs[0].Windows[1]
	require.Equal(t, [3]float64{60, 600, 1}, [3]float64{own.Bad, own.Total, own.Coverage})
}

// TestTwoReplicasOfOneBucket: two that scrape the same process at different times and
// write its bound in two ways, with and without a label that tells them apart.
func TestTwoReplicasOfOneBucket(t *testing.T) {
	for name, tt := range map[string]struct {
		counts, labels []string // of the replicas
	}{
		"by a label":        {[]string{"a", "b"}, []string{`,replica="a"`, `,replica="b"`}},
		"of one, the first": {[]string{"a"}, []string{"", ""}},
		"of one, the other": {[]string{"b"}, []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			db := embedded(t, time.Minute, ``)
			load2 := func(replica int, delay time.Duration, series string) {
				label := tt.labels[replica]
				require.NoError(t, db.Load(t.Context(), start.Add(delay), time.Minute, fmt.Sprintf(series, label)))
			}
			for i, name := range []string{"a", "b"} {
				delay := time.Duration(i*20) * time.Second
				load2(i, delay, fmt.Sprintf(`latency_seconds_bucket{job="shop",instance="a",le="%s"%%s} 0+9x120`, []string{"0.3", "0.30"}[i]))
				for _, c := range tt.counts {
					if c == name {
						load2(i, delay, `latency_seconds_count{job="shop",instance="a"%s} 0+10x120`)
					}
				}
			}
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			o := options(server.URL, func() time.Time { return at(121) })
			o.Backends[0].ReplicaLabels = []string{"replica"}
			r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", latency), at(120))
			require.NoError(t, err)
			own := r.SLOs[0].Windows[1]
			require.Equal(t, [3]float64{60, 600, 1}, [3]float64{own.Bad, own.Total, own.Coverage})
		})
	}
}
