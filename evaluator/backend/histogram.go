package backend

import (
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Histogram is one sample of a native histogram. T is in milliseconds since the epoch.
type Histogram struct {
	T       int64
	Count   float64
	buckets []Bucket // ascending
}

// Bucket contains the number of observations above Lower and up to Upper.
type Bucket struct{ Lower, Upper, Count float64 }

// decodeHistogram reads [time in seconds, {"count", "sum", "buckets": [[boundary rule,
// "lower", "upper", "count"], ...]}].
func decodeHistogram(dec *jsontext.Decoder) (Histogram, error) {
	var h Histogram
	first := true
	err := eachElement(dec, func() error {
		if first {
			first = false
			seconds, err := readNumber(dec)
			h.T = int64(seconds*1000 + 0.5)
			return err
		}
		return eachField(dec, func(key string) (err error) {
			switch key {
			case "count":
				h.Count, err = readNumber(dec)
			case "buckets":
				err = eachElement(dec, func() error {
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

func decodeBucket(dec *jsontext.Decoder) (Bucket, error) {
	var fields []float64
	err := eachElement(dec, func() error {
		v, err := readNumber(dec)
		fields = append(fields, v)
		return err
	})
	if err == nil && len(fields) != 4 {
		err = fmt.Errorf("a bucket has %d fields", len(fields))
	}
	if err != nil {
		return Bucket{}, err
	}
	return Bucket{fields[1], fields[2], fields[3]}, nil
}

// readNumber reads a number, which may be written as text.
func readNumber(dec *jsontext.Decoder) (float64, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(token.String(), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", Shown(token.String()))
	}
	return v, nil
}

// UpTo returns the number of observations up to a threshold, and the bucket around the
// threshold. If the threshold is a boundary, the number is exact and the bucket is zero.
// Otherwise the number is interpolated as Prometheus' histogram_fraction() does: evenly
// within the bucket, and on a logarithmic scale if the layout is exponential.
func (h *Histogram) UpTo(threshold float64) (events float64, within Bucket) {
	for _, b := range h.buckets {
		switch {
		case b.Upper <= threshold*(1+1e-9):
			events += b.Count
		case b.Lower >= threshold*(1-1e-9):
			return events, Bucket{}
		case b.exponential():
			return events + b.Count*math.Log2(threshold/b.Lower)/math.Log2(b.Upper/b.Lower), b
		default:
			return events + b.Count*(threshold-max(b.Lower, 0))/(b.Upper-max(b.Lower, 0)), b
		}
	}
	return events, Bucket{}
}

// Around returns the name of the bucket around a threshold, with or without observations;
// "" for a boundary. It reports false if a custom layout does not show it, because
// answers contain only buckets with observations.
func (h *Histogram) Around(threshold float64) (name string, known bool) {
	for _, b := range h.buckets {
		switch {
		case math.Abs(b.Lower-threshold) <= threshold*1e-9, math.Abs(b.Upper-threshold) <= threshold*1e-9:
			return "", true
		case b.Lower < threshold && threshold < b.Upper && !b.exponential():
			return fmt.Sprintf("%g to %g", b.Lower, b.Upper), true
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

// exponential reports whether a bucket belongs to an exponential layout.
func (b Bucket) exponential() bool {
	_, ok := b.schema()
	return ok
}

// schema returns the schema of a bucket of an exponential layout, from -4 to 8. Its
// boundaries are powers of 2^2^-schema.
func (b Bucket) schema() (schema float64, ok bool) {
	if b.Lower <= 0 || math.IsInf(b.Upper, 1) {
		return 0, false
	}
	schema = -math.Log2(math.Log2(b.Upper / b.Lower))
	step := math.Log2(b.Upper) * math.Exp2(math.Round(schema))
	return math.Round(schema), isWhole(schema) && schema > -4.5 && schema < 8.5 && isWhole(step)
}

// isWhole reports whether a calculated number is a whole one.
func isWhole(v float64) bool { return math.Abs(v-math.Round(v)) < 1e-6 }
