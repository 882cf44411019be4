package counting

import (
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// RawSeries is one series as it was read, its samples in the order of time.
type RawSeries struct {
	Key        uint64 // of the labels
	Pair       uint64 // of the labels that a bucket shares with its histogram's count
	Target     string // the values of the target labels
	Replica    string // the values of the replica labels
	Labels     labels.Labels
	Le         string // of a bucket, as it is written; "" where labels have that
	Roles      Role
	Weights    *[3]float64 // how often good, bad and total count it; nil for once
	Samples    []backend.Sample
	Nans       []int64 // times of values that are NaN, in milliseconds
	Histograms []backend.Histogram
	Refused    backend.Sample   // the newest that no counter can have; its time is 0 for none
	Sizes      []backend.Sample // of an aggregated one: how many counters its samples are sums of; empty when that does not matter
}

// Memory is how long a target or a series that is gone is remembered, in
// milliseconds. A
// process that starts reads as much before its first slot, so that it knows what
// one that is up for long remembers.
const Memory = int64(LeadIn * 60_000)

// Lag is how old the last sample of a live target is at most, in minutes, or as old as
// makes the time since then unknown.
const Lag = timeline.Minute(5)

// LeadIn is how much is read before a timeline, in minutes, so that the first
// deltas have a sample to begin from, and births and restarts their evidence.
const LeadIn = timeline.Minute(24 * time.Hour / time.Minute)

// Doubled is a series that is there twice, if one is.
func Doubled(series []RawSeries) *RawSeries {
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

// PossibleCounts leaves out what no number of events can be.
func PossibleCounts(answer []backend.Series) []backend.Series {
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

// impossible reports whether no number of events can be as a sample: it is negative,
// or a small negative number in 64 bits without a sign, or endless.
func impossible(s backend.Sample) bool { return s.V < 0 || s.V == 1<<64 || s.V > backend.MaxCount }

// Count makes a series count a role, so many times more.
func (s *RawSeries) Count(r Role, weight float64) {
	if weight == 1 && s.Weights == nil && s.Roles&r == 0 { // as most do
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

// Matches reports whether matchers match the labels of a series, le as it is
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

// PairOf is a hash of the labels that the bucket and the count of a histogram
// share.
func PairOf(l labels.Labels) uint64 {
	h, _ := l.HashWithoutLabels(nil, model.MetricNameLabel, labels.BucketLabel)
	return h
}
