// Package evaluator defines the Report about SLOs at an instant: the Status of each SLO
// with its windows, budget, doubts and firing alerts, and how these follow from a
// timeline. It only computes. Package loop makes reports.
package evaluator
