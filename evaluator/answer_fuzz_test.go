package evaluator

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/slo"
)

// fixed is a transport that answers each request with one body.
type fixed []byte

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(f))}, nil
}

// FuzzAnswer decodes answers, and counts what they hold in every way: nothing panics, and
// of each slot there are as many events as it has, none less than nothing.
func FuzzAnswer(f *testing.F) {
	const to = Minute(1440 * 365)
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
		b := newReader(Backend{Kind: "prometheus", URL: "http://backend", HTTP: &http.Client{Transport: fixed(body)}, Timeout: time.Minute, MaxConcurrency: 1, TargetLabels: []string{"job"}},
			newClientOptions(0, 0, nil, time.Now, nil), newReaderMetrics(nil))
		answer, err := b.query(t.Context(), "x[1h]", to.Time())
		if err != nil {
			return
		}
		series := b.rawSeries(counts(answer))
		if doubled(series) != nil {
			return
		}
		for i := range series {
			series[i].count(roleTotal, 1)
			if i%2 == 1 {
				series[i].count(roleBad, 1)
			}
		}
		series, _, _ = addNative(series, b.rawSeries(answer), &slo.Native{Threshold: 0.15})
		series, _ = paired(series)
		measure := slo.Levels{Good: func(_ time.Time, v float64) bool { return v < 3 }, Absent: true}
		for _, counts := range []accounts{
			newCounter(roleTotal), newAggregate(roleTotal), newProbe(true), newLevels(measure), newIncrements(roleTotal, true),
			newIncrements(roleTotal, false), newRuns(slo.Runs{Every: time.Hour, Grace: time.Minute}), &rates{roleTotal},
		} {
			for at := to - 60; at < to; at += 20 {
				found := counts.clone().feed(series, at, at+20)
				for _, n := range found.total {
					require.True(t, n >= 0 && n <= 2*maxCount, n)
				}
				counts.feed(series, at, at+20)
				counts.forget((at + 20).millis(), at.millis())
			}
		}
	})
}
