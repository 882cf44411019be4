package backend

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// MalformedError says what of an answer can't be. It speaks of one query: nothing of it is
// counted, and others are.
type MalformedError string

func (e MalformedError) Error() string { return string(e) }

// lastTime is later than any sample, in seconds: the year 2200.
const lastTime = 7_258_118_400

// askedFor is from when to when samples are asked for, in milliseconds, both included:
// older servers answer the sample at the beginning too.
type askedFor struct{ from, to int64 }

// spanOf is what a request for samples over a time asks for: a range of instants, or
// the samples of x[5m].
func spanOf(form url.Values) askedFor {
	millis := func(key string) int64 {
		seconds, _ := strconv.ParseInt(form.Get(key), 10, 64) // as unix() wrote it
		return seconds * 1000
	}
	if form.Get("start") != "" {
		return askedFor{millis("start"), millis("end")}
	}
	promql, to := form.Get("query"), millis("time")
	length, err := model.ParseDuration(strings.TrimSuffix(promql[strings.LastIndexByte(promql, '[')+1:], "]"))
	if err != nil { // of a subquery, such as [1d:5m]
		return askedFor{0, to}
	}
	return askedFor{to - time.Duration(length).Milliseconds(), to}
}

// orderly reports what of the series of an answer can't be: samples out of order or
// of another time than was asked for, and a series that is there twice. Of two samples of
// one instant it leaves the larger one.
func orderly(series []Series, asked askedFor) error {
	for i := range series {
		v := &series[i]
		same := false
		for j, s := range v.Samples {
			if s.T < asked.from || s.T > asked.to {
				return MalformedError(fmt.Sprintf("%s has a sample of %s, and was asked for %s to %s", name(v), instantText(s.T), instantText(asked.from), instantText(asked.to)))
			}
			if j > 0 && s.T < v.Samples[j-1].T {
				return MalformedError(fmt.Sprintf("the samples of %s are out of order: that of %s comes before that of %s", name(v), instantText(v.Samples[j-1].T), instantText(s.T)))
			}
			same = same || j > 0 && s.T == v.Samples[j-1].T
		}
		if same {
			v.Samples = largestOfEach(v.Samples)
		}
		for j := range v.Histograms {
			h := &v.Histograms[j]
			if h.T < asked.from || h.T > asked.to || j > 0 && h.T <= v.Histograms[j-1].T || !h.possible() {
				return MalformedError(fmt.Sprintf("%s has a histogram of %s that is out of order, of another time or none", name(v), instantText(h.T)))
			}
		}
	}
	return nil
}

// possible reports whether a histogram can be one: its buckets ascend, and nothing of
// it is negative or no number.
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

// largestOfEach leaves of samples of one instant the largest.
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

// name is a series for people, cut where it is long.
func name(v *Series) string { return Shown(labels.FromMap(v.Labels).String()) }

func instantText(millis int64) string { return time.UnixMilli(millis).UTC().Format(time.RFC3339Nano) }
