// Package gauges makes events of values that are no counters: states of probes, values
// of expressions, times of job runs, recorded increments and rates. It reads nothing.
package gauges
