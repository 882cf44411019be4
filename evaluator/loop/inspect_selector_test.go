package loop_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSenseOfLabels holds what check says of values of labels that are not there.
func TestSenseOfLabels(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",code="200"} 0+10x1560
		requests_total{job="shop",code="404"} 0+1x1560
		classes_total{job="shop",code="2xx"} 0+10x1560
		words_total{job="shop",code="ok"} 0+10x1560
		x_seconds_bucket{job="shop",le="0.5"} 0+9x1560
		x_seconds_bucket{job="shop",le="1.0"} 0+9x1560
		x_seconds_bucket{job="shop",le="+Inf"} 0+10x1560
		x_seconds_count{job="shop"} 0+10x1560
		y_seconds_bucket{job="shop",le="1"} 0+9x1560
		y_seconds_bucket{job="shop",le="1.0"} 0+9x1560
		y_seconds_bucket{job="shop",le="+Inf"} 0+10x1560
		y_seconds_count{job="shop"} 0+10x1560
		twice_total{job="shop",instance="a",code="200",prometheus_replica="x"} 0+10x1560
		twice_total{job="shop",instance="a",code="200",prometheus_replica="y"} 0+10x1560
		twice_total{job="shop",instance="a",code="500",prometheus_replica="x"} 0+1x1560
		twice_total{job="shop",instance="a",code="500",prometheus_replica="y"} 0+1x1560`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	bad := func(selector, total string) string {
		return `sli: {events: {bad: '` + selector + `', total: ` + total + `}}`
	}
	good := func(selector, total string) string {
		return `sli: {events: {good: '` + selector + `', total: ` + total + `}}`
	}
	for name, tt := range map[string]struct {
		slo  string
		want []string
	}{
		"errors may come": {bad(`requests_total{code=~"5.."}`, "requests_total"), nil},
		"one may come":    {bad(`requests_total{code="503"}`, "requests_total"), nil},
		"counted twice": {bad(`twice_total{code="500"}`, "twice_total"), []string{
			`x sli.events.total: warning: twice_total has each counter more than once, as replicas see it, which differ in the label prometheus_replica`,
			`  write replica_labels: [prometheus_replica] in the configuration of the backend, so that one of them counts`}},
		"words":   {bad(`words_total{code="failed"}`, "words_total"), nil},
		"a class": {bad(`classes_total{code="5xx"}`, "classes_total"), nil},
		"a pattern that is none": {bad(`requests_total{code=~"5*"}`, "requests_total"), []string{
			`x sli.events.bad: warning: no series matched requests_total{code=~"5*"} in the last 24 hours`,
			`  code=~"5*" matches no value such as those of requests_total: 200, 404; write code=~"5.." for server errors`}},
		"a class of codes": {bad(`requests_total{code="5xx"}`, "requests_total"), []string{
			`x sli.events.bad: warning: no series matched requests_total{code="5xx"} in the last 24 hours`,
			`  code="5xx" matches no value such as those of requests_total: 200, 404; write code=~"5.." for server errors`}},
		"a code of classes": {bad(`classes_total{code="500"}`, "classes_total"), []string{
			`x sli.events.bad: warning: no series matched classes_total{code="500"} in the last 24 hours`,
			`  code="500" matches no value such as those of classes_total: 2xx; write code=~"5.." for server errors`}},
		"a bucket": {good(`x_seconds_bucket{le="0.5"}`, "x_seconds_count"), nil},
		"a bucket that is written in another way": {good(`x_seconds_bucket{le="1"}`, "x_seconds_count"), []string{
			`x sli.events.good: error: no bucket of x_seconds_bucket is written le="1" now: the same bound is written le="1.0"`,
			`  write le=~"1|1[.]0", or an SLO of latency, which finds a bucket by its bound`}},
		"a pattern": {good(`x_seconds_bucket{le=~"1|1[.]0"}`, "x_seconds_count"), nil},
		"no bucket": {good(`x_seconds_bucket{le="0.7"}`, "x_seconds_count"), []string{
			`x sli.events.good: error: le="0.7" is not a bucket boundary of x_seconds_bucket: the nearest are 0.5 and 1`}},
		"one of two texts": {good(`y_seconds_bucket{le="1"}`, "y_seconds_count"), []string{
			`x sli.events.good: warning: y_seconds_bucket has the bucket le="1" also as le="1.0", which is not counted`,
			`  write le=~"1|1[.]0", or an SLO of latency, which finds a bucket by its bound`}},
		"both texts":                        {good(`y_seconds_bucket{le=~"1|1[.]0"}`, "y_seconds_count"), nil},
		"all of the bucket without a bound": {good(`y_seconds_bucket{le=~"1|1[.]0"}`, `'y_seconds_bucket{le="+Inf"}'`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, sensed(t, server.URL, "{name: x, "+tt.slo+"}"))
		})
	}
}
