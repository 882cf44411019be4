package history

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// fixed is a transport that answers each request with one body.
type fixed []byte

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(f))}, nil
}

// FuzzAnswer decodes answers and counts them by every method. Nothing may panic, and no
// slot may have a negative or an impossible number of events.
func FuzzAnswer(f *testing.F) {
	const to = timeline.Minute(1440 * 365)
	matrix := func(series string) []byte {
		return []byte(`{"status":"success","data":{"resultType":"matrix","result":[` + series + `]}}`)
	}
	f.Add(matrix(`{"metric":{"__name__":"x","job":"a"},"values":[[31535940,"1"],[31535970,"5"],[31536000,"0"]]}`))
	f.Add(matrix(`{"metric":{"__name__":"x"},"values":[[31535970,"1"],[31535940,"2"]]},{"metric":{"__name__":"x","le":"1"},"values":[[31535999.5,"NaN"]]}`))
	f.Add(matrix(`{"metric":{"__name__":"x","le":"0.10"},"values":[[31535940,"1e300"]]},{"metric":{"le":"0.1","__name__":"x"},"values":[[31535940,"+Inf"],[31536000,"-1"]]}`))
	f.Add(matrix(`{"metric":{"__name__":"x"},"histograms":[[31535940,{"count":"3","sum":"1","buckets":[[0,"0.1","0.2","3"]]}],[31535970,{"count":"9","buckets":[[0,"0.1","0.2","9"]]}]]}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e300,"1"]}]}}`))
	f.Add([]byte(`{"status":"success","warnings":["x"],"data":null}{"status":"error","error":"y"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := NewReader(backend.Config{Kind: "prometheus", URL: "http://backend", HTTP: &http.Client{Transport: fixed(body)}, Timeout: time.Minute, MaxConcurrency: 1, TargetLabels: []string{"job"}},
			backend.NewShared(0, 0, nil, time.Now, nil), NewMetrics(nil))
		answer, err := b.Query(t.Context(), "x[1h]", to.Time())
		if err != nil {
			return
		}
		series := b.RawSeries(counting.DropImpossible(answer))
		if counting.FindDuplicate(series) != nil {
			return
		}
		for i := range series {
			series[i].Count(counting.RoleTotal, 1)
			if i%2 == 1 {
				series[i].Count(counting.RoleBad, 1)
			}
		}
		series, _, _ = counting.AddNative(series, b.RawSeries(answer), &slo.Native{Threshold: 0.15})
		series, _ = counting.PairBuckets(series)
		measure := slo.Levels{Op: "<", Value: 3, Absent: true}
		for _, counts := range []counting.Method{
			counters.NewRaw(counting.RoleTotal), counters.NewTargets(counting.RoleTotal), gauges.NewProbe(true), gauges.NewValues(measure), gauges.NewIncrements(counting.RoleTotal, true),
			gauges.NewIncrements(counting.RoleTotal, false), gauges.NewRuns(slo.Runs{Every: time.Hour, Grace: time.Minute}), &gauges.Rates{Clock: counting.RoleTotal},
		} {
			for at := to - 60; at < to; at += 20 {
				found := counts.Clone().Feed(series, at, at+20)
				for _, n := range found.Total {
					require.True(t, n >= 0 && n <= 2*backend.MaxCount, n)
				}
				counts.Feed(series, at, at+20)
				counts.Forget((at + 20).Millis(), at.Millis())
			}
		}
	})
}
