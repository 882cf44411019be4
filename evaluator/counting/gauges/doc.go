// Package gauges counts values that are not counters: states of probes, values of
// expressions, times of job runs, recorded increments and rates. It reads nothing.
package gauges
