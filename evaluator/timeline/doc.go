// Package timeline holds what happened of an SLO minute by minute: events in all, bad
// ones, and whether anything is known. Sums over any window are exact and take little
// time; slots of more than three days ago are kept in quarters of an hour. It computes
// only: it imports SLOs, and nothing that reads.
package timeline
