// Package history reads the data of a plan from a backend, counts it, and keeps it in a
// Record, from which the next read continues. Reader.Advance is the entry point. It
// chooses the methods, sends the queries, counts the answers, resolves what needs start
// times, and stores the result. The loop decides when that happens.
package history
