package loop_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// answerOf is the answer of a backend, as far as it is broken here.
type answerOf struct {
	Status string `json:"status"`
	Data   struct {
		ResultType string           `json:"resultType"`
		Result     []map[string]any `json:"result"`
	} `json:"data"`
}

// TestAnswersThatCannotBe: what a backend can't have said of one SLO is refused by name,
// counts nothing and ends nothing; the other SLO goes on, and so does this one when the
// answers are right again.
func TestAnswersThatCannotBe(t *testing.T) {
	reverse := func(values []any) []any { slices.Reverse(values); return values }
	shift := func(by float64) func([]any) []any {
		return func(values []any) []any {
			for _, v := range values {
				v.([]any)[0] = v.([]any)[0].(float64) + by
			}
			return values
		}
	}
	for name, tt := range map[string]struct {
		change func([]any) []any
		twice  bool
		reason string
	}{
		"newest first":         {reverse, false, "are out of order: that of 20"},
		"of before":            {shift(-40 * 86400), false, "has a sample of 20"},
		"of later":             {shift(86400), false, "has a sample of 20"},
		"milliseconds":         {func(all []any) []any { return scale(all, 1000) }, false, "which is no number of seconds"},
		"thousands of seconds": {func(all []any) []any { return scale(all, 0.001) }, false, "has a sample of 1970"},
		"twice":                {nil, true, "the answer has the series "},
	} {
		t.Run(name, func(t *testing.T) {
			broken := false
			backend := httptest.NewServer(embedded(t, time.Minute, `
				requests_total{instance="a",code="200"} 0+10x200
				requests_total{instance="a",code="500"} 0+1x200
				other_total{instance="a",code="200"} 0+10x200
				other_total{instance="a",code="500"} 0+1x200`).Handler())
			defer backend.Close()
			p := newProxy(t, backend.URL)
			p.use(backend.URL, func(w http.ResponseWriter, r *http.Request) {
				status, body := ask(r, backend.URL)
				var a answerOf
				if broken && json.Unmarshal(body, &a) == nil && a.Data.ResultType == "matrix" {
					spoil(&a, tt.change, tt.twice)
					body, _ = json.Marshal(a)
				}
				says(status, string(body))(w, r)
			})
			now := at(120).Add(30 * time.Second)
			e := newEvaluator("http://"+p.address, func() time.Time { return now })
			e.SetSLOs(load(t, "1h", events, strings.ReplaceAll(events, "requests", "other")), nil)
			tick := func(minutes int) []evaluator.Status {
				for range minutes {
					e.Tick(t.Context())
					now = now.Add(time.Minute)
				}
				return e.Report().SLOs
			}
			tick(2)
			broken = true
			for _, s := range tick(3) {
				if s.SLO == "slo1" {
					require.Equal(t, evaluator.StateOK, s.State, s.StateReason)
					require.Equal(t, 660.0, s.Windows[1].Total)
					continue
				}
				require.Equal(t, evaluator.StateQueryFailed, s.State)
				require.Contains(t, s.StateReason, tt.reason)
				require.Less(t, len(s.StateReason), 800)
			}
			broken = false
			for _, s := range tick(6) {
				require.Equal(t, evaluator.StateOK, s.State, s.StateReason)
				require.Equal(t, [2]float64{60, 660}, [2]float64{s.Windows[1].Bad, s.Windows[1].Total}, s.SLO)
			}
		})
	}
}

func scale(values []any, by float64) []any {
	for _, v := range values {
		v.([]any)[0] = v.([]any)[0].(float64) * by
	}
	return values
}

// spoil changes what an answer says of requests_total.
func spoil(a *answerOf, change func([]any) []any, twice bool) {
	for _, series := range a.Data.Result {
		metric, values := series["metric"].(map[string]any), series["values"].([]any)
		switch {
		case metric["__name__"] != "requests_total":
		case twice:
			a.Data.Result = append(a.Data.Result, series)
			return
		default:
			series["values"] = change(values)
		}
	}
}

// TestSamplesOfOneInstant are one, the largest.
func TestSamplesOfOneInstant(t *testing.T) {
	backend := httptest.NewServer(embedded(t, time.Minute, `
		requests_total{instance="a",code="200"} 0+10x200
		requests_total{instance="a",code="500"} 0+1x200`).Handler())
	defer backend.Close()
	p := newProxy(t, backend.URL)
	p.use(backend.URL, func(w http.ResponseWriter, r *http.Request) {
		status, body := ask(r, backend.URL)
		var a answerOf
		if json.Unmarshal(body, &a) == nil && a.Data.ResultType == "matrix" {
			spoil(&a, func(values []any) []any {
				var out []any
				for _, v := range values {
					out = append(out, v, []any{v.([]any)[0], "0"})
				}
				return out
			}, false)
			body, _ = json.Marshal(a)
		}
		says(status, string(body))(w, r)
	})
	s := evaluate(t, "http://"+p.address, load(t, "1h", events), at(120)).SLOs[0]
	require.Equal(t, [2]float64{60, 660}, [2]float64{s.Windows[1].Bad, s.Windows[1].Total}, s.StateReason)
}

// TestAFaultEndsNoProcess has an SLO whose counting panics. It is unknown, with the
// reason, and the panic is counted. The other SLOs go on, and its history is reread.
func TestAFaultEndsNoProcess(t *testing.T) {
	backend := httptest.NewServer(embedded(t, time.Minute, `
		requests_total{instance="a",code="200"} 0+10x200
		requests_total{instance="a",code="500"} 0+1x200`).Handler())
	defer backend.Close()
	now := at(120).Add(30 * time.Second)
	o := options(backend.URL, func() time.Time { return now })
	o.Registerer = prometheus.NewRegistry()
	e := loop.New(o)
	e.SetSLOs(load(t, "1h", events, strings.Replace(events, "bad:", "good:", 1)), nil) // one family
	e.Tick(t.Context())
	e.Break("shop/slo0")
	now = now.Add(time.Minute)
	e.Tick(t.Context())
	failed, well := e.Report().SLOs[0], e.Report().SLOs[1]
	require.Equal(t, evaluator.StateQueryFailed, failed.State)
	require.Contains(t, failed.StateReason, "slowburn failed at what the backend answers, please report it: index out of range [7]")
	require.Equal(t, evaluator.StateOK, well.State, well.StateReason)
	require.NoError(t, testutil.GatherAndCompare(o.Registerer.(*prometheus.Registry), strings.NewReader(`
# HELP slowburn_backend_failed_readings_total Readings that a fault of slowburn ended, with the stack in the log.
# TYPE slowburn_backend_failed_readings_total counter
slowburn_backend_failed_readings_total{backend="default"} 1
`), "slowburn_backend_failed_readings_total"))
	e.TakeOver(t.Context())
	now = now.Add(5 * time.Minute) // what fails alone is not tried each minute
	e.Tick(t.Context())
	s := e.Report().SLOs[0]
	require.Equal(t, evaluator.StateOK, s.State, s.StateReason)
	require.Equal(t, [2]float64{60, 660}, [2]float64{s.Windows[1].Bad, s.Windows[1].Total})
}
