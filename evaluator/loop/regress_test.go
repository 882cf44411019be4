package loop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// values writes those of a series in the notation of memprom, none for one below
// zero.
func values(n int, f func(i int) float64) string {
	var b strings.Builder
	for i := range n {
		if v := f(i); v < 0 {
			b.WriteString(" _")
		} else {
			fmt.Fprintf(&b, " %.0f", v)
		}
	}
	return b.String()
}

// counted is the SLO's own window at the end of an hour.
func counted(t *testing.T, method, series string, change func(*backend.Config)) evaluator.WindowStatus {
	t.Helper()
	server := httptest.NewServer(embedded(t, time.Minute, series).Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(120) })
	o.Backends[0].Method = method
	if change != nil {
		change(&o.Backends[0])
	}
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(60))
	require.NoError(t, err)
	require.NotEqual(t, evaluator.StateQueryFailed, r.SLOs[0].State, r.SLOs[0].StateReason)
	return r.SLOs[0].Windows[1]
}

// TestReplicasThatAreNotEquallyLate scrape each a second after the other, and one
// sees what the process counted six seconds before. A restart in the middle.
func TestReplicasThatAreNotEquallyLate(t *testing.T) {
	db := servers.Embedded(t)
	for replica, late := range map[string]int{"a": 0, "b": 6} {
		var samples []memprom.Sample
		for s := late / 6; s <= 3600; s += 30 {
			v := 10 * (1_000_000 + s - late)
			if s-late >= 1815 {
				v = 10 * (s - late - 1815)
			}
			samples = append(samples, memprom.Sample{Time: start.Add(time.Duration(s) * time.Second), Value: float64(v)})
		}
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", "i", "code", "200", "replica", replica)
		require.NoError(t, db.Add(t.Context(), l, samples...))
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(120) })
	o.Backends[0].ReplicaLabels = []string{"replica"}
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(60))
	require.NoError(t, err)
	// 1,800 s until the last scrape before the restart, and 1,785 s since it.
	require.Equal(t, 10*(1800.0+1785), r.SLOs[0].Windows[1].Total)
	require.Equal(t, 1.0, r.SLOs[0].Windows[1].Coverage)
}

// TestAReplicaLabelThatAnSLOSelectsBy is a mistake that is told, and not counted.
func TestAReplicaLabelThatAnSLOSelectsBy(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="500"} 0+1x60`).Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(120) })
	o.Backends[0].ReplicaLabels = []string{"code"}
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(60))
	require.NoError(t, err)
	require.Equal(t, evaluator.StateQueryFailed, r.SLOs[0].State)
	require.Equal(t, `requests_total{code="500"} selects by code, one of the backend's replica_labels, of which any is as good as the other`, r.SLOs[0].StateReason)
}

// TestStartTimes: one in the future is a wrong clock, and proves nothing; one that
// moved proves a restart that the counter doesn't show.
func TestStartTimes(t *testing.T) {
	old := func(i int) float64 { return float64(1_000_000 + 10*i) }
	for _, method := range []string{"raw", "aggregated"} {
		got := counted(t, method, `requests_total{job="shop",instance="a",code="200"}`+values(61, func(i int) float64 {
			if i < 30 {
				return -1
			}
			return old(i)
		})+fmt.Sprintf("\nprocess_start_time_seconds{job=\"shop\",instance=\"a\"} %d+0x60", start.Unix()+86400), nil)
		require.Equal(t, 300.0, got.Total, "%s: ten a minute since it is scraped", method)
	}
	got := counted(t, "raw", `requests_total{job="shop",instance="a",code="200"}`+values(61, func(i int) float64 {
		if i < 30 {
			return 1000
		}
		return 980
	})+`
process_start_time_seconds{job="shop",instance="a"}`+values(61, func(i int) float64 {
		return float64(start.Unix()) - 9000 + 10770*float64(i/30) // half a minute before it is seen
	}), nil)
	require.Equal(t, 980.0, got.Total)
}

// TestATargetOfSeveralProcesses: when one of them restarts, its sums don't count
// what the others did before.
func TestATargetOfSeveralProcesses(t *testing.T) {
	text := ""
	for pod := range 3 {
		restarted := func(i int) bool { return pod == 2 && i >= 30 }
		text += fmt.Sprintf(`requests_total{job="shop",pod="%d",code="200"}`, pod) + values(61, func(i int) float64 {
			if restarted(i) {
				return float64(10 * (i - 30))
			}
			return float64(1_000_000 + 10*i)
		}) + fmt.Sprintf("\nprocess_start_time_seconds{job=\"shop\",pod=\"%d\"}", pod) + values(61, func(i int) float64 {
			if restarted(i) {
				return float64(start.Unix() + 1790)
			}
			return float64(start.Unix() - 1e6)
		}) + "\n"
	}
	got := counted(t, "aggregated", text, func(b *backend.Config) { b.TargetLabels = []string{"job"} })
	require.LessOrEqual(t, got.Total, 1800.0)
	require.GreaterOrEqual(t, got.Total, 1800.0-30)
}

// TestAWindowThatIsNoWholeNumberOfQuarters, with a gap in it.
func TestAWindowThatIsNoWholeNumberOfQuarters(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="200"}`+values(200, func(i int) float64 {
		if i >= 60 && i < 95 {
			return -1
		}
		return float64(i)
	})).Handler())
	defer server.Close()
	for _, window := range []string{"61m", "100m", "119m"} {
		for m := 62; m < 200; m++ {
			r, err := loop.New(options(server.URL, func() time.Time { return at(300) })).EvaluateAt(t.Context(), load(t, window, events), at(m))
			require.NoError(t, err)
			require.NotEqual(t, evaluator.StateQueryFailed, r.SLOs[0].State)
		}
	}
}

// TestNothingEndsThatIsNotKnown: a budget that is unknown has no end.
func TestNothingEndsThatIsNotKnown(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="500"} 0+10x60`).Handler())
	defer server.Close()
	s := evaluate(t, server.URL, load(t, "1h", events), at(180)).SLOs[0]
	require.Equal(t, evaluator.StateNoData, s.State)
	require.Nil(t, s.Budget.Remaining)
	require.Nil(t, s.Budget.ExhaustedInSeconds)
}

// TestABackendThatRefusesTheNewestMinutes is not asked for ever.
func TestABackendThatRefusesTheNewestMinutes(t *testing.T) {
	db := embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="200"} 0+10x200`).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.FormValue("query"); strings.Contains(q, "[") && !strings.HasSuffix(q, "[1m]") {
			says(422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`)(w, r)
			return
		}
		db.ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := loop.New(options(server.URL, func() time.Time { return at(200) })).EvaluateAt(ctx, load(t, "1h", events), at(190))
	require.NoError(t, err)
	require.Equal(t, evaluator.StateQueryFailed, r.SLOs[0].State)
	require.Contains(t, r.SLOs[0].StateReason, "too many samples")
}

// TestCatchingUp after an hour without the backend, in one piece or in many, gives
// the numbers of a process that starts then.
func TestCatchingUp(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := hundred(t, begin.Add(-31*time.Hour), begin.Add(3*time.Hour))
	for _, most := range []int{50_000_000, 4000} {
		synctest.Test(t, func(t *testing.T) {
			down := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if now := time.Since(begin); now > 10*time.Minute && now < 70*time.Minute {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				db.Handler().ServeHTTP(w, r)
			})
			text := func(r *evaluator.Report) string {
				out, err := json.Marshal(r)
				require.NoError(t, err)
				return string(out)
			}
			fresh := func(h http.Handler) *loop.Loop {
				o := live(slog.New(slog.DiscardHandler), h)
				o.NewJudge, o.Windows, o.Backends[0].MaxSamples = nil, truthWindows, most
				return loop.New(o)
			}
			e := fresh(down)
			e.SetSLOs(load(t, "6h", events), nil)
			defer run(t, e)()
			until(begin.Add(80*time.Minute + 35*time.Second))
			require.Equal(t, evaluator.StateOK, e.Report().SLOs[0].State)
			r, err := fresh(db.Handler()).EvaluateAt(t.Context(), load(t, "6h", events), e.Report().EvaluatedAt)
			require.NoError(t, err)
			require.Equal(t, text(r), text(e.Report()), "at most %d samples", most)
		})
	}
}

// TestAStartTimeThatIsNotAnswered is asked again, and no slot counts twice.
func TestAStartTimeThatIsNotAnswered(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	for instance, since := range map[string]time.Time{"a": begin.Add(-31 * time.Hour), "b": begin.Add(20 * time.Minute)} {
		var samples []memprom.Sample
		for at := since.Add(10 * time.Second); at.Before(begin.Add(time.Hour)); at = at.Add(2 * time.Minute) {
			samples = append(samples, memprom.Sample{Time: at, Value: 77 + 10*float64(len(samples))})
		}
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", instance, "code", "200")
		require.NoError(t, db.Add(t.Context(), l, samples...))
	}
	for fails := 20; fails < 26; fails++ {
		synctest.Test(t, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.FormValue("query"), "process_start_time_seconds") && int(time.Since(begin)/time.Minute) == fails {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				db.Handler().ServeHTTP(w, r)
			})
			o := live(slog.New(slog.DiscardHandler), h)
			o.NewJudge = nil
			e := loop.New(o)
			e.SetSLOs(load(t, "1h", events), nil)
			defer run(t, e)()
			until(begin.Add(40*time.Minute + 35*time.Second))
			own := e.Report().SLOs[0].Windows
			// a has 30 deltas of 10 in the hour, b nine since its first sample.
			require.Equal(t, 10*(30.0+9), own[len(own)-1].Total, "it fails in minute %d", fails)
		})
	}
}

// TestQueriesAtATime are as many as the configuration allows.
func TestQueriesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				continue
			}
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			answer(w, r)
		})
		o := live(slog.New(slog.DiscardHandler), h)
		o.Backends[0].MaxConcurrency = 3
		e := loop.New(o)
		var slis []string
		for i := range 40 {
			slis = append(slis, fmt.Sprintf(`{events: {bad: 'requests_total{job="%d",code="500"}', total: 'requests_total{job="%d"}'}}`, i, i))
		}
		e.SetSLOs(load(t, "1h", slis...), nil)
		defer run(t, e)()
		until(time.Now().Add(10*time.Minute + 40*time.Second))
		require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 40}, states(e.Report()))
		require.Equal(t, int32(3), most.Load())
	})
}

// narrow refuses start times of two targets at once, and of more than so many minutes.
type narrow struct{ minutes int }

func (n narrow) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	query := form.Get("query")
	length, _ := model.ParseDuration(strings.TrimSuffix(query[strings.LastIndexByte(query, '[')+1:], "]"))
	if strings.HasPrefix(query, "process_start_time_seconds") && (strings.Contains(query, "|") || time.Duration(length) > time.Duration(n.minutes)*time.Minute) {
		text := `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`
		return &http.Response{StatusCode: http.StatusUnprocessableEntity, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return http.DefaultTransport.RoundTrip(r)
}

// TestStartTimesThatAreTooMuch for one answer are read in parts: two processes of 50
// events each begin again, and hold 50 again.
func TestStartTimesThatAreTooMuch(t *testing.T) {
	text := ""
	for _, instance := range []string{"a", "b"} {
		text += fmt.Sprintf(`requests_total{job="shop",instance="%s",code="200"}`, instance) + values(61, func(int) float64 { return 50 }) +
			fmt.Sprintf("\nprocess_start_time_seconds{job=\"shop\",instance=%q}", instance) + values(61, func(i int) float64 {
			return float64(start.Unix() - 9000 + int64(i/30%2)*10770) // half a minute before it is seen, and back again
		}) + "\n"
	}
	for _, minutes := range []int{24 * 60, 7} {
		got := counted(t, "raw", text, func(b *backend.Config) { b.HTTP = &http.Client{Transport: narrow{minutes}} })
		require.Equal(t, 100.0, got.Total, minutes)
	}
}
