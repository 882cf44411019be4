package backend

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// MalformedError describes why an answer can't be right, or can't be used. It concerns one query: nothing
// of that answer is counted, others are.
type MalformedError string

func (e MalformedError) Error() string { return string(e) }

// lastTime is later than any sample, in seconds: the year 2200.
const lastTime = 7_258_118_400

// askedFor is a time (from, to] in milliseconds for which samples were queried. from is
// included too, because older servers return the sample there.
type askedFor struct{ from, to int64 }

// span returns the time that a query covers: a range of instants, or the range of x[5m].
func (q Query) span() askedFor {
	to := q.Time.UnixMilli()
	if q.Start != nil {
		return askedFor{q.Start.UnixMilli(), to}
	}
	length, err := model.ParseDuration(strings.TrimSuffix(q.Query[strings.LastIndexByte(q.Query, '[')+1:], "]"))
	if err != nil { // a subquery, such as [1d:5m]
		return askedFor{0, to}
	}
	return askedFor{to - time.Duration(length).Milliseconds(), to}
}

// orderly returns an error if the series of an answer can't be right: samples are out of
// order or outside the queried time. If two samples have the same instant, it keeps the
// larger one.
func orderly(series []Series, asked askedFor) error {
	for i := range series {
		v := &series[i]
		same := false
		for j, s := range v.Samples {
			if s.T < asked.from || s.T > asked.to {
				return MalformedError(fmt.Sprintf("%s has a sample of %s, and was asked for %s to %s", seriesName(v), instantText(s.T), instantText(asked.from), instantText(asked.to)))
			}
			if j > 0 && s.T < v.Samples[j-1].T {
				return MalformedError(fmt.Sprintf("the samples of %s are out of order: that of %s comes before that of %s", seriesName(v), instantText(v.Samples[j-1].T), instantText(s.T)))
			}
			same = same || j > 0 && s.T == v.Samples[j-1].T
		}
		if same {
			v.Samples = largestOfEach(v.Samples)
		}
		for j := range v.Histograms {
			h := &v.Histograms[j]
			if h.T < asked.from || h.T > asked.to || j > 0 && h.T <= v.Histograms[j-1].T || !h.possible() {
				return MalformedError(fmt.Sprintf("%s has a histogram of %s that is out of order, of another time or none", seriesName(v), instantText(h.T)))
			}
		}
	}
	return nil
}

// possible reports whether a histogram is valid: its buckets ascend, and no number is
// negative or NaN.
func (h *Histogram) possible() bool {
	last := math.Inf(-1)
	for _, b := range h.buckets {
		if !(b.Count >= 0 && b.Count <= MaxCount && last <= b.Lower && b.Lower <= b.Upper) {
			return false
		}
		last = b.Lower
	}
	return h.Count >= 0 && h.Count <= MaxCount
}

// largestOfEach keeps the largest of the samples with the same instant.
func largestOfEach(samples []Sample) []Sample {
	out := samples[:1]
	for _, s := range samples[1:] {
		if last := &out[len(out)-1]; s.T == last.T {
			last.V = max(last.V, s.V)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// seriesName returns the labels of a series for people, shortened if they are long.
func seriesName(v *Series) string { return Shown(labels.FromMap(v.Labels).String()) }

func instantText(millis int64) string { return time.UnixMilli(millis).UTC().Format(time.RFC3339Nano) }
