package counting

import (
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

// bucketNames returns the names of the buckets around a threshold, for samples in the
// order of time. If a sample does not show its bucket, it gets the name of the next one
// that does, or of the last.
func bucketNames(samples []backend.Histogram, threshold float64) []string {
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

// AddNative adds the samples of native histograms to the classic series with the same
// meaning. So a histogram continues when it changes from one to the other. If both have
// samples, the classic one counts. Estimates within different buckets become different
// series, because they are not comparable when a histogram gets coarser. found reports
// native samples, inexact an estimate among them.
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
		classic := map[identity][]backend.Sample{}
		names := bucketNames(s.Histograms, n.Threshold)
		for i, h := range s.Histograms {
			events, b := h.UpTo(n.Threshold)
			inexact = inexact || b.Count > 0
			good, total := identity{s.Pair, RoleGood, s.Replica, names[i]}, identity{s.Pair, RoleTotal, s.Replica, names[i]}
			classic[good] = append(classic[good], backend.Sample{T: h.T, V: events})
			classic[total] = append(classic[total], backend.Sample{T: h.T, V: h.Count})
		}
		for id, samples := range classic {
			samples = possibleSamples(samples)
			if i, ok := at[id]; ok {
				batch[i].Samples = Interleave(batch[i].Samples, samples)
			} else {
				batch = append(batch, s.classic(id.role, n.Threshold, id.within, samples))
			}
		}
	}
	slices.SortFunc(batch, func(a, b RawSeries) int { return labels.Compare(a.Labels, b.Labels) })
	return batch, found, inexact
}

// withinLabel contains the name of the bucket of an estimate. It exists only while
// counting.
const withinLabel = "__within__"

// possibleSamples drops the samples that no counter can have.
func possibleSamples(samples []backend.Sample) []backend.Sample {
	return DropImpossible([]backend.Series{{Samples: samples}})[0].Samples
}

// classic returns the classic series of a native histogram's numbers. within is the
// bucket of an estimate, or "" for exact numbers.
func (s RawSeries) classic(r Role, threshold float64, within string, samples []backend.Sample) RawSeries {
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
	s.Labels = b.Labels()
	s.Key = s.Labels.Hash()
	s.Pair = PairKey(s.Labels)
	s.Roles = r
	s.Weights = nil
	s.Samples = samples
	s.Histograms = nil
	return s
}

// Interleave returns the samples, and those of more at other times.
func Interleave(samples, more []backend.Sample) []backend.Sample {
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
