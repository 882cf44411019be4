// Package plan says which queries an SLO needs, and how their samples become events:
// its inputs, and what the slots of several inputs make together. A plan does not
// change, and SLOs with the same one share what is read. It reads nothing.
package plan
