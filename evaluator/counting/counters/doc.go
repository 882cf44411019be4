// Package counters counts the events of counters: of single ones (Raw) and of the sums
// of each target's (Targets). It tells restarts, births, lost parts and gaps apart by
// what the scrapes of a process show, as docs/explanation/counting.md says. It reads nothing.
package counters
