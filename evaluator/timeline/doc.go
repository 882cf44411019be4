// Package timeline holds the events of an SLO minute by minute: all events, bad events,
// and whether the minute is known. It returns exact sums over any window in little time.
// Slots older than three days are kept as quarters of an hour. The package only computes:
// it imports SLOs, and nothing that reads.
package timeline
