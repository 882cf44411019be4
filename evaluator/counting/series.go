package counting

import (
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// RawSeries is one series as it was read, with its samples in the order of time.
type RawSeries struct {
	Key        uint64 // hash of the labels
	Pair       uint64 // hash of the labels that a bucket shares with its histogram's count
	Target     string // values of the target labels
	Replica    string // values of the replica labels
	Labels     labels.Labels
	Le         string // bound of a bucket as it is written; "" if the labels contain it
	Roles      Role
	Weights    *[3]float64 // how often good, bad and total count it; nil for once
	Samples    []backend.Sample
	NaNs       []int64 // times of values that are NaN, in milliseconds
	Histograms []backend.Histogram
	Refused    backend.Sample   // the newest sample that no counter can have; its time is 0 for none
	Sizes      []backend.Sample // of an aggregated series: the number of counters in each sum; empty if it does not matter
}

// Memory is how long a target or a series that is gone is remembered, in milliseconds. A
// process that starts reads as much before its first slot. So it remembers the same as
// one that has been running.
const Memory = int64(LeadIn * 60_000)

// MaxLag is the age in minutes of the last sample from which a target counts as gone, if
// its scrapes are not less frequent.
const MaxLag = timeline.Minute(5)

// LeadIn is how much is read before a timeline, in minutes. The first increments need an
// earlier sample, and births and restarts need evidence.
const LeadIn = timeline.Minute(24 * time.Hour / time.Minute)

// FindDuplicate returns a series that occurs twice, or nil.
func FindDuplicate(series []RawSeries) *RawSeries {
	type identity struct {
		key         uint64
		replica, le string
	}
	seen := make(map[identity]struct{}, len(series))
	for i := range series {
		s := &series[i]
		id := identity{s.Key, s.Replica, s.Le}
		if _, is := seen[id]; is {
			return s
		}
		seen[id] = struct{}{}
	}
	return nil
}

// DropImpossible removes the samples that are no number of events.
func DropImpossible(answer []backend.Series) []backend.Series {
	for i := range answer {
		v := &answer[i]
		if slices.ContainsFunc(v.Samples, impossible) {
			v.Samples = slices.DeleteFunc(v.Samples, func(s backend.Sample) bool {
				if !impossible(s) {
					return false
				}
				v.Refused = s
				return true
			})
		}
	}
	return answer
}

// impossible reports whether a sample is no number of events: it is negative, a small
// negative number in unsigned 64 bits, or larger than any count.
func impossible(s backend.Sample) bool { return s.V < 0 || s.V == 1<<64 || s.V > backend.MaxCount }

// Count adds a role to a series, with a weight.
func (s *RawSeries) Count(r Role, weight float64) {
	if weight == 1 && s.Weights == nil && s.Roles&r == 0 { // the usual case
		s.Roles |= r
		return
	}
	if s.Weights == nil {
		s.Weights = &[3]float64{}
		for i, each := range AllRoles {
			if s.Roles&each != 0 {
				s.Weights[i] = 1
			}
		}
	}
	s.Roles |= r
	for i, each := range AllRoles {
		if r == each {
			s.Weights[i] += weight
		}
	}
}

// Matches reports whether matchers match the labels of a series, with the bound as it is
// written.
func (s *RawSeries) Matches(matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		value := s.Labels.Get(m.Name)
		if m.Name == labels.BucketLabel && s.Le != "" {
			value = s.Le
		}
		if !m.Matches(value) {
			return false
		}
	}
	return true
}

// PairKey returns a hash of the labels that the bucket and the count of a histogram
// share.
func PairKey(l labels.Labels) uint64 {
	h, _ := l.HashWithoutLabels(nil, model.MetricNameLabel, labels.BucketLabel)
	return h
}
