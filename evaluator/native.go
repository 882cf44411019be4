package evaluator

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// histogram is one sample of a native histogram; t is in milliseconds since the
// epoch.
type histogram struct {
	t       int64
	count   float64
	buckets []bucket // ascending
}

// bucket are the observations above lower and up to upper.
type bucket struct{ lower, upper, count float64 }

// decodeHistogram reads [time in seconds, {"count", "sum", "buckets": [[boundary
// rule, "lower", "upper", "count"], ...]}].
func decodeHistogram(dec *jsontext.Decoder) (histogram, error) {
	var h histogram
	first := true
	err := array(dec, func() error {
		if first {
			first = false
			seconds, err := number(dec)
			h.t = int64(seconds*1000 + 0.5)
			return err
		}
		return object(dec, func(key string) (err error) {
			switch key {
			case "count":
				h.count, err = number(dec)
			case "buckets":
				err = array(dec, func() error {
					b, err := decodeBucket(dec)
					h.buckets = append(h.buckets, b)
					return err
				})
			default:
				err = dec.SkipValue()
			}
			return err
		})
	})
	return h, err
}

func decodeBucket(dec *jsontext.Decoder) (bucket, error) {
	var fields []float64
	err := array(dec, func() error {
		v, err := number(dec)
		fields = append(fields, v)
		return err
	})
	if err == nil && len(fields) != 4 {
		err = fmt.Errorf("a bucket has %d fields", len(fields))
	}
	if err != nil {
		return bucket{}, err
	}
	return bucket{fields[1], fields[2], fields[3]}, nil
}

// number reads a number, which may be written as text.
func number(dec *jsontext.Decoder) (float64, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(token.String(), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", shown(token.String()))
	}
	return v, nil
}

// upTo is how many observations were at most a threshold, and within which bucket
// it lies: none when it is a boundary, and the number is exact. Within a bucket they are taken
// to be spread as Prometheus' histogram_fraction() takes them: evenly, on a
// logarithmic scale where the bucket is one of an exponential layout.
func (h *histogram) upTo(threshold float64) (events float64, within bucket) {
	for _, b := range h.buckets {
		switch {
		case b.upper <= threshold*(1+1e-9):
			events += b.count
		case b.lower >= threshold*(1-1e-9):
			return events, bucket{}
		case b.exponential():
			return events + b.count*math.Log2(threshold/b.lower)/math.Log2(b.upper/b.lower), b
		default:
			return events + b.count*(threshold-max(b.lower, 0))/(b.upper-max(b.lower, 0)), b
		}
	}
	return events, bucket{}
}

// around names the bucket within which a threshold lies, or would if there were
// observations in it; "" for a boundary. It is not known of a custom layout, of which
// only the buckets that have any are told.
func (h *histogram) around(threshold float64) (name string, known bool) {
	for _, b := range h.buckets {
		switch {
		case math.Abs(b.lower-threshold) <= threshold*1e-9, math.Abs(b.upper-threshold) <= threshold*1e-9:
			return "", true
		case b.lower < threshold && threshold < b.upper && !b.exponential():
			return fmt.Sprintf("%g to %g", b.lower, b.upper), true
		}
	}
	for _, b := range h.buckets {
		if schema, ok := b.schema(); ok {
			index := math.Log2(threshold) * math.Exp2(schema)
			if isWhole(index) {
				return "", true
			}
			return fmt.Sprintf("%g of schema %g", math.Ceil(index), schema), true
		}
	}
	return "", false
}

// exponential reports whether a bucket is one of an exponential layout.
func (b bucket) exponential() bool {
	_, ok := b.schema()
	return ok
}

// schema is that of a bucket of an exponential layout, whose boundaries are powers
// of 2^2^-schema; it is from -4 to 8.
func (b bucket) schema() (schema float64, ok bool) {
	if b.lower <= 0 || math.IsInf(b.upper, 1) {
		return 0, false
	}
	schema = -math.Log2(math.Log2(b.upper / b.lower))
	step := math.Log2(b.upper) * math.Exp2(math.Round(schema))
	return math.Round(schema), isWhole(schema) && schema > -4.5 && schema < 8.5 && isWhole(step)
}

// isWhole reports whether a number that was calculated is a whole one.
func isWhole(v float64) bool { return math.Abs(v-math.Round(v)) < 1e-6 }

// layouts are the buckets around a threshold, by their names, of samples in the
// order of time. What is not known is like the next that is, or the last.
func layouts(samples []histogram, threshold float64) []string {
	out := make([]string, len(samples))
	next, unknown := "", 0
	for i, h := range samples {
		name, known := h.around(threshold)
		if !known {
			unknown++
			name = next
		} else {
			for j := i - unknown; j < i; j++ {
				out[j] = name
			}
			next, unknown = name, 0
		}
		out[i] = name
	}
	return out
}

// addNative adds the samples of native histograms to those of the classic
// series that would say the same, so that a histogram which changes from one to
// the other goes on. Where both are there the classic one counts. Estimates within
// a bucket are of another series than those within another bucket: when a
// histogram gets coarser, they are not comparable. It reports whether there are
// any, and whether any of the numbers is an estimate.
func addNative(batch, native []rawSeries, n *slo.Native) (out []rawSeries, found, inexact bool) {
	type identity struct {
		pair    uint64
		role    role
		replica string
		within  string
	}
	at := map[identity]int{}
	for i, s := range batch {
		for _, r := range []role{roleGood, roleTotal} {
			if s.roles&r != 0 {
				at[identity{s.pair, r, s.replica, ""}] = i
			}
		}
	}
	for _, s := range native {
		if len(s.histograms) == 0 {
			continue
		}
		found = true
		byLayout := map[string]map[role][]sample{}
		names := layouts(s.histograms, n.Threshold)
		for i, h := range s.histograms {
			events, b := h.upTo(n.Threshold)
			inexact = inexact || b.count > 0
			within := names[i]
			if byLayout[within] == nil {
				byLayout[within] = map[role][]sample{}
			}
			of := byLayout[within]
			of[roleGood], of[roleTotal] = append(of[roleGood], sample{h.t, events}), append(of[roleTotal], sample{h.t, h.count})
		}
		for within, of := range byLayout {
			for r, samples := range of {
				samples = counting(samples)
				if i, ok := at[identity{s.pair, r, s.replica, within}]; ok {
					batch[i].samples = interleaved(batch[i].samples, samples)
				} else {
					batch = append(batch, s.as(r, n.Threshold, within, samples))
				}
			}
		}
	}
	slices.SortFunc(batch, func(a, b rawSeries) int { return labels.Compare(a.labels, b.labels) })
	return batch, found, inexact
}

// withinLabel names the bucket within which a threshold lies, among the labels of
// estimates. It is for counting only.
const withinLabel = "__within__"

// counting leaves out what no counter can be.
func counting(samples []sample) []sample {
	return counts([]vector{{samples: samples}})[0].samples
}

// as is the classic series of a native histogram's numbers, estimated within a
// bucket or exact.
func (s rawSeries) as(r role, threshold float64, within string, samples []sample) rawSeries {
	b := labels.NewBuilder(s.labels)
	name := s.labels.Get(model.MetricNameLabel)
	if r == roleGood {
		b.Set(model.MetricNameLabel, name+"_bucket").Set(labels.BucketLabel, strconv.FormatFloat(threshold, 'f', -1, 64))
	} else {
		b.Set(model.MetricNameLabel, name+"_count")
	}
	if within != "" {
		b.Set(withinLabel, within)
	}
	s.labels, s.roles, s.weights, s.samples, s.histograms = b.Labels(), r, nil, samples, nil
	s.key, s.pair = s.labels.Hash(), pairOf(s.labels)
	return s
}

// interleaved are samples and, at other times, more of them.
func interleaved(samples, more []sample) []sample {
	if len(samples) == 0 {
		return more
	}
	out := make([]sample, 0, len(samples)+len(more))
	for _, s := range samples {
		for len(more) > 0 && more[0].t < s.t {
			out, more = append(out, more[0]), more[1:]
		}
		if len(more) > 0 && more[0].t == s.t {
			more = more[1:]
		}
		out = append(out, s)
	}
	return append(out, more...)
}
