// Package counters counts the events of counters: of single counters (Raw), and of the
// sum of a target's counters (Targets). It separates restarts, births, lost parts and
// gaps by the scrapes of a process. docs/explanation/counting.md has the rules. It reads
// nothing.
package counters
