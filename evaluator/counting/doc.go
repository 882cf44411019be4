// Package counting contains what all ways to count share: the interface Method, the
// series that are read, the events found in them with their evidence, and the samples of
// histograms. The packages counters and gauges below it implement the ways. It reads
// nothing.
package counting
