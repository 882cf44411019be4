// Package expr reads the PromQL and MetricsQL of SLO files: selectors, expressions over
// $window, and numbers of events that are sums of counters. It says which counters an
// expression is a linear form of, so that its events can be counted one by one, and points
// into the user's file where it can't be read.
package expr
