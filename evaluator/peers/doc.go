// Package peers holds slowburn against what others do for the same SLOs on the
// same data, and against a real Prometheus beside it. It is benchmarks only:
// `make bench-peers` runs them, and prints the tables of docs/explanation/measurements.md.
package peers
