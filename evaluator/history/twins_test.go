package history

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
)

// TestTwinLabel finds the label of replicas that is not configured, and no label in which
// different counters differ.
func TestTwinLabel(t *testing.T) {
	type series struct {
		labels string
		offset int64 // of its samples, in seconds
		rate   float64
	}
	for name, tt := range map[string]struct {
		series []series
		want   string
	}{
		"replicas":                   {[]series{{"r=a,code=200", 0, 10}, {"r=b,code=200", 11, 10}, {"r=a,code=500", 0, 1}, {"r=b,code=500", 11, 1}}, "r"},
		"replicas, one error alone":  {[]series{{"r=a,code=200", 0, 10}, {"r=b,code=200", 11, 10}, {"r=a,code=500", 0, 0}}, "r"},
		"replicas at once":           {[]series{{"prometheus_replica=a", 0, 10}, {"prometheus_replica=b", 0, 10}}, "prometheus_replica"},
		"phases of one request":      {[]series{{"phase=a", 0, 10}, {"phase=b", 0, 10}}, ""},
		"replicas and another":       {[]series{{"r=a,code=200", 0, 10}, {"r=b,code=200", 11, 10}, {"r=a,code=500", 0, 1}}, ""},
		"processes that count alike": {[]series{{"instance=a", 0, 10}, {"instance=b", 11, 10}}, ""},
		"paths":                      {[]series{{"path=a", 0, 10}, {"path=b", 11, 12}}, ""},
		"that stand still":           {[]series{{"r=a", 0, 0}, {"r=b", 11, 0}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var batch []counting.RawSeries
			for _, s := range tt.series {
				raw := counting.RawSeries{Labels: labelsOf(s.labels)}
				for at := s.offset; at < 600; at += 30 {
					raw.Samples = append(raw.Samples, backend.Sample{T: at * 1000, V: 100 + s.rate*float64(at)})
				}
				batch = append(batch, raw)
			}
			b := &Reader{Client: &backend.Client{Config: backend.Config{TargetLabels: []string{"job", "instance"}}}}
			require.Equal(t, tt.want, b.TwinLabel(batch))
		})
	}
}

// labelsOf parses a=b,c=d.
func labelsOf(text string) labels.Labels {
	out := map[string]string{"__name__": "x_total", "job": "shop"}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		out[name] = value
	}
	return labels.FromMap(out)
}
