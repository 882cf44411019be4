// Package plan defines which queries an SLO needs, and how their samples become events:
// its inputs, and how the slots of several inputs are combined. A plan does not change,
// and SLOs with equal plans share what is read. It reads nothing.
package plan
