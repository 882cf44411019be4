package counting

import (
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

// layouts are the buckets around a threshold, by their names, of samples in the
// order of time. What is not known is like the next that is, or the last.
func layouts(samples []backend.Histogram, threshold float64) []string {
	out := make([]string, len(samples))
	next, unknown := "", 0
	for i, h := range samples {
		name, known := h.Around(threshold)
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

// AddNative adds the samples of native histograms to those of the classic
// series that would say the same, so that a histogram which changes from one to
// the other goes on. Where both are there the classic one counts. Estimates within
// a bucket are of another series than those within another bucket: when a
// histogram gets coarser, they are not comparable. It reports whether there are
// any, and whether any of the numbers is an estimate.
func AddNative(batch, native []RawSeries, n *slo.Native) (out []RawSeries, found, inexact bool) {
	type identity struct {
		pair    uint64
		role    Role
		replica string
		within  string
	}
	at := map[identity]int{}
	for i, s := range batch {
		for _, r := range []Role{RoleGood, RoleTotal} {
			if s.Roles&r != 0 {
				at[identity{s.Pair, r, s.Replica, ""}] = i
			}
		}
	}
	for _, s := range native {
		if len(s.Histograms) == 0 {
			continue
		}
		found = true
		byLayout := map[string]map[Role][]backend.Sample{}
		names := layouts(s.Histograms, n.Threshold)
		for i, h := range s.Histograms {
			events, b := h.UpTo(n.Threshold)
			inexact = inexact || b.Count > 0
			within := names[i]
			if byLayout[within] == nil {
				byLayout[within] = map[Role][]backend.Sample{}
			}
			of := byLayout[within]
			of[RoleGood], of[RoleTotal] = append(of[RoleGood], backend.Sample{T: h.T, V: events}), append(of[RoleTotal], backend.Sample{T: h.T, V: h.Count})
		}
		for within, of := range byLayout {
			for r, samples := range of {
				samples = counting(samples)
				if i, ok := at[identity{s.Pair, r, s.Replica, within}]; ok {
					batch[i].Samples = Interleaved(batch[i].Samples, samples)
				} else {
					batch = append(batch, s.as(r, n.Threshold, within, samples))
				}
			}
		}
	}
	slices.SortFunc(batch, func(a, b RawSeries) int { return labels.Compare(a.Labels, b.Labels) })
	return batch, found, inexact
}

// withinLabel names the bucket within which a threshold lies, among the labels of
// estimates. It is for counting only.
const withinLabel = "__within__"

// counting leaves out what no counter can be.
func counting(samples []backend.Sample) []backend.Sample {
	return PossibleCounts([]backend.Series{{Samples: samples}})[0].Samples
}

// as is the classic series of a native histogram's numbers, estimated within a
// bucket or exact.
func (s RawSeries) as(r Role, threshold float64, within string, samples []backend.Sample) RawSeries {
	b := labels.NewBuilder(s.Labels)
	name := s.Labels.Get(model.MetricNameLabel)
	if r == RoleGood {
		b.Set(model.MetricNameLabel, name+"_bucket").Set(labels.BucketLabel, strconv.FormatFloat(threshold, 'f', -1, 64))
	} else {
		b.Set(model.MetricNameLabel, name+"_count")
	}
	if within != "" {
		b.Set(withinLabel, within)
	}
	s.Labels, s.Roles, s.Weights, s.Samples, s.Histograms = b.Labels(), r, nil, samples, nil
	s.Key, s.Pair = s.Labels.Hash(), PairOf(s.Labels)
	return s
}

// Interleaved are samples and, at other times, more of them.
func Interleaved(samples, more []backend.Sample) []backend.Sample {
	if len(samples) == 0 {
		return more
	}
	out := make([]backend.Sample, 0, len(samples)+len(more))
	for _, s := range samples {
		for len(more) > 0 && more[0].T < s.T {
			out, more = append(out, more[0]), more[1:]
		}
		if len(more) > 0 && more[0].T == s.T {
			more = more[1:]
		}
		out = append(out, s)
	}
	return append(out, more...)
}
