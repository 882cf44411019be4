package web_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestMetricsOfBoth expects the metrics of the SLOs and the process, in the formats and codings
// of scrapers.
func TestMetricsOfBoth(t *testing.T) {
	reg := prometheus.NewRegistry()
	scrapes := 0.0
	reg.MustRegister(collectors.NewGoCollector(), prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "scrapes"}, func() float64 {
		scrapes++
		return scrapes
	}))
	now := evaluated
	h := handler(sample(t), func(o *web.Options) { o.Process, o.Now = reg, func() time.Time { return now } })
	for i, accept := range []string{"", "text/plain;version=0.0.4", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
		for j, coding := range []string{"", "gzip"} {
			w := get(h, "/metrics", "Accept", accept, "Accept-Encoding", coding)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
			require.Equal(t, []string{"Accept", "Accept-Encoding"}, w.Header().Values("Vary"))
			body := io.Reader(bytes.NewReader(w.Body.Bytes()))
			require.Equal(t, coding, w.Header().Get("Content-Encoding"))
			if coding == "gzip" {
				unzipped, err := gzip.NewReader(body)
				require.NoError(t, err)
				body = unzipped
			}
			values := map[string]float64{}
			decoder := &expfmt.SampleDecoder{Dec: expfmt.NewDecoder(body, expfmt.ResponseFormat(w.Header())), Opts: &expfmt.DecodeOptions{}}
			for {
				var samples model.Vector
				err := decoder.Decode(&samples)
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				for _, s := range samples {
					values[s.Metric.String()] = float64(s.Value)
				}
			}
			require.Equal(t, 0.999, values[`slo_objective_ratio{slo="availability", slo_id="checkout/availability", slo_service="checkout"}`])
			require.EqualValues(t, 2*i+j+1, values["scrapes"], "a second later")
			require.Contains(t, values, "go_goroutines")
			now = now.Add(time.Second)
		}
	}
	text := get(h, "/metrics?name[]=slo_sli_ratio&name[]=scrapes").Body.String()
	require.Contains(t, text, "\nscrapes ")
	require.Contains(t, text, "slo_sli_ratio{")
	require.NotContains(t, text, "slo_info")
	require.NotContains(t, text, "go_goroutines")
}

// TestMetricsOfGroupsWithDots expects the label of a group as it is for Prometheus 3. Older
// scrapers get _ for other characters, and each name once. A colon is _ for both.
func TestMetricsOfGroupsWithDots(t *testing.T) {
	h := handler(&evaluator.Report{SLOs: []evaluator.Status{{
		ID: `s/a{"http.route"="/a"}`, Service: "s", SLO: "a", Group: map[string]string{"http.route": "/a", "http:route": "/b"}, State: evaluator.StateOK,
	}}})
	const id = `slo_id="s/a{\"http.route\"=\"/a\"}"`
	for range 2 {
		for accept, want := range map[string]string{
			"text/plain;version=1.0.0;escaping=allow-utf-8": `slo_data_state{"http.route"="/a",http_route="/b",slo="a",` + id + `,slo_service="s",state="ok"} 1`,
			"text/plain;version=0.0.4":                      `slo_data_state{http_route="/a",http_route_="/b",slo="a",` + id + `,slo_service="s",state="ok"} 1`,
		} {
			w := get(h, "/metrics", "Accept", accept)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.Contains(t, w.Body.String(), want)
		}
	}
}

// TestMetricsThatFail expects an error, not half of an answer.
func TestMetricsThatFail(t *testing.T) {
	process := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("a fault") })
	w := get(handler(sample(t), func(o *web.Options) { o.Process = process }), "/metrics")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, "gathering the metrics of the process: a fault\n", w.Body.String())
}
