// Package explain proves the numbers of one SLO: by the slots, samples and findings they
// come from, the arithmetic, and direct queries that must give the same.
package explain
