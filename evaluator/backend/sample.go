package backend

import (
	"sort"
)

// Sample is one sample of a counter. T is in milliseconds since the epoch.
type Sample struct {
	T int64
	V float64
}

// Between returns the samples in (from, to].
func Between(samples []Sample, from, to int64) []Sample {
	a := sort.Search(len(samples), func(i int) bool { return samples[i].T > from })
	b := sort.Search(len(samples), func(i int) bool { return samples[i].T > to })
	return samples[a:b]
}

// MaxCount is larger than any real count: 100 Gbit/s of each of a million hosts for a
// year are 2^79 bytes.
const MaxCount = 1 << 80
