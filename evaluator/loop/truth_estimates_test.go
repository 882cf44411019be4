package loop_test

import (
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
)

// TestEvaluatedBurstsAgainstTheTruth holds an expression that is evaluated each
// minute over two against bursts of 20 s, one an hour at a second by chance.
//
// In two minutes lie four scrapes, 30 s apart, and three deltas between them, of
// which rate() makes 120/90 as many events in two minutes, or 2/3 of their sum in
// one. So of two neighbouring deltas one counts twice, as 4/3, and the other once,
// as 2/3: each delta d by chance as d+d/3 or d-d/3. The sum of these errors has a
// standard deviation of a third of the root of the sum of d*d, and exceeds four
// of them once in 16,000 times.
func TestEvaluatedBurstsAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := end.Add(-8 * 24 * time.Hour)
	rng := rand.New(rand.NewPCG(17, 19))
	burst := map[int64]bool{}
	for hour := range int64(8 * 24) {
		begin := hour*3600 + rng.Int64N(3580)
		for s := range int64(20) {
			burst[begin+s] = true
		}
	}
	in := func(then, otherwise float64) func(truth.Time) float64 {
		return func(at truth.Time) float64 {
			if burst[at.Now] {
				return then
			}
			return otherwise
		}
	}
	w := truth.Simulate(truth.Service{Job: "bursts", Interval: 30, Instances: 1, Rate: in(50, 1), Bad: in(0.6, 0)}, start, end)
	db := database(t)
	store(t, db, w)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
	o.Windows = truthWindows
	r, err := loop.New(o).EvaluateAt(t.Context(), slosOf(t,
		`{name: bursts, window: 7d, sli: {events: {bad: 'max(rate(requests_total{code="500"}[$window]))', total: 'max(rate(requests_total[$window]))'}}}`), end)
	require.NoError(t, err)
	s := r.SLOs[0]
	require.Equal(t, [2]any{evaluator.MethodEvaluated, false}, [2]any{s.Method, s.Exact})
	for _, win := range s.Windows[1:] { // an hour has one burst
		_, bad := w.Events(win.Start, win.End)
		squares, weighted := 0.0, 0.0
		for _, series := range w.Series {
			if series.Labels.Get("code") != "500" {
				continue
			}
			for i, x := range series.Samples[1:] {
				d := x.V - series.Samples[i].V
				before, at := time.UnixMilli(series.Samples[i].T), time.UnixMilli(x.T)
				if at.After(win.Start) && !at.After(win.End) {
					squares += d * d
				}
				for minute := at.Add(time.Minute - 1).Truncate(time.Minute); before.After(minute.Add(-2 * time.Minute)); minute = minute.Add(time.Minute) {
					if minute.After(win.Start) && !minute.After(win.End) {
						weighted += d * 2 / 3
					}
				}
			}
		}
		t.Logf("%s: bad %.1f, truth %.0f", win.Name, win.Bad, bad)
		require.InDelta(t, bad, win.Bad, 4*math.Sqrt(squares)/3, win.Name)
		require.InDelta(t, weighted, win.Bad, 1, "as rate() says of each minute, over %s", win.Name)
		require.Greater(t, bad, 1000.0, "the simulation lacks trouble")
	}
}

// scraped is a native histogram of the client library as Prometheus scrapes it.
func scraped(t *testing.T, h prometheus.Histogram) *histogram.Histogram {
	t.Helper()
	var m dto.Metric
	require.NoError(t, h.Write(&m))
	from := m.GetHistogram()
	out := &histogram.Histogram{
		Schema: from.GetSchema(), ZeroThreshold: from.GetZeroThreshold(), ZeroCount: from.GetZeroCount(),
		Count: from.GetSampleCount(), Sum: from.GetSampleSum(), PositiveBuckets: from.GetPositiveDelta(),
	}
	for _, s := range from.GetPositiveSpan() {
		out.PositiveSpans = append(out.PositiveSpans, histogram.Span{Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return out
}

// TestExponentialBucketsAgainstTheTruth has what the client library makes of
// durations: of processes of which one restarts after a scrape, and of one whose
// buckets are merged as they get too many, until their boundaries are powers of
// four. On a boundary each event counts. 500 ms is none of the last, so that the
// minute in which they come is unknown. 300 ms lies within a bucket from 2^(-14/8)
// to 2^(-13/8), that is 297 to 324 ms, in which log2(300 ms) tells the share.
func TestExponentialBucketsAgainstTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 29))
	db := database(t)
	app := db.Appender(t.Context())
	made := func(buckets uint32) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: buckets})
	}
	fine, coarse := made(0), made(12)
	slower := map[float64]float64{0.25: 0, 2: 0, math.Exp2(-14.0 / 8): 0, math.Exp2(-13.0 / 8): 0}
	total, schemas := 0.0, map[int32]bool{}
	fine.Observe(0.31)
	for m := range 61 {
		for i := 0; m > 0 && i < 50; i++ {
			d := math.Exp(rng.NormFloat64()*float64(m)/40 - 1.2)
			if i == 0 {
				d = 0.31 // what begins to be an estimate does not compare
			}
			fine.Observe(d)
			coarse.Observe(d)
			total++
			for threshold := range slower {
				if d > threshold {
					slower[threshold]++
				}
			}
		}
		for name, h := range map[string]prometheus.Histogram{"fine_seconds": fine, "coarse_seconds": coarse} {
			x := scraped(t, h)
			if name == "coarse_seconds" {
				schemas[x.Schema] = true
			}
			l := labels.FromStrings(model.MetricNameLabel, name, "job", "shop", "instance", "a")
			_, err := app.AppendHistogram(0, l, at(m).UnixMilli(), x, nil)
			require.NoError(t, err)
		}
		if m == 40 {
			fine = made(0)
		}
	}
	require.NoError(t, app.Commit())
	require.Equal(t, map[int32]bool{3: true, 2: true, 1: true, 0: true, -1: true}, schemas, "buckets were merged")
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	r := evaluate(t, server.URL, slosOf(t,
		`{name: a, sli: {latency: {histogram: fine_seconds, threshold: 250ms}}}`,
		`{name: b, sli: {latency: {histogram: fine_seconds, threshold: 2s}}}`,
		`{name: c, sli: {latency: {histogram: coarse_seconds, threshold: 250ms}}}`,
		`{name: d, sli: {latency: {histogram: fine_seconds, threshold: 300ms}}}`,
		`{name: e, sli: {latency: {histogram: coarse_seconds, threshold: 0.5s}}}`), at(60))
	for i, threshold := range []float64{0.25, 2, 0.25} {
		requireCounts(t, r.SLOs[i], slower[threshold], total, 1)
		require.True(t, r.SLOs[i].Exact)
	}
	require.False(t, r.SLOs[3].Exact)
	above, below := slower[math.Exp2(-14.0/8)], slower[math.Exp2(-13.0/8)]
	require.InDelta(t, above-(above-below)*(math.Log2(0.3)*8+14), r.SLOs[3].Windows[1].Bad, 0.1)
	require.Equal(t, total, r.SLOs[3].Windows[1].Total)
	require.False(t, r.SLOs[4].Exact)
	require.Equal(t, total-50, r.SLOs[4].Windows[1].Total)
	require.InDelta(t, 59.0/60, r.SLOs[4].Windows[1].Coverage, 1e-12)
}
