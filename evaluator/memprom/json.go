package memprom

import (
	"io"
	"net/http"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/jsonutil"
	"github.com/prometheus/prometheus/util/stats"
)

const (
	// flushSize is how many bytes of an answer are gathered before they are sent.
	flushSize = 64 << 10
	// maxAnnotations bounds the warnings and the infos of an answer, each.
	maxAnnotations = 10
)

// stream writes JSON piece by piece, so that an answer of millions of samples
// never is in memory as text.
type stream struct{ *jsoniter.Stream }

// writeResult writes the whole answer to a query.
func writeResult(w io.Writer, r *http.Request, q promql.Query, result *promql.Result) error {
	s := stream{jsoniter.NewStream(jsoniter.ConfigDefault, w, flushSize)}
	s.WriteRaw(`{"status":"success","data":{"resultType":"`)
	s.WriteRaw(string(result.Value.Type()))
	s.WriteRaw(`","result":`)
	s.value(result.Value)
	if r.FormValue("stats") != "" {
		s.WriteRaw(`,"stats":`)
		s.WriteVal(stats.NewQueryStats(q.Stats()))
	}
	s.WriteRaw(`}`)
	warnings, infos := result.Warnings.AsStrings(r.FormValue("query"), maxAnnotations, maxAnnotations)
	if len(warnings) > 0 {
		s.WriteRaw(`,"warnings":`)
		s.WriteVal(warnings)
	}
	if len(infos) > 0 {
		s.WriteRaw(`,"infos":`)
		s.WriteVal(infos)
	}
	s.WriteRaw(`}`)
	return s.Flush()
}

// value writes a query's value in the shape of its type.
func (s stream) value(v parser.Value) {
	switch v := v.(type) {
	case promql.Scalar:
		s.point(v.T, v.V)
	case promql.String:
		s.WriteArrayStart()
		jsonutil.MarshalTimestamp(v.T, s.Stream)
		s.WriteMore()
		s.WriteString(v.V)
		s.WriteArrayEnd()
	case promql.Vector:
		s.WriteArrayStart()
		for i, sample := range v {
			s.separate(i)
			s.sample(sample)
		}
		s.WriteArrayEnd()
	case promql.Matrix:
		s.WriteArrayStart()
		for i, series := range v {
			s.separate(i)
			s.series(series)
		}
		s.WriteArrayEnd()
	}
}

func (s stream) sample(v promql.Sample) {
	s.WriteObjectStart()
	s.metric(v.Metric)
	if v.H == nil {
		s.WriteRaw(`,"value":`)
		s.point(v.T, v.F)
	} else {
		s.WriteRaw(`,"histogram":`)
		s.histogram(promql.HPoint{T: v.T, H: v.H})
	}
	s.WriteObjectEnd()
}

func (s stream) series(v promql.Series) {
	s.WriteObjectStart()
	s.metric(v.Metric)
	if len(v.Floats) > 0 {
		s.WriteRaw(`,"values":[`)
		for i, p := range v.Floats {
			s.separate(i)
			s.point(p.T, p.F)
		}
		s.WriteArrayEnd()
	}
	if len(v.Histograms) > 0 {
		s.WriteRaw(`,"histograms":[`)
		for i, p := range v.Histograms {
			s.separate(i)
			s.histogram(p)
		}
		s.WriteArrayEnd()
	}
	s.WriteObjectEnd()
}

func (s stream) metric(l labels.Labels) {
	s.WriteRaw(`"metric":{`)
	i := 0
	l.Range(func(l labels.Label) {
		s.separate(i)
		i++
		s.WriteString(l.Name)
		s.WriteRaw(`:`)
		s.WriteString(l.Value)
	})
	s.WriteObjectEnd()
}

func (s stream) point(t int64, v float64) {
	s.WriteArrayStart()
	jsonutil.MarshalTimestamp(t, s.Stream)
	s.WriteMore()
	jsonutil.MarshalFloat(v, s.Stream)
	s.WriteArrayEnd()
}

func (s stream) histogram(p promql.HPoint) {
	s.WriteArrayStart()
	jsonutil.MarshalTimestamp(p.T, s.Stream)
	s.WriteMore()
	jsonutil.MarshalHistogram(p.H, s.Stream)
	s.WriteArrayEnd()
}

// separate writes the comma before all but the first element, and sends what
// has gathered. An error stays in the stream until its end.
func (s stream) separate(i int) {
	if i > 0 {
		s.WriteMore()
	}
	if s.Buffered() >= flushSize {
		_ = s.Flush()
	}
}
