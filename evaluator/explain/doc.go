// Package explain proves the numbers of one SLO by the slots, samples and findings that
// they come from, by the arithmetic, and by direct queries that must return the same.
package explain
