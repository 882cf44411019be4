// Package history reads what a plan asks for from a backend, counts it, and keeps it in
// a record that the next reading goes on from. Reader.Advance is the way in: it chooses
// how to count, asks, counts, resolves what needs proof, and keeps. When that is done is
// up to the loop.
package history
