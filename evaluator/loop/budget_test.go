package loop_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// A budget of samples slows the reading of history down, and no cycle.
func TestABudgetOfSamples(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := servers.Embedded(t)
	// 8 d of two counters with a sample each 20 s are 69,120 samples, and half an hour of them at 40 a second.
	var samples []memprom.Sample
	for at := begin.Add(-8 * 24 * time.Hour); at.Before(begin.Add(2 * time.Hour)); at = at.Add(20 * time.Second) {
		samples = append(samples, memprom.Sample{Time: at, Value: float64(at.Unix() / 20)})
	}
	for _, code := range []string{"200", "500"} {
		require.NoError(t, db.Add(t.Context(), labels.FromStrings("__name__", "often_total", "job", "shop", "code", code), samples...))
	}
	set := spec.Load([]spec.File{{Name: "budget.yaml", Text: []byte(`
apiVersion: slowburn/v1
service: shop
slos: [{name: events, window: 7d, objective: 99, sli: {events: {bad: 'often_total{code="500"}', total: often_total}}}]
`)}})
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.Backends[0].MaxSamplesPerSecond = 40
		o.NewJudge = nil
		l := loop.New(o)
		l.SetSLOs(set.SLOs, nil)
		defer run(t, l)()
		until(begin.Add(25*time.Minute + 31*time.Second))
		require.Equal(t, evaluator.StateWarming, l.Report().SLOs[0].State)
		require.Equal(t, begin.Add(25*time.Minute).UTC(), l.Report().EvaluatedAt, "cycles go on")
		require.Less(t, l.Progress(), 1.0)
		until(begin.Add(35*time.Minute + 31*time.Second))
		require.Equal(t, evaluator.StateOK, l.Report().SLOs[0].State)
	})
}
