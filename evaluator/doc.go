// Package evaluator has the words for what a backend says about SLOs at an instant: the
// Report with the Status of each SLO, its windows, budget, doubts and what fires; and how
// these follow from a timeline. It computes only. Package loop makes reports.
package evaluator
