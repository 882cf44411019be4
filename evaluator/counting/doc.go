// Package counting has what all ways to count share: the interface Method, the series
// that are read, the events that are found in them with their evidence, and the samples
// of histograms. Packages below it have the ways: counters and gauges. It reads nothing.
package counting
