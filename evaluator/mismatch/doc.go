// Package mismatch finds what in a metric does not fit an SLO: bounds and units of buckets,
// other texts of a bound, values that are no times. Its functions query nothing. It imports
// evaluator/backend and slo.
package mismatch
